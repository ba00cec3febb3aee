"""Plain text becomes words as corpora of entities part them, in the documents and sentences of its articles."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recipe.data.articles import load_articles
from recipe.data.conll import read_columns
from recipe.data.settings import TextArguments
from recipe.data.words import main, split_words, write_words
from recipe.errors import RecipeError


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("Ms. Orr's first visit, on May 3.", "Ms. Orr 's first visit , on May 3 ."),
        ("The U.S. team, U.S.-based, won 3-1 at Saint-Malo!", "The U.S. team , U.S.-based , won 3-1 at Saint-Malo !"),
        ("U.S.A or Y.M.C.A. of a.b.com, i.e., one", "U.S.A or Y.M.C.A. of a.b.com , i.e. , one"),
        ("They're O\u2019Neill\u2019s, 1,000 or 2.5%", "They 're O\u2019Neill \u2019s , 1,000 or 2.5 %"),
        ("She can't, won\u2019t; ORR'S ISN'T Cant's ant", "She ca n't , wo n\u2019t ; ORR 'S IS N'T Cant 's ant"),
        ('Hill &amp; Sons of AT&amp;T ("no")', 'Hill & Sons of AT&T ( " no " )'),
        ("À Zürich, 中文", "À Zürich , 中 文"),
        ("Cafe\u0301 हिन्दी", "Café हिन्दी"),  # combining marks belong to their letters
    ],
)
def test_words(line, words):
    [sentence] = split_words(line).sentences
    assert sentence.words == words.split()


def test_each_line_with_words_is_a_sentence():
    article = split_words("One two.\n \nThree.\n")
    assert [sentence.words for sentence in article.sentences] == [["One", "two", "."], ["Three", "."]]
    assert article.sentences[0].tags == ["O", "O", "O"]


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.lists(st.sampled_from(["a", "b c", "\n", "\n\n", "\r\n", "\r", " ", "\t", "\ufeff", "\u2028"])).map("".join)
)
def test_both_readers_of_text_find_the_same_articles(tmp_path, text):
    """Pretraining and tagging split a text file alike."""
    text = f"first\n\n{text}\n\nlast"
    (tmp_path / "text.txt").write_bytes(text.encode())
    pretraining = load_articles(TextArguments(train_file=[str(tmp_path / "text.txt")]), ["train"], str(tmp_path))
    write_words([str(tmp_path / "text.txt")], tmp_path / "words.conll")
    documents = [[s.words for s in document.sentences] for document in read_columns(tmp_path / "words.conll")]
    assert documents == [
        [s.words for s in split_words(article).sentences]
        for article in pretraining["train"]["text"]
        if split_words(article).sentences
    ]


def read_words(path):
    return [[sentence.words for sentence in document.sentences] for document in read_columns(path)]


def test_the_command_writes_a_column_file(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.txt").write_bytes(f"{name} é\n\n{name} two\n\n{name} three".encode("latin-1"))
    words = tmp_path / "words.conll"
    main([str(tmp_path / "*.txt"), "--output", str(words), "--every", "2", "--encoding", "latin-1"])
    assert read_words(words) == [[["a", "é"]], [["a", "three"]], [["b", "two"]]]


def test_every_article_with_words_is_a_document_unless_some_are_chosen(tmp_path):
    text, words = tmp_path / "a.txt", tmp_path / "words.conll"
    text.write_text("Málaga\n\n&nbsp;\n\ntwo\n\nthree")
    write_words([str(text)], words)
    assert read_words(words) == [[["Málaga"]], [["two"]], [["three"]]]
    write_words([str(text)], words, every=2)
    assert read_words(words) == [[["Málaga"]], [["three"]]]


def test_other_kinds_of_files_and_missing_ones_are_refused(tmp_path):
    (tmp_path / "text.jsonl").write_text('{"text": "One."}')
    with pytest.raises(RecipeError, match=r"text.jsonl: not a plain text file: expected files that end in .txt"):
        write_words([str(tmp_path / "text.jsonl")], tmp_path / "words.conll")
    with pytest.raises(RecipeError, match=r"^files: no file at .*none.txt"):
        write_words([str(tmp_path / "none.txt")], tmp_path / "words.conll")


@pytest.mark.parametrize(
    ("output", "every", "message"),
    [
        ("text.txt", 1, "is one of the input files"),
        ("", 1, "is a folder: set a file"),
        ("words.conll", 0, "every: 0 is too small"),
    ],
)
def test_bad_settings_are_refused_and_lose_nothing(tmp_path, output, every, message):
    text = tmp_path / "text.txt"
    text.write_text("One two.")
    with pytest.raises(RecipeError, match=message):
        write_words([str(tmp_path / "*.txt")], tmp_path / output, every)
    assert text.read_text() == "One two."

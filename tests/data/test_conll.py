import pytest

from recipe.data.conll import read_columns, read_conll, write_conll
from recipe.data.documents import Document, Sentence, list_sentences, list_tags
from recipe.errors import RecipeError


def read(tmp_path, content: bytes | str, **settings):
    path = tmp_path / "file.conll"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_conll(path, **settings)


def rows(documents):
    return [[list(zip(s.words, s.tags, strict=True)) for s in document.sentences] for document in documents]


@pytest.mark.parametrize(
    ("content", "settings", "expected"),
    [
        ("a B-X\nb I-X\n\nc O\n", {}, [[[("a", "B-X"), ("b", "I-X")], [("c", "O")]]]),
        ("a NN I-NP I-X\n\n\n\nb NN I-NP O", {}, [[[("a", "B-X")], [("b", "O")]]]),
        ("a b\tO\nc \t\tB-X y\n", {}, [[[("a b", "O"), ("c", "B-X_y")]]]),
        ("0\t-DOCSTART- \tO\n\n1\ta\tB-X\n", {"word_column": 1}, [[[("a", "B-X")]]]),
        ("I-X 7 a\nO 8 b\n", {"word_column": 2, "tag_column": 0}, [[[("a", "B-X"), ("b", "O")]]]),
        ("a B-X\r\n\r\nb O\r\n", {}, [[[("a", "B-X")], [("b", "O")]]]),
        (b"\xef\xbb\xbfa B-X\n", {}, [[[("a", "B-X")]]]),
        (b"\xd1and\xfa B-X\n\x85 O\n", {"encoding": "latin-1"}, [[[("Ñandú", "B-X"), ("\x85", "O")]]]),
        ("# id 1\na B-X\n# note\nb O\n", {"comment_prefix": "# "}, [[[("a", "B-X"), ("b", "O")]]]),
        ("# O\na B-X\n", {}, [[[("#", "O"), ("a", "B-X")]]]),
        ("-DOCSTART- O\n\na B-X\n\n-DOCSTART- O\nb O\n", {}, [[[("a", "B-X")]], [[("b", "O")]]]),
        ("a O\n\n-DOCSTART- O\n\n-DOCSTART- O\n\nb B-X\n", {}, [[[("a", "O")]], [[("b", "B-X")]]]),
        ("a N B-X\nb O\n", {}, [[[("a", "B-X"), ("b", "O")]]]),
        ("\u00a0 O\n\u200b B-X\n", {}, [[[("\u00a0", "O"), ("\u200b", "B-X")]]]),
        ("a S-X\nb B-X\nc E-X\n", {}, [[[("a", "B-X"), ("b", "B-X"), ("c", "I-X")]]]),
        ("a U-X\nb B-X\nc L-X\n", {}, [[[("a", "B-X"), ("b", "B-X"), ("c", "I-X")]]]),
        ("a I-X\nb B-X\n\nc I-Y\n", {}, [[[("a", "B-X"), ("b", "B-X")], [("c", "B-Y")]]]),
        ("a B-X\nb I-Y\n", {"tag_scheme": "IOB2"}, [[[("a", "B-X"), ("b", "B-Y")]]]),
    ],
)
def test_read_conll(tmp_path, content, settings, expected):
    assert rows(read(tmp_path, content, **settings)) == expected


@pytest.mark.parametrize(
    ("content", "settings", "place", "reason"),
    [
        (b"", {}, "", "no sentences"),
        (b"\n\n-DOCSTART- O\n\n", {}, "", "no sentences"),
        (b"a B-X\nb\n", {}, ":2", "too few columns"),
        (b"a B-X\n", {"tag_column": 3}, ":1", "too few columns"),
        (b"a O\n\nb Q-X\n", {}, ":3", "'Q-X' is not a tag"),
        (b"a NN\n", {}, ":1", "set another tag_column than -1"),
        (b"a O\nb\x81 O\n", {}, ":2", "byte 0x81 is not utf-8: set encoding"),
        (b"a O\n", {"encoding": "klingon"}, "", "Python does not know 'klingon'"),
        (b"a I-X\n\nb B-X\n", {}, ":1", "are not IOB2"),
        (b"# id 1\na O\n", {}, ":1", "set comment_prefix if it is a comment"),
        (b"a B-X\n\nb S-X\n", {"tag_scheme": "IOB2"}, ":3", "prefix S"),
    ],
)
def test_bad_file_is_refused_with_its_place(tmp_path, content, settings, place, reason):
    with pytest.raises(RecipeError) as caught:
        read(tmp_path, content, **settings)
    message = str(caught.value)
    assert reason in message
    assert place in message
    assert "\n" not in message


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(RecipeError, match="No such file"):
        read_conll(tmp_path / "none.txt")


def test_single_slips_in_a_large_file_are_read_as_conlleval_does(tmp_path, caplog):
    documents = read(tmp_path, "a I-X\n\n" * 300 + "b O\nc B-X\n")
    assert list_tags(documents)[-1] == ["O", "B-X"]
    assert "first of 1 sentence(s) that break the rules of IOB1" in caplog.text
    assert "file.conll:601:" in caplog.text


def test_sentences_survive_writing_and_reading(tmp_path):
    documents = [
        Document([Sentence(["Ana", "\u00a0", "."], ["B-PER", "O", "O"]), Sentence(["x"], ["B-LOC"])]),
        Document([Sentence(["y", "z"], ["B-PER", "I-PER"])]),
    ]
    predicted = [["O", "O", "O"], ["B-LOC"], ["B-PER", "B-PER"]]
    write_conll(tmp_path / "out.conll", documents, predicted)
    assert read_columns(tmp_path / "out.conll", tag_column=1) == documents
    assert list_tags(read_columns(tmp_path / "out.conll", tag_column=2)) == predicted


def test_white_space_in_a_word_keeps_the_columns(tmp_path):
    write_conll(tmp_path / "out.conll", [Document([Sentence(["New York", ""], ["B-LOC", "O"])])])
    assert [s.words for s in list_sentences(read_conll(tmp_path / "out.conll"))] == [["New_York", "_"]]


@pytest.mark.parametrize(
    ("name", "documents", "sentences", "words", "entities"),
    [
        ("eng.train", 946, 14041, 203621, 23499),
        ("eng.testa", 216, 3250, 51362, 5942),
        ("eng.testb", 231, 3453, 46435, 5648),
    ],
)
def test_conll2003_counts(conll2003, name, documents, sentences, words, entities):
    found = read_conll(conll2003 / name)
    tags = [tag for sentence in list_tags(found) for tag in sentence]
    counts = (len(found), len(list_sentences(found)), len(tags), sum(tag.startswith("B-") for tag in tags))
    assert counts == (documents, sentences, words, entities)

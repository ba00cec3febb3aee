import pytest

from recipe.data.conll import read_columns, read_conll, write_conll
from recipe.data.documents import Document, Notes, Sentence, list_sentences, list_tags
from recipe.data.tag_conversion import convert_tags
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
        ("\u00a0 O\n\u200b\tB-X\n", {}, [[[("\u00a0", "O"), ("\u200b", "B-X")]]]),
        ("Text O\na\u00a0\tB-X\n", {}, [[[("Text", "O"), ("a\u00a0", "B-X")]]]),  # not the name of a column
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
        (b"a B-X\n", {"tag_column": 2}, ":1", "too few columns"),
        (b"a B-X B-Y\n", {"tag_column": -4}, ":1", "too few columns"),
        (b"a\n", {"word_column": -2}, ":1", "too few columns"),
        (b"1 2 3\n", {"word_column": -4}, ":1", "too few columns"),
        (b"1 2 3\n", {"word_column": 3}, ":1", "too few columns"),
        (b"a X\nb O\nc\n", {"tag_column": 1}, ":1", "'X' is not a tag: expected O"),  # not a header: line 3 has no tag
        (b"a ?\nb ?\nc O\n", {}, ":1", "'?' is not a tag: expected O"),
        (b"a\nb O\n", {"tag_column": 1}, ":1", "too few columns"),
        (b"? a\nO b\n", {"word_column": 1, "tag_column": -2}, ":1", "'?' is not a tag, but all other lines have one"),
        (b"a O\n\nb Q-X\n", {}, ":3", "'Q-X' is not a tag"),
        (b"a NN\n", {}, ":1", "set another tag_column than -1"),
        (b"a O\nb\x81 O\n", {}, ":2", "byte 0x81 is not utf-8: set encoding"),
        (b"a I-X\n\nb B-X\n", {}, ":1", "are not IOB2"),
        (b"a O\nb\rc O\n", {}, ":2", "a carriage return within the line"),
        (b"%s O\n" % (b"a" * 99_999), {}, ":1", "100001 characters in one line"),
        (b"# id 1\na O\n", {}, ":1", "set comment_prefix if it is a comment"),
        (b"# id 1\n", {"comment_prefix": "#"}, "", "no sentences"),
        (b"a B-X\n\nb S-X\n", {"tag_scheme": "IOB2"}, ":3", "prefix S"),
    ],
)
def test_bad_file_is_refused_with_its_place(tmp_path, content, settings, place, reason):
    with pytest.raises(RecipeError) as caught:
        read(tmp_path, content, **settings)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path}/file.conll{place}: ")
    assert reason in message
    assert "\n" not in message


def test_an_unknown_encoding_is_refused(tmp_path):
    with pytest.raises(RecipeError, match="encoding: Python does not know 'klingon'"):
        read(tmp_path, "a O\n", encoding="klingon")


@pytest.mark.parametrize(
    ("content", "settings", "expected"),
    [  # cells between tabs keep their places
        ("1\tOslo\t\tB-X\tO\n2\tand\tCC\tO\tO\n", {"word_column": 1, "tag_column": 3}, [("Oslo", "B-X"), ("and", "O")]),
        ("\tB-X\nb\tO\n", {}, [("_", "B-X"), ("b", "O")]),
        ("a\tB-X\t\nb\tO\t\n", {}, [("a", "B-X"), ("b", "O")]),  # a tab at the end of every line
        ("# id 1\na\tB-X\t\nb\tO\t\n", {"comment_prefix": "#"}, [("a", "B-X"), ("b", "O")]),
        ("a\t\tB-X\nbcdefghi\tO\n", {}, [("a", "B-X"), ("bcdefghi", "O")]),  # two tabs to align the tags
        ("a\tB-X\n\t\nb\tB-X\n", {}, [("a", "B-X"), ("b", "B-X")]),
    ],
)
def test_empty_cells_keep_the_columns_in_place(tmp_path, content, settings, expected):
    found = list_sentences(read(tmp_path, content, **settings))
    assert [pair for s in found for pair in zip(s.words, s.tags, strict=True)] == expected


def test_a_hashtag_is_a_word_and_a_comment_is_skipped_and_counted(tmp_path):
    content = "# id 1\n# text = #Oslo wins\n#Oslo B-X\n#wins O\n# a note\n! O\n\n#Lima B-X\n"
    notes = Notes()
    documents = read(tmp_path, content, comment_prefix="#", notes=notes)
    assert [s.words for s in list_sentences(documents)] == [["#Oslo", "#wins", "!"], ["#Lima"]]
    assert notes.comments == 3
    tagged = read(tmp_path, "# see O\n# and O\n#Oslo B-X\na O\n", comment_prefix="#")
    assert [s.words for s in list_sentences(tagged)] == [["#Oslo", "a"]]
    wide = read(tmp_path, "New York B-X\n#Oslo B-X\na O\nb O\n", comment_prefix="#")
    assert [s.words for s in list_sentences(wide)] == [["New", "#Oslo", "a", "b"]]
    short = read(tmp_path, "#Oslo B-X\n\n\na O\n\n\n", comment_prefix="#")
    assert [s.words for s in list_sentences(short)] == [["#Oslo"], ["a"]]
    chunks = read(tmp_path, "#Oslo B-NP\nwon B-VP\n", comment_prefix="#")
    assert [s.words for s in list_sentences(chunks)] == [["#Oslo", "won"]]
    tabs = read(tmp_path, "# newdoc id = a\n# sent O\n1\t#\tO\n2\ta\tB-X\n", comment_prefix="#", word_column=1)
    assert [s.words for s in list_sentences(tabs)] == [["#", "a"]]


def test_other_marks_open_documents_too(tmp_path):
    content = "# newdoc id = 1\na O\n\n# newdoc id = 2\nb B-X\n"
    assert len(read(tmp_path, content)) == 2
    assert len(read(tmp_path, content, comment_prefix="#")) == 2
    bracketed = "#begin document (a/b); part 000\na O\n\n#end document\n#begin document (c); part 000\nb B-X\n"
    assert len(read(tmp_path, bracketed, comment_prefix="#")) == 2


@pytest.mark.parametrize(
    ("content", "settings", "reason"),
    [
        ("0\tOslo\tB-X\n1\twon\tO\n\n0\tLima\tB-X\n", {}, ":1: the words in column 0 are all numbers: set word_column"),
        ("1 Oslo B-X\n", {"word_column": -3}, ":1: the words in column -3 are all numbers"),
        ("1 Oslo NNP B-X\n2 won VBD O\n", {}, "set word_column, for example to 1, where this line has 'Oslo'"),
        ("# id\n1-2\tdu\tB-X\tO\n1\tde\tB-X\tO\n", {"comment_prefix": "#"}, "all numbers"),
        (
            "Oslo O O\nHill B-X B-Y\n",
            {},
            ":2: columns 1 and 2 both contain tags (B-X and B-Y): set tag_column to 1 or 2",
        ),
        ("1\tOslo\tB-X\tO\n2\twon\tO\tO\n", {"word_column": 1}, "set tag_column to 2 or 3"),
        ("B-X Oslo B-Y\n", {"word_column": 1, "tag_column": -3}, ":1: columns 2 and 0 both contain tags"),
        ("Oslo B-X\nHill B-X I-Y\n", {}, ":2: columns 1 and 2 both contain tags"),
        ("Oslo B-X O\nHill B-X\n", {}, ":1: columns 1 and 2 both contain tags"),
        ("Oslo I-ORG|B-LOC\n", {}, "'I-ORG|B-LOC' is two tags"),
        ("Oslo B-X,I-Y\n", {}, "is two tags"),
        ("a\tB-X\nb\t\n", {}, ":2: the cell of the tag, column -1, is empty"),
        ("#Word Label\nMara PER\nleft O\n", {}, ":1: '#Word Label' names columns"),
        ("\nWord Label\nMara PER\nleft O\n", {}, ":2: 'Word Label' names columns: remove this line, or set"),
    ],
)
def test_columns_that_can_be_misread_are_refused_with_the_setting(tmp_path, content, settings, reason):
    with pytest.raises(RecipeError) as caught:
        read(tmp_path, content, **settings)
    assert str(caught.value).startswith(f"{tmp_path}/file.conll:")
    assert reason in str(caught.value)


def test_columns_named_by_the_user_are_read(tmp_path):
    layers = "Oslo O O\nHill B-X B-Y\n"
    assert list_tags(read(tmp_path, layers, tag_column=1)) == [["O", "B-X"]]
    assert list_tags(read(tmp_path, layers, tag_column=2)) == [["O", "B-Y"]]
    chunks = "Oslo NNP B-NP B-X\nwon VBD B-VP O\n"  # as in CoNLL-2003
    assert list_tags(read(tmp_path, chunks)) == [["B-X", "O"]]
    assert list_tags(read(tmp_path, "Oslo B-X\nwon B-VP O\n")) == [["B-X", "O"]]
    assert list_tags(read(tmp_path, "B-52 B-X\n")) == [["B-X"]]
    assert list_tags(read(tmp_path, "1 2 B-X\n3 4 O\n")) == [["B-X", "O"]]  # no column can be other words


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(RecipeError, match="No such file"):
        read_conll(tmp_path / "none.txt")


def test_single_slips_in_a_large_file_are_read_as_conlleval_does(tmp_path, caplog):
    documents = read(tmp_path, "a I-X\n\n" * 300 + "b O\nc B-X\n")
    assert list_tags(documents)[-1] == ["O", "B-X"]
    assert "first sentence that breaks the rules of IOB1 (1 slips in 301 entities)" in caplog.text
    assert "file.conll:601:" in caplog.text


def test_slips_in_up_to_a_tenth_of_the_entities_are_warned_about(tmp_path, caplog):
    good, slip = "a B-X\nb I-X\n\n", "o O\na I-X\n\n"
    assert len(list_sentences(read(tmp_path, good * 18 + slip * 2))) == 20
    assert "(2 slips in 20 entities)" in caplog.text
    with pytest.raises(RecipeError, match=r"file.conll:49: .* are not IOB2, .*\(3 slips in 19 entities\)"):
        read(tmp_path, good * 16 + slip * 3)


def test_sentences_survive_writing_and_reading(tmp_path):
    documents = [
        Document([Sentence(["Ana", "\u200b", "."], ["B-PER", "O", "O"]), Sentence(["x"], ["B-LOC"])]),
        Document([Sentence(["y", "z"], ["B-PER", "I-PER"])]),
    ]
    predicted = [["O", "O", "O"], ["B-LOC"], ["B-PER", "B-PER"]]
    write_conll(tmp_path / "out.conll", documents, predicted)
    assert (tmp_path / "out.conll").read_text().startswith("-DOCSTART- O O\n\nAna B-PER O\n")
    assert read_columns(tmp_path / "out.conll", tag_column=1) == documents
    assert list_tags(read_columns(tmp_path / "out.conll")) == predicted


def test_columns_that_are_read_for_themselves_keep_their_tags(tmp_path):
    (tmp_path / "a.conll").write_text("# id 1\na B_X\nb I_X\n")
    assert list_tags(read_columns(tmp_path / "a.conll", comment_prefix="#")) == [["B-X", "I-X"]]


def test_words_that_would_break_the_columns_are_changed(tmp_path):
    words = ["New York", "", "a\u00a0b\u2028", "-DOCSTART-"]
    write_conll(tmp_path / "out.conll", [Document([Sentence(words, ["B-LOC", "O", "O", "O"])])])
    [sentence] = list_sentences(read_conll(tmp_path / "out.conll"))
    assert sentence.words == ["New_York", "_", "a_b_", "_DOCSTART-"]


@pytest.mark.parametrize("columns", [([["O"], ["O"]],), ([["O", "O"], ["O"]], [["O", "O"]])])
def test_columns_that_do_not_fit_the_words_are_not_written(tmp_path, columns):
    documents = [Document([Sentence(["Ana", "left"], ["B-PER", "O"]), Sentence(["x"], ["O"])])]
    with pytest.raises(ValueError, match="shorter"):
        write_conll(tmp_path / "out.conll", documents, *columns)
    assert not (tmp_path / "out.conll").exists()


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


def test_numbers_of_sentences_are_not_words(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("Sentence: 1\tMara\tB-PER\n\tOkello\tI-PER\n\tleft\tO\n")
    with pytest.raises(
        RecipeError, match=r"a.tsv:2: most words in column 0 are empty: set word_column, or, if the col"
    ):
        read_conll(path)


def test_a_file_and_its_scheme_are_noted(tmp_path):
    notes = Notes()
    read(tmp_path, "a B-X\nb I-X\n", notes=notes)
    assert notes == Notes(files=[f"{tmp_path}/file.conll"], schemes={"IOB2"})


def test_a_word_with_a_space_is_noted(tmp_path):
    notes = Notes()
    read(tmp_path, "Mara B-PER\nNew York B-LOC\n" + "left O\n" * 9, notes=notes)
    remark = "line(s) have more than two cells, of which the first was read as the word"
    assert notes.remarks == {remark: (f"{tmp_path}/file.conll:2", 1)}


@pytest.mark.parametrize(
    ("content", "settings"),
    [
        ("New York B-LOC\n" + "left O\n" * 9, {}),
        ("Mara NNP B-PER\nleft VBD O\n", {}),
        ("Mara B-PER\nleft O x\n" + "left O\n" * 9, {"tag_column": 1}),
    ],
)
def test_a_third_column_is_not_noted_if_it_is_usual_or_not_between_word_and_tag(tmp_path, content, settings):
    notes = Notes()
    read(tmp_path, content, notes=notes, **settings)
    assert not notes.remarks


@pytest.mark.parametrize("spelt", [("PER", "_"), ("B_PER", "O"), ("b-per", "o")])
def test_conllu_tags_can_be_spelt_otherwise(tmp_path, spelt):
    filler = "\t_" * 7
    rows = [f"1\tMara{filler}\tNER={spelt[0]}", f"2\tleft{filler}\tNER={spelt[1]}"]
    path = tmp_path / "a.conllu"
    path.write_text("\n".join(rows) + "\n")
    (document,) = read_conll(path)
    assert [tag.upper() for tag in document.sentences[0].tags] == ["B-PER", "O"]


def test_an_unclosed_name_of_conll_2012_is_refused(tmp_path):
    path = tmp_path / "a.conll"
    cells = ["x", "0", "0", "Mara", "-", "-", "-", "-", "-", "-", "(PERSON*", "-"]
    path.write_text("#begin document (x); part 0\n" + " ".join(cells) + "\n\n")
    with pytest.raises(RecipeError, match=r"a.conll:3: the sentence ends inside \(PERSON\*: close the bracket"):
        read_conll(path)


@pytest.mark.parametrize("kind", ["a b", "a\u00a0b", "a\tb", "a\0b", "a\u2028b"])
def test_types_are_the_same_after_writing(tmp_path, kind):
    sentence = Sentence(["Mara", "left"], [f"B-{kind}", "O"], "")
    convert_tags([sentence])
    assert sentence.tags == ["B-a_b", "O"]
    write_conll(tmp_path / "own.conll", [Document([sentence])])
    assert list_tags(read_conll(tmp_path / "own.conll")) == [sentence.tags]

"""Tags as others spell them, and two layouts of column files."""

from collections import Counter

import pytest

from recipe.data.conll import read_conll
from recipe.data.documents import Notes, list_sentences
from recipe.data.spelling import find_spelling
from recipe.errors import RecipeError


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("B_PER I_PER O O", "B-PER I-PER O O"),
        ("PER_B PER_I O", "B-PER I-PER O"),
        ("LOC-B O", "B-LOC O"),
        ("b-per i-per o", "B-per I-per O"),
        ("B-PER I-PER - -", "B-PER I-PER O O"),
        ("B-PER _ _", "B-PER O O"),
        ("B-PER O _", "B-PER O _"),
        ("B-X M-X E-X S-Y O", "B-X I-X E-X S-Y O"),
        ("B-X M-X E-X W-Y O", "B-X I-X E-X S-Y O"),
        ("PER PER O O O LOC", "I-PER I-PER O O O I-LOC"),
        ("PER PER O LOC LOC", "I-PER I-PER O I-LOC I-LOC"),
        ("B-product_I O", "B-product_I O"),  # is spelled as it should be
        ("NN VB NN", "NN VB NN"),  # parts of speech are not types
        ("O Q-X", "O Q-X"),
        ("O O 1", "O O 1"),
    ],
)
def test_spellings_are_found_from_all_tags_together(written, expected):
    spelling = find_spelling(Counter(written.split()))
    assert " ".join(map(spelling.spell, written.split())) == expected
    assert (spelling.note != "") == (written != expected)


@pytest.mark.parametrize(
    ("written", "note"),
    [
        ("B_PER _", "tags such as B_PER are read as B-PER"),
        ("PER _", "tags such as PER are read as type PER, without a prefix"),
        ("B-PER _", "tags such as _ are read as O"),
    ],
)
def test_the_example_of_a_spelling_is_a_tag_of_an_entity_if_one_is_changed(written, note):
    assert find_spelling(Counter(written.split())).note == note


def read(tmp_path, content, name="a.conll", **settings):
    (tmp_path / name).write_text(content)
    notes = Notes()
    documents = read_conll(tmp_path / name, notes=notes, **settings)
    return [list(zip(s.words, s.tags, strict=True)) for s in list_sentences(documents)], notes


def test_the_spelling_of_a_file_is_said(tmp_path):
    rows, notes = read(tmp_path, "Mara PER\nOkello PER\nleft O\nthe O\nbig O\nOslo LOC\n")
    assert [tag for _, tag in rows[0]] == ["B-PER", "I-PER", "O", "O", "O", "B-LOC"]
    assert notes.remarks == {"tags such as PER are read as type PER, without a prefix": (f"{tmp_path}/a.conll", 1)}
    rows, notes = read(tmp_path, "#Oslo LOC\n# id 7\nwins O\nin O\nLima LOC\n", comment_prefix="#")
    assert rows == [[("#Oslo", "B-LOC"), ("wins", "O"), ("in", "O"), ("Lima", "B-LOC")]]
    assert notes.comments == 1


CONLLU = """# newdoc id = a
# sent_id = 1
# text = du Mara
1-2\tdu\t_\t_\t_\t_\t_\t_\t_\t_
1\tde\tde\tADP\t_\t_\t3\tcase\t_\tNER=O
2\tle\tle\tDET\t_\t_\t3\tdet\t_\tNER=_
2.1\tx\tx\tX\t_\t_\t_\t_\t_\t_
3\tMara\tMara\tPROPN\t_\t_\t0\troot\t_\tNER=B-PER|SpaceAfter=No
"""


def test_conllu_tags_are_read_from_the_last_column(tmp_path):
    rows, notes = read(tmp_path, CONLLU, "a.conllu")
    assert rows == [[("de", "O"), ("le", "O"), ("Mara", "B-PER")]]
    assert notes.comments == 2
    rows, _ = read(tmp_path, CONLLU.replace("PER|SpaceAfter=No", "PER=1|Entity=(e1-person"), "a.conllu")
    assert rows == [[("de", "O"), ("le", "O"), ("Mara", "B-PER=1")]]
    (tmp_path / "a.conllu").write_text(f"{CONLLU}\n{CONLLU}")
    assert len(read_conll(tmp_path / "a.conllu")) == 2
    with pytest.raises(RecipeError, match=r"a.conll: a CoNLL-U file with no attributes for tags in its last column"):
        read(tmp_path, CONLLU.replace("NER", "Gloss"))


def test_a_column_of_a_conllu_file_can_be_read_instead(tmp_path):
    rows, _ = read(tmp_path, "1\tMara" + "\t_" * 7 + "\tB-PER\n", word_column=1, tag_column=9)
    assert rows == [[("Mara", "B-PER")]]


ONTONOTES = """#begin document (nw/a); part 000
nw/a 0 0 Mara NNP (S* - - - - (PERSON* (1
nw/a 0 1 Okello NNP * - - - - *) 1)
nw/a 0 2 left VBD * - - - - * -
nw/a 0 3 Oslo NNP *) - - - - (GPE) -
nw/a 0 4 Lima NNP *) - - - - (GPE) -

#end document
"""


def test_conll2012_names_in_brackets_are_read(tmp_path):
    rows, notes = read(tmp_path, ONTONOTES, "a.txt")
    expected = [("Mara", "B-PERSON"), ("Okello", "I-PERSON"), ("left", "O"), ("Oslo", "B-GPE"), ("Lima", "B-GPE")]
    assert rows == [expected]
    assert not notes.remarks
    shortest = "\n".join(line.rpartition(" ")[0] if line[:2] == "nw" else line for line in ONTONOTES.split("\n"))
    assert read(tmp_path, shortest, "a.txt")[0] == rows
    with pytest.raises(RecipeError, match=r"a.txt:4: '\[x' is not a name in brackets"):
        read(tmp_path, ONTONOTES.replace(" * -\n", " [x -\n"), "a.txt")

"""The files of predictions: what is written is read, by old readers too, and damage is refused in one line."""

import pytest

from recipe.data.conll import read_columns
from recipe.data.documents import Document, Sentence, list_tags
from recipe.errors import RecipeError
from recipe.evaluation.predictions import (
    Confidences,
    name_confidences,
    name_predictions,
    read_mentions,
    read_predictions,
    write_mentions,
    write_predictions,
)
from recipe.evaluation.scoring import score_file

DOCUMENTS = [
    Document([Sentence(["Mara", "left", "Oslo"], ["B-PER", "O", "B-LOC"]), Sentence(["Two"], ["O"])]),
    Document([Sentence(["-DOCSTART-", "a b"], ["O", "B-ORG"])]),
]
TAGS = [["B-PER", "O", "B-ORG"], ["O"], ["O", "B-ORG"]]
SCORES = [Confidences([0.9, 1 / 3, 0.5], [0.25, 0.75]), Confidences([1.0], []), Confidences([0.5, 0.5], [0.5])]


@pytest.fixture
def folder(tmp_path):
    write_predictions(tmp_path, "test", DOCUMENTS, TAGS, SCORES)
    write_mentions(tmp_path, DOCUMENTS[0].sentences)
    return tmp_path


def test_tags_and_confidences_are_read_back(folder):
    first, second, third = read_predictions(folder, "test")
    assert (first.words, first.gold, first.predicted) == (["Mara", "left", "Oslo"], ["B-PER", "O", "B-LOC"], TAGS[0])
    assert (first.word_scores, first.entity_scores) == ([0.9, 0.333333, 0.5], [0.25, 0.75])
    assert (second.entity_scores, third.words) == ([], ["_DOCSTART-", "a_b"])
    lines = name_predictions(folder, "test").read_text().splitlines()
    assert lines[first.line - 1] == "Mara B-PER B-PER"
    assert lines[third.line - 1] == "_DOCSTART- O O"
    assert read_mentions(folder) == {"Mara": {"PER": 1}, "Oslo": {"LOC": 1}}


def test_column_readers_and_scores_do_not_see_the_confidences(folder):
    path = name_predictions(folder, "test")
    assert list_tags(read_columns(path)) == TAGS
    assert score_file(str(path))["entities"]["micro avg"]["support"] == 3


def test_types_with_white_space_are_the_same_in_both_columns(folder):
    name_predictions(folder, "dev").write_text("Mona\tB-work of art\tB-work of art\nLisa\tI-work\u00a0of art\tO\n")
    (sentence,) = read_predictions(folder, "dev")
    assert (sentence.gold, sentence.predicted) == (["B-work_of_art", "I-work_of_art"], ["B-work_of_art", "O"])


def test_folders_without_these_files_are_read_without_them(folder):
    name_confidences(folder, "test").unlink()
    (folder / "predictions" / "train_mentions.json").unlink()
    assert {(one.word_scores, one.entity_scores) for one in read_predictions(folder, "test")} == {(None, None)}
    assert read_mentions(folder) is None
    assert read_predictions(folder, "dev") == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}\n" * 3,
        "[1]\n" * 3,
        '{"words":[0.9,0.3,2],"entities":[0.2,0.7]}\n{"words":[1],"entities":[]}\n{"words":[1,1],"entities":[1]}\n',
        '{"words":[0.9,0.3],"entities":[0.2,0.7]}\n{"words":[1],"entities":[]}\n{"words":[1,1],"entities":[1]}\n',
        '{"words":["a",1,1],"entities":[1,1]}\n{"words":[1],"entities":[]}\n{"words":[1,1],"entities":[1]}\n',
        '{"words":1,"entities":2}\n' * 3,
        "\0\n",
    ],
)
def test_damaged_confidences_are_refused_by_name(folder, text):
    name_confidences(folder, "test").write_text(text)
    with pytest.raises(RecipeError, match=r"test.confidences.jsonl: .*: score the run again, or delete the file"):
        read_predictions(folder, "test")


@pytest.mark.parametrize("text", ["", "[]", '{"Oslo": 1}', '{"Oslo": {"LOC": "1"}}', "\0"])
def test_damaged_mentions_are_refused_by_name(folder, text):
    (folder / "predictions" / "train_mentions.json").write_text(text)
    with pytest.raises(RecipeError, match=r"train_mentions.json: .*: score the run again, or delete the file"):
        read_mentions(folder)

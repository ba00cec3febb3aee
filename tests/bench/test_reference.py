"""`bench.reference`: the tags of each document are counted as `score_tags` counts those of all."""

import random

import pytest

from bench.reference import count_tags, format_intervals, measure_tags
from recipe.data.conll import write_conll
from recipe.data.documents import Document, Sentence, list_tags
from recipe.errors import RecipeError
from recipe.evaluation.scoring import REFERENCE, count_row, score_tags


def draw_documents(number):
    draw = random.Random(0)
    tags = [[draw.choices([*REFERENCE], k=6) for _ in range(3)] for _ in range(number)]
    documents = [Document([Sentence(["x"] * 6, list(row)) for row in rows]) for rows in tags]
    return documents, [[draw.choice([tag, "O"]) for tag in row] for rows in tags for row in rows]


def test_the_counts_of_all_documents_are_those_of_the_scores():
    documents, predicted = draw_documents(20)
    counts = count_tags(documents, predicted)
    assert counts.shape == (20, len(REFERENCE), 3)
    rows = [count_row(*row) for row in counts.sum(0).tolist()]
    assert dict(zip(REFERENCE, rows, strict=True)) == score_tags(list_tags(documents), predicted)
    alone = count_tags(documents[:1], predicted[:3])
    assert counts[0].tolist() == alone[0].tolist()


def test_another_test_split_is_refused(tmp_path):
    documents = [Document([Sentence(["Oslo"], ["B-LOC"])])]
    write_conll(tmp_path / "predictions" / "test.conll", documents, [["B-LOC"]])
    with pytest.raises(RecipeError, match=r"test\.conll: not the CoNLL-2003 test split: score the run on it"):
        measure_tags(tmp_path)


def test_a_row_has_the_reference_and_each_run_with_its_interval():
    rows = {tag: {"f1": 0.5, "interval": [0.25, 0.75]} for tag in REFERENCE}
    lines = format_intervals({"a-seed42": {"tags": rows}}).splitlines()
    assert lines[0] == "| tag | reference | a-seed42 |"
    assert lines[2] == "| B-LOC | 0.916 | 0.500 (0.250 to 0.750) |"
    assert len(lines) == 2 + len(REFERENCE)

"""The tags found are the best that IOB2 allows: compared with every sequence there is, on scores drawn at random."""

import tracemalloc
from itertools import product

import numpy as np
import pytest

from recipe.data.schemes import is_well_formed
from recipe.inference.decoding import decode

LABELS = ["O", "B-X", "I-X", "B-Y", "I-Y"]
LENGTHS = [1, 4, 2, 4, 3, 1]


@pytest.fixture(params=range(20))
def scores(request):
    return np.random.default_rng(request.param).normal(size=(sum(LENGTHS), len(LABELS)))


def add_up(scores, tags):
    return sum(row[LABELS.index(tag)] for row, tag in zip(scores, tags, strict=True))


def test_no_allowed_sequence_is_better(scores):
    found = decode(scores, LENGTHS, LABELS)
    assert found != decode(scores, LENGTHS, LABELS, constrained=False)
    for tags, rows in zip(found, np.split(scores, np.cumsum(LENGTHS)[:-1]), strict=True):
        allowed = [other for other in product(LABELS, repeat=len(rows)) if is_well_formed(other, "IOB2")]
        assert tags == list(max(allowed, key=lambda other: add_up(rows, other)))


def test_the_best_label_of_each_word_if_not_constrained(scores):
    found = decode(scores, LENGTHS, LABELS, constrained=False)
    assert [tag for tags in found for tag in tags] == [LABELS[best] for best in scores.argmax(1)]
    assert [len(tags) for tags in found] == LENGTHS


def test_a_type_without_b_is_not_constrained():
    labels = ["O", "I-X", "B-Y", "I-Y"]
    scores = np.array([[0, 9, 0, 0], [0, 0, 5, 9], [0, 0, 0, 9]])
    assert decode(scores, [3], labels) == [["I-X", "B-Y", "I-Y"]]


def test_many_types_take_little_memory():
    labels = ["O", *(f"{prefix}-{kind}" for kind in range(66) for prefix in "BI")]
    scores = np.random.default_rng(0).normal(size=(2000 * 5, len(labels)))
    tracemalloc.start()
    found = decode(scores, [5] * 2000, labels)
    assert tracemalloc.get_traced_memory()[1] < 5 * scores.nbytes
    tracemalloc.stop()
    assert all(is_well_formed(tags, "IOB2") for tags in found)


def test_no_sentences():
    assert decode(np.zeros((0, len(LABELS))), [], LABELS) == []

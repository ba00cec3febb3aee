"""Counts by document add up to the scores, and come back whole from a report."""

import json
import random

import numpy as np
import pytest

from recipe.data.documents import Document, Sentence, list_tags
from recipe.data.schemes import to_iob2
from recipe.evaluation.counts import FEWEST, count_entities, unpack_counts
from recipe.evaluation.scoring import score_entities


def make_documents(number, seed=0):
    """Documents of one to three sentences with random tags, and random predictions for them."""
    draw = random.Random(seed)

    def make_tags():
        return to_iob2([draw.choice(["O", "O", "B-LOC", "I-LOC", "B-PER"]) for _ in range(8)])

    documents = [Document([Sentence(["w"] * 8, make_tags()) for _ in range(draw.randint(1, 3))]) for _ in range(number)]
    return documents, [make_tags() for _ in list_tags(documents)]


def test_hits_guesses_and_support_are_counted_for_each_document_and_type():
    one = Document([Sentence(["a", "b"], ["B-LOC", "O"]), Sentence(["c", "d"], ["B-PER", "I-PER"])])
    documents = [one] + [Document([Sentence(["e"], ["O"])])] * FEWEST
    predicted = [["B-LOC", "B-ORG"], ["B-PER", "O"]] + [["B-LOC"]] * FEWEST
    counts = count_entities(documents, predicted)
    assert (counts.unit, counts.types, counts.values.shape) == ("document", ["LOC", "ORG", "PER"], (1 + FEWEST, 3, 3))
    assert counts.values[0].tolist() == [[1, 1, 1], [0, 1, 0], [0, 1, 1]]
    assert counts.values[1].tolist() == [[0, 1, 0], [0, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize("number", [3, FEWEST, 40])
def test_counts_add_up_to_the_scores(number):
    documents, predicted = make_documents(number)
    counts = count_entities(documents, predicted)
    totals = counts.select(["LOC", "PER"]).sum(0)
    rows = score_entities(list_tags(documents), predicted)
    for name, (hits, guesses, support) in zip(("LOC", "PER", "micro avg"), totals.tolist(), strict=True):
        assert support == rows[name]["support"]
        assert hits / guesses == pytest.approx(rows[name]["precision"])
        assert hits / support == pytest.approx(rows[name]["recall"])


def test_sentences_are_counted_where_there_are_few_documents():
    for number, unit in ((FEWEST - 1, "sentence"), (FEWEST, "document")):
        documents, predicted = make_documents(number)
        counts = count_entities(documents, predicted)
        assert (counts.unit, len(counts.values)) == (unit, number if unit == "document" else len(predicted))


@pytest.mark.parametrize("number", [3, 30])
def test_counts_come_back_whole_from_json(number):
    counts = count_entities(*make_documents(number))
    found = unpack_counts(json.loads(json.dumps(counts.pack())))
    assert (found.unit, found.types) == (counts.unit, counts.types)
    np.testing.assert_array_equal(found.values, counts.values)


def test_counts_without_any_entity_come_back_too():
    counts = count_entities([Document([Sentence(["a"], ["O"])])] * 12, [["O"]] * 12)
    assert unpack_counts(counts.pack()).select([]).tolist() == [[[0, 0, 0]]] * 12


def test_a_type_that_does_not_occur_has_zeros_and_the_sum_is_of_all_types():
    counts = count_entities(*make_documents(20))
    rows = counts.select(["ORG", "LOC"])
    assert not rows[:, 0].any()
    np.testing.assert_array_equal(rows[:, 1], counts.values[:, counts.types.index("LOC")])
    np.testing.assert_array_equal(rows[:, 2], counts.values.sum(1))


@pytest.mark.parametrize(
    "change",
    [
        {"number": 19},
        {"support": {"LOC": "1 2", "PER": "1"}},
        {"hits": {"LOC": " ".join(["9"] * 20), "PER": " ".join(["0"] * 20)}},
        {"guesses": {"LOC": " ".join(["-1"] * 20), "PER": " ".join(["0"] * 20)}},
        {"hits": {}},
        {"hits": {"LOC": 1, "PER": 2}},
    ],
)
def test_damaged_counts_are_refused(change):
    packed = count_entities(*make_documents(20)).pack()
    with pytest.raises((AttributeError, LookupError, TypeError, ValueError)):
        unpack_counts(packed | change)

"""Confidences are those of the model that decodes: compared with every sequence there is, on logits drawn at random."""

from itertools import product

import numpy as np
import pytest

from recipe.data.schemes import is_well_formed, list_entities
from recipe.inference.decoding import compute_posteriors, decode, fit_temperature

LABELS = ["O", "B-X", "I-X", "B-Y", "I-Y"]
LENGTHS = [1, 4, 2, 4, 3, 1]


@pytest.fixture
def logits():
    return np.random.default_rng(0).normal(scale=2, size=(sum(LENGTHS), len(LABELS))).astype("float32")


def list_sequences(rows, constrained):
    """Every sequence of labels that a sentence can have, with its probability."""
    sequences = [tags for tags in product(LABELS, repeat=len(rows)) if not constrained or is_well_formed(tags, "IOB2")]
    totals = [sum(float(row[LABELS.index(tag)]) for row, tag in zip(rows, tags, strict=True)) for tags in sequences]
    weights = np.exp(np.array(totals) - max(totals))
    return list(zip(sequences, weights / weights.sum(), strict=True))


@pytest.mark.parametrize("constrained", [True, False])
def test_a_words_confidence_is_the_share_of_all_sequences_that_give_it_the_label(logits, constrained):
    posteriors = compute_posteriors(logits, LENGTHS, LABELS, constrained)
    np.testing.assert_allclose(posteriors.words.sum(1), 1, atol=1e-12)
    first = 0
    for rows in np.split(logits, np.cumsum(LENGTHS)[:-1]):
        sequences = list_sequences(rows, constrained)
        for place, label in product(range(len(rows)), range(len(LABELS))):
            expected = sum(share for tags, share in sequences if tags[place] == LABELS[label])
            assert posteriors.words[first + place, label] == pytest.approx(expected, abs=1e-9)
        first += len(rows)


@pytest.mark.parametrize("constrained", [True, False])
def test_an_entitys_confidence_is_the_share_of_all_sequences_that_hold_exactly_it(logits, constrained):
    posteriors = compute_posteriors(logits, LENGTHS, LABELS, constrained)
    first = checked = 0
    for rows in np.split(logits, np.cumsum(LENGTHS)[:-1]):
        sequences = list_sequences(rows, constrained)
        for start, stop in product(range(len(rows)), range(1, len(rows) + 1)):
            for kind in "XY":
                if start < stop:
                    expected = sum(share for tags, share in sequences if (start, stop, kind) in list_entities(tags))
                    found = posteriors.score_entity(first + start, first + stop, kind, stop == len(rows))
                    assert found == pytest.approx(expected, abs=1e-9)
                    checked += 1
        first += len(rows)
    assert checked > 50


def test_a_certain_sentence_has_confidence_one_and_large_logits_do_not_overflow():
    logits = np.array([[0, 1e4, 0, 0, 0], [0, 0, 1e4, 0, 0], [1e4, 0, 0, 0, 0]])
    posteriors = compute_posteriors(logits, [3], LABELS)
    assert decode(logits, [3], LABELS) == [["B-X", "I-X", "O"]]
    assert posteriors.score_entity(0, 2, "X", False) == 1
    assert posteriors.score_entity(0, 1, "X", False) == 0


def test_sentences_of_any_size_of_logits_are_read_side_by_side():
    logits = np.array([[0, 1e4, 0, 0, 0], [0, np.log(5), 0, 0, 0]])
    posteriors = compute_posteriors(logits, [1, 1], LABELS)
    found = [posteriors.score_entity(word, word + 1, "X", True) for word in (0, 1)]
    assert found == pytest.approx([1, 5 / 7])  # of O, B-X and B-Y


def test_no_confidence_is_above_one():
    logits = np.random.default_rng(0).normal(scale=20, size=(2000, len(LABELS)))
    posteriors = compute_posteriors(logits, [2] * 1000, LABELS)
    found = [posteriors.score_entity(word, word + 2, "X", True) for word in range(0, 2000, 2)]
    assert max(found) == 1


def test_no_sentences_have_no_posteriors():
    assert compute_posteriors(np.zeros((0, len(LABELS))), [], LABELS).words.shape == (0, len(LABELS))


def test_the_temperature_is_the_one_that_makes_drawn_labels_likely():
    """Labels drawn from logits, which are then made 2.5 times too large: the temperature undoes that."""
    draw, count = np.random.default_rng(1), 4000
    logits = draw.normal(size=(count, len(LABELS)))
    weights = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    gold = np.array([draw.choice(len(LABELS), p=row) for row in weights])
    lengths = [4] * (count // 4)
    assert fit_temperature(2.5 * logits, lengths, gold, LABELS, constrained=False) == pytest.approx(2.5, abs=0.2)
    assert fit_temperature(9.0 * logits, lengths, gold, LABELS, constrained=False) == 4.0
    assert fit_temperature(logits, lengths, logits.argmax(1), LABELS, constrained=False) == 0.25
    assert fit_temperature(logits[:0], [], gold[:0], LABELS) == 1.0


@pytest.mark.parametrize("size", [0.2, 1, 2, 9])
def test_no_other_temperature_makes_the_labels_likelier(size):
    """Of valid sequences only, and between the bounds; the labels are in part those of the highest logits."""
    draw = np.random.default_rng(0)
    logits = size * draw.normal(size=(80, len(LABELS)))
    lengths, firsts = [4] * 20, range(0, 80, 4)
    gold = [
        LABELS.index(tag) for tags in decode(logits + draw.normal(size=logits.shape), lengths, LABELS) for tag in tags
    ]

    def measure(temperature):
        scaled = logits / temperature
        totals = compute_posteriors(scaled, lengths, LABELS).weigh_sentences(np.array(firsts))
        return scaled[np.arange(80), gold].sum() - totals.sum()

    found = fit_temperature(logits, lengths, np.array(gold), LABELS)
    assert found == max((step / 100 for step in range(25, 401)), key=measure)

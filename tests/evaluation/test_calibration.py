"""Calibration of entity confidences."""

import random

import pytest

from recipe.evaluation.calibration import BINS, calibrate
from recipe.evaluation.matches import Case, Match, ScoredSentence

SENTENCE = ScoredSentence(["Oslo"], ["B-LOC"], ["B-LOC"])
RIGHT, WRONG, MISSED = (
    Match((0, 1, "LOC"), (0, 1, "LOC")),
    Match((0, 1, "LOC"), (0, 1, "ORG")),
    Match((0, 1, "LOC"), None),
)


def make_cases(*pairs):
    return [Case(SENTENCE, match, confidence) for match, confidence in pairs]


def test_bins_hold_counts_mean_confidence_and_accuracy():
    found = calibrate(make_cases((RIGHT, 0.9), (RIGHT, 1.0), (WRONG, 0.95), (WRONG, 0.0), (MISSED, 0.99)))
    assert found["count"] == 4  # what is missed was not predicted
    last, first = found["bins"][-1], found["bins"][0]
    assert last == {
        "low": 0.9,
        "high": 1.0,
        "count": 3,
        "confidence": pytest.approx(0.95),
        "accuracy": pytest.approx(2 / 3),
    }
    assert (first["count"], first["accuracy"]) == (1, 0.0)
    assert found["bins"][5] == {"low": 0.5, "high": 0.6, "count": 0, "confidence": None, "accuracy": None}
    assert found["ece"] == pytest.approx((3 * (0.95 - 2 / 3) + 0) / 4)


def test_honest_confidences_have_hardly_an_error_and_boasted_ones_have():
    draw = random.Random(0)
    honest = [draw.random() for _ in range(20_000)]
    pairs = [(RIGHT if draw.random() < confidence else WRONG, confidence) for confidence in honest]
    assert calibrate(make_cases(*pairs))["ece"] < 0.02
    assert calibrate(make_cases(*((match, 1.0) for match, _ in pairs)))["ece"] == pytest.approx(0.5, abs=0.02)
    assert len(calibrate(make_cases(*pairs))["bins"]) == BINS


def test_without_confidences_there_is_nothing_to_say():
    assert calibrate(make_cases((RIGHT, None), (MISSED, None))) == {}
    assert calibrate([]) == {}

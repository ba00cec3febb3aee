"""Calibration: how often predicted entities of a certain confidence are correct (Guo et al. 2017)."""

from collections.abc import Iterable

from recipe.evaluation.matches import CORRECT, Case

BINS = 10


def calibrate(cases: Iterable[Case]) -> dict:
    """Bins of predicted entities by confidence, and the expected calibration error; empty without confidences.

    Returns `ece` and `bins`: for each of `BINS` equal ranges of confidence (`low` to `high`) the `count` of
    predictions, their mean `confidence` and their `accuracy`, the share that is correct; None if there are none. `ece`
    is the mean distance of the two, weighted by the count.
    """
    pairs = [
        (case.confidence, case.match.kind == CORRECT)
        for case in cases
        if case.match.predicted and case.confidence is not None
    ]
    if not pairs:
        return {}
    groups: list[list[tuple[float, bool]]] = [[] for _ in range(BINS)]
    for confidence, is_correct in pairs:
        groups[min(int(confidence * BINS), BINS - 1)].append((confidence, is_correct))
    bins = [_summarize(number, group) for number, group in enumerate(groups)]
    distance = sum(abs(one["confidence"] - one["accuracy"]) * one["count"] for one in bins if one["count"])
    return {"ece": distance / len(pairs), "count": len(pairs), "bins": bins}


def _summarize(number: int, group: list[tuple[float, bool]]) -> dict:
    size = len(group)
    return {
        "low": number / BINS,
        "high": (number + 1) / BINS,
        "count": size,
        "confidence": sum(confidence for confidence, _ in group) / size if size else None,
        "accuracy": sum(is_correct for _, is_correct in group) / size if size else None,
    }

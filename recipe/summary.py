"""The summary of a finished run: one line of JSON, the last on standard output, for programs that start runs."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SCORES = ("precision", "recall", "f1", "loss", "perplexity", "masked_accuracy")  # those of a split that are shown
DIGITS = 4  # after the point


def pick_scores(scores: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, float | None]]:
    """The main scores by split, of `report.json` (entities, micro average) or `metrics.json`."""
    rows = {split: one["entities"]["micro avg"] if "entities" in one else one for split, one in scores.items()}
    return {split: {name: _round(row[name]) for name in SCORES if name in row} for split, row in rows.items()}


def format_summary(
    folder: Path,
    stage: str,
    scores: Mapping[str, Mapping[str, Any]],
    steps: int,
    seconds: float,
    train_seconds: float,
    amount: tuple[str, float],
) -> str:
    """The line: folder, stage, scores by split, steps, seconds and speed, without a line feed.

    scores: by split, from `pick_scores`. amount: what was trained on in all epochs, its unit and its number. The speed
    is None if nothing was trained. seconds, train_seconds: of all starts of the run.
    """
    unit, count = amount
    figures = {
        "seconds": round(seconds, 1),
        "train_seconds": round(train_seconds, 1),
        "steps": steps,
        f"{unit}_per_second": round(count / train_seconds, 1) if train_seconds else None,
    }
    return json.dumps({"folder": str(folder), "stage": stage, "scores": scores, **figures})


def _round(value: float) -> float | None:
    """A score as JSON can say it: None if it is not finite."""
    return round(value, DIGITS) if math.isfinite(value) else None

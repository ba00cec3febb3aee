"""The last line of a run: valid JSON with the main scores."""

import json
import math
from pathlib import Path

from recipe.evaluation.scoring import score
from recipe.summary import format_summary, pick_scores


def test_the_line_has_folder_stage_scores_and_speed():
    scores = pick_scores({"dev": score([["B-PER", "O"]], [["B-PER", "O"]])})
    line = format_summary(Path("runs/ner/x"), "ner", scores, 12, 20.04, 10.0, ("words", 5000))
    assert "\n" not in line
    assert json.loads(line) == {
        "folder": "runs/ner/x",
        "stage": "ner",
        "scores": {"dev": {"precision": 1.0, "recall": 1.0, "f1": 1.0}},
        "seconds": 20.0,
        "train_seconds": 10.0,
        "steps": 12,
        "words_per_second": 500.0,
    }


def test_scores_of_masked_tokens_are_those_of_metrics_json():
    row = {"loss": 1.23456, "perplexity": 3.4369, "masked_accuracy": 0.5, "masked_tokens": 80, "runtime": 2.0}
    assert pick_scores({"dev": row}) == {"dev": {"loss": 1.2346, "perplexity": 3.4369, "masked_accuracy": 0.5}}


def test_what_is_not_known_is_null_and_the_line_stays_json():
    scores = pick_scores({"dev": {"loss": math.nan, "perplexity": math.inf}})
    line = format_summary(Path("x"), "mlm", scores, 0, 1.0, 0.0, ("tokens", 0))
    found = json.loads(line, parse_constant=lambda name: name)
    assert found["scores"] == {"dev": {"loss": None, "perplexity": None}}
    assert found["tokens_per_second"] is None

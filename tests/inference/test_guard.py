"""An export is refused if it loses too much, and the reasons name the limits."""

import math
from pathlib import Path

import numpy as np
import pytest

from recipe.inference.exports import Export
from recipe.inference.guard import format_judged, judge
from recipe.inference.measuring import Costs, Measurement
from recipe.inference.trials import FillingScores, FillingTrial, Outcome, TaggingScores, TaggingTrial

LOGITS = np.array([[2.0, 0.0], [0.0, 1.0]])
BF16, FP32 = Export("openvino", "bf16"), Export("onnx", "fp32")
COSTS = Costs(500.0, 7000.0, 50.0, 2.5, 400.0, 90.0)
TAGGING = TaggingTrial(Path("dev.conll"))
FILLING = FillingTrial(Path("text.txt"), Path("rows.npz"))


def measure(f1=0.9, recall=None, change=0.0, chosen=(0, 1)):
    scores = TaggingScores(f1, recall or {"LOC": 0.8, "PER": 0.9})
    return Measurement(Outcome(scores, LOGITS + np.array([[change, 0], [0, 0]]), np.array(chosen)), COSTS)


def measure_filling(accuracy=0.5, loss=2.0):
    return Measurement(Outcome(FillingScores(accuracy, loss), LOGITS, np.array([0, 1])), COSTS)


def test_an_export_that_finds_the_same_passes():
    judged = judge(FP32, TAGGING, measure(), measure(change=9e-4))
    assert judged.passes
    assert (judged.different, judged.places) == (0, 2)
    assert judged.largest_difference == pytest.approx(9e-4)


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (measure(f1=0.8979), "loses 0.21 points of F1 (limit 0.2)"),
        (measure(recall={"LOC": 0.789, "PER": 0.9}), "loses 1.10 points of recall of LOC (limit 1)"),
        (measure(f1=math.nan), "loses nan points of F1 (limit 0.2)"),
        (measure(recall={"PER": 0.9}), "loses 80.00 points of recall of LOC (limit 1)"),
    ],
)
def test_an_export_that_loses_too_much_is_refused(other, reason):
    assert judge(BF16, TAGGING, measure(), other).reasons == (reason,)


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (measure_filling(accuracy=0.4949), "loses 0.51 points of masked accuracy (limit 0.5)"),
        (measure_filling(loss=2 + math.log(1.021)), "has a perplexity 2.1 % higher (limit 2 %)"),
        (measure_filling(loss=1e9), "has a perplexity"),
        (measure_filling(loss=math.nan), "has a perplexity nan % higher"),
        (measure_filling(accuracy=math.nan), "loses nan points of masked accuracy"),
    ],
)
def test_an_export_that_fills_worse_is_refused(other, reason):
    [found] = judge(BF16, FILLING, measure_filling(), other).reasons
    assert found.startswith(reason)


def test_logits_that_are_no_numbers_are_refused_in_fp32():
    assert judge(FP32, TAGGING, measure(), measure(change=math.nan)).reasons == (
        "a logit differs by nan (limit 0.001)",
    )


def test_limits_themselves_pass():
    assert judge(BF16, TAGGING, measure(), measure(f1=0.8981, recall={"LOC": 0.7901, "PER": 0.8901})).passes
    assert judge(BF16, FILLING, measure_filling(), measure_filling(0.4951, 2 + math.log(1.019))).passes
    assert judge(BF16, FILLING, measure_filling(), measure_filling(0.9, 0.1)).passes


def test_only_fp32_must_agree_in_every_logit_and_tag():
    other = measure(change=2e-3, chosen=(1, 1))
    assert judge(BF16, TAGGING, measure(), other).passes
    assert judge(FP32, TAGGING, measure(), other).reasons == (
        "a logit differs by 2.0e-03 (limit 0.001)",
        "1 words have another tag (limit 0)",
    )


def test_the_table_has_the_model_and_the_refused():
    worse = judge(Export("onnx", "int8"), TAGGING, measure(), measure(f1=0.5), kept=4)
    judged = [judge(BF16, TAGGING, measure(), measure()), worse]
    table = format_judged(TAGGING, measure(), judged).splitlines()
    assert len(table) == 5
    assert table[2].startswith("| torch-fp32, the model itself | 90.00 | 500 | 50 | 7,000 | 400 | 90 | 2.5 |")
    assert table[3].endswith("| 0 of 2 | 0.0e+00 | passes |")
    assert "| onnx-int8, 4 layers in fp32 | 50.00 |" in table[4]
    assert "loses 40.00 points of F1" in table[4]


def test_the_table_of_a_masked_model_has_its_own_scores():
    judged = [judge(BF16, FILLING, measure_filling(), measure_filling())]
    header, _, model, export = format_judged(FILLING, measure_filling(), judged).splitlines()
    assert "| masked accuracy | perplexity | blocks/s, 32 at a time | 1 at a time | masked tokens/s |" in header
    assert model.startswith("| torch-fp32, the model itself | 50.00 | 7.389 | 500 |")
    assert export.endswith("| 0 of 2 | 0.0e+00 | passes |")

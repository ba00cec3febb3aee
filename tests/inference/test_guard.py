"""An export is refused if it loses too much, and the reasons name the limits."""

import numpy as np
import pytest

from recipe.inference.exports import Export
from recipe.inference.guard import format_judged, judge
from recipe.inference.measuring import Figures, Measurement

LOGITS = np.array([[2.0, 0.0], [0.0, 1.0]])
BF16, FP32 = Export("openvino", "bf16"), Export("onnx", "fp32")


def measure(f1=0.9, recall=None, change=0.0, tags=(0, 1)):
    figures = Figures(f1, recall or {"LOC": 0.8, "PER": 0.9}, 500.0, 7000.0, 50.0, 2.5, 400.0, 90.0)
    return Measurement(figures, LOGITS + np.array([[change, 0], [0, 0]]), np.array(tags))


def test_an_export_that_finds_the_same_passes():
    judged = judge(FP32, measure(), measure(change=9e-4))
    assert judged.passes
    assert (judged.different_tags, judged.words) == (0, 2)
    assert judged.largest_difference == pytest.approx(9e-4)


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (measure(f1=0.8979), "loses 0.21 points of F1 (limit 0.2)"),
        (measure(recall={"LOC": 0.789, "PER": 0.9}), "loses 1.10 points of recall of LOC (limit 1)"),
        (measure(recall={"PER": 0.9}), "loses 80.00 points of recall of LOC (limit 1)"),
    ],
)
def test_an_export_that_loses_too_much_is_refused(other, reason):
    assert judge(BF16, measure(), other).reasons == (reason,)


def test_limits_themselves_pass():
    assert judge(BF16, measure(), measure(f1=0.8981, recall={"LOC": 0.7901, "PER": 0.8901})).passes


def test_only_fp32_must_agree_in_every_logit_and_tag():
    other = measure(change=2e-3, tags=(1, 1))
    assert judge(BF16, measure(), other).passes
    assert judge(FP32, measure(), other).reasons == (
        "a logit differs by 2.0e-03 (limit 0.001)",
        "1 words have another tag (limit 0)",
    )


def test_the_table_has_the_model_and_the_refused():
    worse = judge(Export("onnx", "int8"), measure(), measure(f1=0.5), kept=4)
    table = format_judged(measure().figures, [judge(BF16, measure(), measure()), worse]).splitlines()
    assert len(table) == 5
    assert table[2].startswith("| torch-fp32, the model itself | 90.00 | 500 | 50 | 7,000 | 400 | 90 | 2.5 |")
    assert table[3].endswith("| 0 of 2 | 0.0e+00 | passes |")
    assert "| onnx-int8, 4 layers in fp32 | 50.00 |" in table[4]
    assert "loses 40.00 points of F1" in table[4]

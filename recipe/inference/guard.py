"""Whether an export may take the place of its model: the differences of two measurements, and their limits."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from recipe.evaluation.results import format_markdown
from recipe.inference.exports import Export
from recipe.inference.measuring import BATCH, Figures, Measurement

MOST_F1_LOST, MOST_RECALL_LOST = 0.2, 1.0  # points: hundredths of the score
MOST_DIFFERENCE = 1e-3  # of a logit, of an export in fp32
REFERENCE = "torch-fp32, the model itself"
HEADER = ["export", "F1", f"sentences/s, {BATCH} at a time", "1 at a time", "words/s", "MB of memory", "MB on disk"]
HEADER += ["seconds to load", "other tags", "largest difference of a logit", "verdict"]


@dataclass(frozen=True)
class Judged:
    """An export beside its model, which runs on torch in fp32.

    kept: number of linear layers in fp32; None if the precision is not int8. different_tags: number of words with
    another tag. largest_difference: of two logits. reasons: why it is refused; none if it passes.
    """

    export: Export
    kept: int | None
    figures: Figures
    words: int
    different_tags: int
    largest_difference: float
    reasons: tuple[str, ...]

    @property
    def passes(self) -> bool:
        """Whether no limit is exceeded."""
        return not self.reasons

    def describe(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {"name": self.export.name, "passes": self.passes} | asdict(self)


def judge(export: Export, model: Measurement, other: Measurement, kept: int | None = None) -> Judged:
    """Compare the measurement of an export with that of its model, on the same file."""
    different = int((model.tags != other.tags).sum())
    largest = float(np.abs(model.logits - other.logits).max(initial=0))
    reasons = []
    lost = 100 * (model.figures.f1 - other.figures.f1)
    if lost > MOST_F1_LOST:
        reasons.append(f"loses {lost:.2f} points of F1 (limit {MOST_F1_LOST})")
    for kind, recall in model.figures.recall.items():
        lost = 100 * (recall - other.figures.recall.get(kind, 0.0))
        if lost > MOST_RECALL_LOST:
            reasons.append(f"loses {lost:.2f} points of recall of {kind} (limit {MOST_RECALL_LOST:g})")
    if export.precision == "fp32" and largest > MOST_DIFFERENCE:
        reasons.append(f"a logit differs by {largest:.1e} (limit {MOST_DIFFERENCE:g})")
    if export.precision == "fp32" and different:
        reasons.append(f"{different} words have another tag (limit 0)")
    return Judged(export, kept, other.figures, len(model.tags), different, largest, tuple(reasons))


def format_judged(model: Figures, judged: list[Judged]) -> str:
    """A Markdown table: the model and its exports."""
    rows = [[REFERENCE, *_format_figures(model), "", "", ""]]
    for one in judged:
        kept = f", {one.kept} layers in fp32" if one.kept else ""
        verdict = "passes" if one.passes else "; ".join(one.reasons)
        differences = [f"{one.different_tags} of {one.words}", f"{one.largest_difference:.1e}"]
        rows.append([one.export.name + kept, *_format_figures(one.figures), *differences, verdict])
    return format_markdown(HEADER, rows)


def _format_figures(figures: Figures) -> list[str]:
    speeds = (figures.sentences_per_second, figures.alone_per_second, figures.words_per_second)
    sizes = (figures.memory, figures.size)
    return [f"{100 * figures.f1:.2f}", *(f"{one:,.0f}" for one in (*speeds, *sizes)), f"{figures.load_seconds:.1f}"]

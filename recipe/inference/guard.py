"""Whether an export may take the place of its model: the differences of two measurements, and their limits."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from recipe.evaluation.results import format_markdown
from recipe.inference.exports import Export
from recipe.inference.measuring import BATCH, Costs, Measurement
from recipe.inference.trials import Outcome, Trial

MOST_DIFFERENCE = 1e-3  # of a logit or log-probability, of an export in fp32
REFERENCE = "torch-fp32, the model itself"
COSTS = ["MB of memory", "MB on disk", "seconds to load"]


@dataclass(frozen=True)
class Judged:
    """An export beside its model, which runs on torch in fp32.

    kept: number of linear layers in fp32; None if the precision is not int8. places: at which something is predicted,
    such as words. different: number of them with another tag or token. largest_difference: of two logits or
    log-probabilities.
    reasons: why it is refused; none if it passes.
    """

    export: Export
    trial: Trial
    kept: int | None
    measured: Measurement
    places: int
    different: int
    largest_difference: float
    reasons: tuple[str, ...]

    @property
    def passes(self) -> bool:
        """Whether no limit is exceeded."""
        return not self.reasons

    def describe(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        plain = {"name": self.export.name, "passes": self.passes, "export": asdict(self.export), "kept": self.kept}
        plain["figures"] = self.measured.figures
        plain |= dict(zip(self.trial.keys, (self.places, self.different), strict=True))
        return plain | {"largest_difference": self.largest_difference, "reasons": self.reasons}


def judge(export: Export, trial: Trial, model: Measurement, other: Measurement, kept: int | None = None) -> Judged:
    """Compare the measurement of an export with that of its model, on the same trial."""
    expected, found = model.outcome, other.outcome
    different = int((expected.chosen != found.chosen).sum())
    largest = float(np.abs(expected.logits - found.logits).max(initial=0))
    reasons = found.scores.list_losses(expected.scores)
    if export.precision == "fp32" and not largest <= MOST_DIFFERENCE:  # it can be nan
        reasons.append(f"a {trial.compared} differs by {largest:.1e} (limit {MOST_DIFFERENCE:g})")
    if export.precision == "fp32" and different:
        reasons.append(f"{different} {trial.places} have another {trial.other} (limit 0)")
    return Judged(export, trial, kept, other, len(expected.chosen), different, largest, tuple(reasons))


def format_judged(trial: Trial, model: Measurement, judged: list[Judged]) -> str:
    """A Markdown table: the model and its exports."""
    header = ["export", *model.outcome.scores.names, f"{trial.items}/s, {BATCH} at a time", "1 at a time"]
    header += [f"{trial.places}/s"]
    header += [*COSTS, f"another {trial.other}", f"largest difference of a {trial.compared}", "verdict"]
    rows = [[REFERENCE, *_format(model.outcome, model.costs), "", "", ""]]
    for one in judged:
        kept = f", {one.kept} layers in fp32" if one.kept else ""
        verdict = "passes" if one.passes else "; ".join(one.reasons)
        differences = [f"{one.different} of {one.places}", f"{one.largest_difference:.1e}"]
        measured = one.measured
        rows.append([one.export.name + kept, *_format(measured.outcome, measured.costs), *differences, verdict])
    return format_markdown(header, rows)


def _format(outcome: Outcome, costs: Costs) -> list[str]:
    speeds = (costs.sentences_per_second, costs.alone_per_second, costs.words_per_second)
    sizes = (costs.memory, costs.size)
    return [*outcome.scores.format(), *(f"{one:,.0f}" for one in (*speeds, *sizes)), f"{costs.load_seconds:.1f}"]

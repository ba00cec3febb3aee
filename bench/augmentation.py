"""The table of augmentation: how much changed copies of few or many training documents help. `bench.report` prints it.

make study RUNS="minilm-train*" makes its 72 runs: four shares of the training documents, six augmentations, three
seeds. Finished ones are skipped and an interrupted one continues. On two cores, expect two minutes for a run on 1 % of
the documents, eight on all of them, and six hours for the whole table, after the masked pretraining that `fill` uses.
RUNS="*-train10-none-*" adds masked pretraining and soft labels of MPNet, trained on the same 10 % of the documents.
"""

from collections import defaultdict
from math import isnan
from statistics import mean

import numpy as np

from bench.runs import AUGMENTED, AUGMENTED_STEPS, Run
from recipe.evaluation.counts import unpack_counts
from recipe.evaluation.results import format_markdown, format_mean, read_f1
from recipe.evaluation.uncertainty import find_difference_intervals, find_intervals

BASELINE = "none"


def format_augmentation(study: list[tuple[Run, dict]], split: str = "test") -> str:
    """A Markdown table with a row for each share of the training documents and each augmentation.

    F1 in percent (mean ± sd over the seeds), its 95 % interval over documents, the gain over no augmentation with its
    interval, and the expected calibration error in percent. Empty without such runs.
    """
    groups = defaultdict(list)
    for run, report in study:
        if run.percent and not run.trial:
            groups[run.percent, _describe(run)].append(report)
    names = list(dict.fromkeys([*AUGMENTED, *(name for _, name in groups)]))
    rows = []
    for percent in AUGMENTED_STEPS:
        for name in [name for name in names if groups.get((percent, name))]:
            reports, others = groups[percent, name], groups.get((percent, BASELINE), [])
            cells = [format_mean(reports, split), _format_f1_interval(reports, split)]
            cells += [_format_gain(reports, others, split) if name != BASELINE else "", _format_ece(reports, split)]
            rows.append([f"{percent} %", name, *cells, str(len(reports))])
    header = ["documents", "augmentation", f"{split} F1", "95 % interval", "gain", "calibration error", "seeds"]
    return format_markdown(header, rows) if rows else ""


def _describe(run: Run) -> str:
    """The augmentation of a run, and before it what else differs from a fine-tuning of MiniLM."""
    parts = [run.encoder.replace("minilm", ""), f"mlm{run.millions}M" * bool(run.millions), run.extra]
    parts.append("" if run.augmentation == BASELINE else run.augmentation)
    return ", ".join(filter(None, parts)) or BASELINE


def _count(reports: list[dict], split: str) -> np.ndarray:
    """Hits, guesses and support of all types in sum by document, of each seed: (documents, 1, 3, seeds)."""
    return np.stack([unpack_counts(report[split]["documents"]).select([]) for report in reports], -1)


def _format_f1_interval(reports: list[dict], split: str) -> str:
    low, high = 100 * find_intervals(_count(reports, split))[0]
    return "-" if isnan(low) else f"{low:.1f} to {high:.1f}"


def _format_gain(reports: list[dict], others: list[dict], split: str) -> str:
    """The gain of `reports` over `others` in points, with its 95 % interval; a dash if one of them is missing."""
    if not others:
        return "-"
    gain = mean(read_f1(report, split) for report in reports) - mean(read_f1(one, split) for one in others)
    low, high = 100 * find_difference_intervals(_count(others, split), _count(reports, split))[0]
    return f"{gain:+z.1f}" if isnan(low) else f"{gain:+z.1f} ({low:+z.1f} to {high:+z.1f})"


def _format_ece(reports: list[dict], split: str) -> str:
    errors = [report.get("calibration", {}).get(split) for report in reports]
    return "-" if None in errors else f"{100 * mean(errors):.1f}"

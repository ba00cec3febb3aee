"""The difference between two systems' counts by document, as a row of results and as text."""

from collections.abc import Sequence

import numpy as np

from recipe.evaluation.uncertainty import average_f1, find_difference_intervals, find_p_values, list_runs


def compare(plain: np.ndarray, changed: np.ndarray, names: Sequence[str]) -> dict[str, dict]:
    """F1 in percent before and after, the 95 % interval of the difference in points, and its p-value over documents.

    plain, changed: counts of the same documents, (documents, rows, 3), with a last axis of runs for a group of them.
    names: of the rows. The interval is None if no document differs.
    """
    before, after = (100 * average_f1(list_runs(counts).sum(0)) for counts in (plain, changed))
    intervals, p_values = 100 * find_difference_intervals(plain, changed), find_p_values(plain, changed)
    return {
        name: {
            "before": before[row],
            "after": after[row],
            "interval": None if np.isnan(intervals[row]).any() else intervals[row].tolist(),
            "p": p_values[row],
        }
        for row, name in enumerate(names)
    }


def format_change(row: dict) -> str:
    """The difference of a row of `compare` in points, with its interval."""
    change = f"{row['after'] - row['before']:+z.2f}"
    return f"{change} ({' to '.join(f'{end:+z.2f}' for end in row['interval'])})" if row["interval"] else change

"""How sure a score or a difference is: bootstrap intervals, and tests of the difference between two systems.

Arrays of counts have the shape (units, rows, 3): for each unit (a document or a sentence) and row (an entity type or
all types in sum) its hits, guesses and support, as in `recipe.evaluation.counts`. Those of a group of runs have the
shape (units, rows, 3, runs); the F1 of a group is the mean of the F1 of its runs. All draws are seeded.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from math import comb, lcm, sqrt
from statistics import NormalDist

import numpy as np

from recipe.seeds import derive_seed

LEVEL = 0.95  # of the intervals
SIGNIFICANT = 0.05
DRAWS = 2_000  # of a bootstrap
SWAPS = 10_000  # of a test
MOST_NUMBERS = 20_000_000  # weights and totals of draws, held in memory at a time
MOST_DIVISIONS = 200_000  # of seeds into two groups; of more, `SWAPS` are drawn
EQUAL = 1e-12  # differences of F1 that rounding alone can make

Statistic = Callable[[np.ndarray], np.ndarray]  # counts in sum, (draws, rows, 3, runs) -> (draws, rows)


def compute_f1(counts: np.ndarray) -> np.ndarray:
    """F1 between 0 and 1 of counts (..., 3): (...). NaN where there is no entity at all."""
    entities = counts[..., 1] + counts[..., 2]
    return np.divide(2 * counts[..., 0], entities, out=np.full(entities.shape, np.nan), where=entities > 0)


def average_f1(counts: np.ndarray, undefined: float = np.nan) -> np.ndarray:
    """The mean F1 of the runs of a group, from counts (..., 3, runs): (...).

    undefined: F1 of a run without any entity. If it is NaN, so is the mean.
    """
    return np.nan_to_num(compute_f1(np.moveaxis(counts, -1, -2)), nan=undefined).mean(-1)


def list_runs(counts: np.ndarray) -> np.ndarray:
    """Counts with an axis of runs, also those of a single run: (units, rows, 3, runs)."""
    return counts if counts.ndim == 4 else counts[..., None]


def find_intervals(counts: np.ndarray) -> np.ndarray:
    """The 95 % interval of the F1 of each row: (rows, 2). See `_bootstrap`."""
    return _bootstrap(list_runs(counts), average_f1)


def find_difference_intervals(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """The 95 % interval of the F1 of `theirs` minus that of `ours`, for each row: (rows, 2).

    Both are counts of the same units, which are resampled together.
    """

    ours, theirs = list_runs(ours), list_runs(theirs)
    number = ours.shape[-1]

    def subtract(totals: np.ndarray) -> np.ndarray:
        return average_f1(totals[..., number:]) - average_f1(totals[..., :number])

    return _bootstrap(np.concatenate([ours, theirs], -1), subtract)


def _bootstrap(counts: np.ndarray, statistic: Statistic) -> np.ndarray:
    """Expanded percentile intervals (Hesterberg, 2015) of a statistic, by resampling units: (rows, 2).

    Plain percentile intervals are too narrow for few units, and BCa intervals are no better for F1 (docs/statistics.md
    has the coverage of each). The expanded ones take wider percentiles, by the factor between Student's t and the
    normal distribution. NaN where no resample differs from another, which says nothing.
    """
    units = len(counts)
    if units < 2:
        return np.full((counts.shape[1], 2), np.nan)
    kinds, numbers = np.unique(counts, axis=0, return_counts=True)  # equal units are drawn together
    random = np.random.default_rng(derive_seed("bootstrap"))
    drawn = [
        statistic(np.tensordot(random.multinomial(units, numbers / units, size).astype(float), kinds, 1))
        for size in _divide(DRAWS, len(kinds) + kinds[0].size)
    ]
    values = np.concatenate(drawn)
    values[:, np.isnan(values).all(0)] = 0
    tail = NormalDist().cdf(-sqrt(units / (units - 1)) * _find_t(units - 1))
    ends = np.nanquantile(values, [tail, 1 - tail], axis=0).T
    return np.where(np.ptp(ends, axis=1, keepdims=True) > EQUAL, ends, np.nan)


def _find_t(freedom: int) -> float:
    """The quantile of Student's t for `LEVEL`, by the expansion of Cornish and Fisher; exact to 0.01 from 7 degrees."""
    z = NormalDist().inv_cdf((1 + LEVEL) / 2)
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)


def _divide(draws: int, width: int) -> Iterator[int]:
    """`draws` in parts that need at most `MOST_NUMBERS` numbers each, `width` for a draw."""
    size = max(1, min(draws, MOST_NUMBERS // width))
    yield from (min(size, draws - done) for done in range(0, draws, size))


def find_p_values(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """The p-value of the difference in F1 of each row: (rows,), by approximate randomisation (Noreen 1989, Yeh 2000).

    If the two systems were equally good, their counts of a document could as well be swapped. So they are swapped at
    random, and p is (1 + swaps with at least the observed difference) / (1 + swaps). Two-sided. For groups, a swap is
    that of whole documents between the runs of `_pair_runs`.
    """
    ours, theirs = _pair_runs(list_runs(ours), list_runs(theirs))
    differing = (ours != theirs).any((1, 2, 3))
    if not differing.any():
        return np.ones(ours.shape[1])
    pairs = np.stack([ours, theirs], -1)[differing]
    kinds, numbers = np.unique(pairs, axis=0, return_counts=True)
    change = kinds[..., 1] - kinds[..., 0]
    our_total, their_total = ours.sum(0), theirs.sum(0)
    random = np.random.default_rng(derive_seed("swaps"))
    least, extreme = _subtract(our_total, their_total) - EQUAL, np.ones(ours.shape[1])
    for size in _divide(SWAPS, len(kinds) + change[0].size):
        moved = np.tensordot(random.binomial(numbers, 0.5, (size, len(kinds))).astype(float), change, 1)
        extreme += (_subtract(our_total + moved, their_total - moved) >= least).sum(0)
    return extreme / (1 + SWAPS)


def _pair_runs(ours: np.ndarray, theirs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two groups of as many runs each, in pairs: (units, rows, 3, pairs).

    Runs of groups of different sizes are repeated, all those of a group equally often, which keeps the mean of F1.
    """
    pairs = lcm(ours.shape[-1], theirs.shape[-1])
    return np.tile(ours, pairs // ours.shape[-1]), np.tile(theirs, pairs // theirs.shape[-1])


def _subtract(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """The absolute difference in mean F1, from counts (..., 3, runs); F1 is 0 where there is no entity."""
    return np.abs(average_f1(ours, undefined=0) - average_f1(theirs, undefined=0))


def find_seed_p_value(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The p-value of the difference between the means of two groups of runs, each value the F1 of a seed. Two-sided.

    A permutation test: the share of all divisions of the runs into groups of these sizes whose means differ at least as
    much as those of the given division.
    """
    values, size = np.array([*ours, *theirs]), len(ours)
    if comb(len(values), size) <= MOST_DIVISIONS:
        chosen = np.array(list(combinations(range(len(values)), size)))  # the first is the given division
    else:
        random = np.random.default_rng(derive_seed("divisions"))
        drawn = random.random((SWAPS, len(values))).argsort(1)[:, :size]
        chosen = np.vstack([np.arange(size), drawn])
    sums = values[chosen].sum(1)
    differences = np.abs(sums / size - (values.sum() - sums) / len(theirs))
    return float((differences >= differences[0] - EQUAL).mean())


def find_least_seed_p(ours: int, theirs: int) -> float:
    """The smallest p-value that `find_seed_p_value` can give for groups of these sizes."""
    return (2 if ours == theirs else 1) / comb(ours + theirs, ours)

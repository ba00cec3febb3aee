"""How often 95 % intervals contain the true F1, on simulated documents: `python -m bench.coverage`, a few minutes.

Compares the recipe's intervals with plain percentile and BCa intervals. Writes `results/statistics/coverage.json`.
"""

import json
from collections import Counter
from pathlib import Path
from statistics import NormalDist

import numpy as np

from recipe.evaluation.uncertainty import DRAWS, compute_f1, find_intervals
from recipe.hub.provenance import find_commit

RESULTS = Path("results/statistics")
TRIALS = 1_000  # the standard error of a coverage is 0.7 points
DOCUMENTS = (10, 20, 50, 100, 231)
F1 = 0.9  # of the population
LEVELS = (0.025, 0.975)


def draw_counts(random: np.random.Generator, documents: int) -> np.ndarray:
    """Counts of one row, (documents, 1, 3): documents of very different lengths, some harder than others."""
    support = random.geometric(1 / 15, documents)
    ease = random.beta(20 * F1, 20 * (1 - F1), documents)
    hits = random.binomial(support, ease)
    return np.stack([hits, hits + random.poisson(support * (1 - ease)), support], -1)[:, None]


def resample(counts: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """F1 of each resample, (draws,)."""
    weights = random.multinomial(len(counts), np.full(len(counts), 1 / len(counts)), DRAWS)
    return compute_f1(np.tensordot(weights.astype(float), counts, 1))[:, 0]


def find_bca_levels(counts: np.ndarray, values: np.ndarray) -> list[float]:
    """The quantiles of the resamples `values` that bound the bias-corrected and accelerated interval (Efron, 1987)."""
    normal, total = NormalDist(), counts.sum(0)
    share = ((values < compute_f1(total)).mean() + (values <= compute_f1(total)).mean()) / 2
    bias = normal.inv_cdf(float(np.clip(share, 1 / DRAWS, 1 - 1 / DRAWS)))
    left_out = compute_f1(total - counts)[:, 0]
    spread = left_out.mean() - left_out
    acceleration = (spread**3).sum() / max(6 * (spread**2).sum() ** 1.5, 1e-12)
    shifted = [bias + normal.inv_cdf(level) for level in LEVELS]
    return [normal.cdf(bias + value / (1 - acceleration * value)) for value in shifted]


def find_all(counts: np.ndarray, random: np.random.Generator) -> dict[str, np.ndarray]:
    """The interval of each method, (2,)."""
    values = resample(counts, random)
    return {
        "percentile": np.quantile(values, LEVELS),
        "BCa": np.quantile(values, find_bca_levels(counts, values)),
        "the recipe's": find_intervals(counts)[0],
    }


def measure(documents: int) -> dict[str, float]:
    """The percentage of intervals of each method that contain `F1`."""
    random, covered = np.random.default_rng(documents), Counter()
    for _ in range(TRIALS):
        found = find_all(draw_counts(random, documents), random)
        covered.update({name: int(low <= F1 <= high) for name, (low, high) in found.items()})
    return {name: 100 * number / TRIALS for name, number in covered.items()}


def main() -> None:
    """Measure and write all coverages."""
    rows = {str(documents): measure(documents) for documents in DOCUMENTS}
    result = {"commit": find_commit(), "trials": TRIALS, "draws": DRAWS, "f1": F1, "coverage": rows}
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "coverage.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()

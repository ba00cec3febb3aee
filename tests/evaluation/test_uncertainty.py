"""Intervals contain the true F1 as often as they say, and p-values are uniform where there is nothing to find."""

from itertools import product

import numpy as np
import pytest

from recipe.evaluation import uncertainty
from recipe.evaluation.uncertainty import (
    compute_f1,
    find_difference_intervals,
    find_intervals,
    find_least_seed_p,
    find_p_values,
    find_seed_p_value,
)


def draw_counts(random, documents, skill=0.9):
    """Counts of one row: documents of very different lengths, some harder than others: (documents, 1, 3).

    The F1 of the population is `skill`, because the expected number of guesses is the expected support.
    """
    support = random.geometric(1 / 15, documents)
    return draw_run(random, support, random.beta(20 * skill, 20 * (1 - skill), documents))


def test_f1_is_that_of_precision_and_recall():
    counts = np.array([[3, 4, 6], [0, 5, 5], [0, 0, 0]])
    f1 = compute_f1(counts)
    assert f1[0] == pytest.approx(2 * (3 / 4) * (3 / 6) / (3 / 4 + 3 / 6))
    assert f1[1] == 0
    assert np.isnan(f1[2])


def test_intervals_cover_the_true_f1_in_95_of_100_draws(monkeypatch):
    monkeypatch.setattr(uncertainty, "DRAWS", 1_000)
    random = np.random.default_rng(1)
    covered = 0
    for _ in range(500):
        low, high = find_intervals(draw_counts(random, 231))[0]
        covered += low <= 0.9 <= high
    assert 0.93 <= covered / 500 <= 0.97


def test_intervals_of_a_difference_cover_the_true_one_in_95_of_100_draws(monkeypatch):
    monkeypatch.setattr(uncertainty, "DRAWS", 1_000)
    random = np.random.default_rng(2)
    covered = 0
    for _ in range(500):
        ours, theirs = draw_counts(random, 100, 0.88), draw_counts(random, 100, 0.91)
        low, high = find_difference_intervals(ours, theirs)[0]
        covered += low <= 0.03 <= high
    assert 0.93 <= covered / 500 <= 0.97


def draw_pair(random, documents):
    """Counts of two systems that are equally good, on the same gold: each mistake is a coin that both throw."""
    support = random.geometric(1 / 6, documents)
    ease = random.beta(9, 1, documents)
    return [draw_run(random, support, ease) for _ in range(2)]


def draw_run(random, support, ease):
    """Counts of one row of a run that finds entities with the probability `ease`: (documents, 1, 3)."""
    hits = random.binomial(support, ease)
    return np.stack([hits, hits + random.poisson(support * (1 - ease)), support], -1)[:, None]


def measure_distance(p_values):
    """The largest distance between the distribution of the p-values and the uniform one."""
    steps = np.arange(1, len(p_values) + 1) / len(p_values)
    return max(np.abs(np.sort(p_values) - steps).max(), np.abs(np.sort(p_values) - steps + steps[0]).max())


def test_p_values_are_uniform_if_two_systems_are_equally_good(monkeypatch):
    monkeypatch.setattr(uncertainty, "SWAPS", 999)
    random = np.random.default_rng(3)
    p_values = [find_p_values(*draw_pair(random, 60))[0] for _ in range(500)]
    assert measure_distance(p_values) < 1.36 / np.sqrt(500)  # Kolmogorov and Smirnov, 5 %


def test_a_real_difference_has_a_small_p_value_in_most_draws():
    random = np.random.default_rng(4)
    found = [find_p_values(draw_counts(random, 200, 0.85), draw_counts(random, 200, 0.92))[0] for _ in range(20)]
    assert np.mean(np.array(found) < 0.05) > 0.9


def test_the_p_value_is_that_of_all_swaps():
    random = np.random.default_rng(5)
    ours, theirs = draw_counts(random, 10, 0.85), draw_counts(random, 10, 0.9)
    observed = abs(compute_f1(ours.sum(0)) - compute_f1(theirs.sum(0)))[0]
    extreme = 0
    for swaps in product((False, True), repeat=10):
        swapped = np.array(swaps)[:, None, None]
        a, b = np.where(swapped, theirs, ours), np.where(swapped, ours, theirs)
        extreme += abs(compute_f1(a.sum(0)) - compute_f1(b.sum(0)))[0] >= observed - 1e-12
    assert 0.02 < extreme / 1024 < 0.98
    assert find_p_values(ours, theirs)[0] == pytest.approx(extreme / 1024, abs=0.02)


def average_f1(*runs):
    """The mean F1 of the runs of a group, from counts (documents, 1, 3)."""
    return np.mean([compute_f1(run.sum(0))[0] for run in runs])


def make_opposed_groups(documents=40):
    """Two groups of two runs: the second has the better mean F1, but the worse F1 of mean counts."""
    support = np.random.default_rng(13).integers(8, 13, documents)
    rows = [(support - 2, support), (support - 2, support + 1), (support - 1, support - 1), (support, 2 * support)]
    runs = [np.stack([hits, guesses, support], -1)[:, None] for hits, guesses in rows]
    return runs[:2], runs[2:]


def test_the_difference_of_groups_is_that_of_their_mean_f1():
    ours, theirs = make_opposed_groups()
    change = average_f1(*theirs) - average_f1(*ours)
    assert change > 0 > average_f1(np.mean(theirs, 0)) - average_f1(np.mean(ours, 0))
    [[low, high]] = find_difference_intervals(np.stack(ours, -1), np.stack(theirs, -1))
    assert 0 < low < change < high
    for group in (ours, theirs):
        [[low, high]] = find_intervals(np.stack(group, -1))
        assert low < average_f1(*group) < high


@pytest.mark.parametrize(("ours", "theirs"), [(2, 2), (1, 2), (3, 2)])
def test_the_p_value_of_groups_is_that_of_all_swaps_of_whole_documents(ours, theirs):
    random = np.random.default_rng(17)
    support = random.geometric(1 / 6, 8)
    first, other = ([draw_run(random, support, 0.85) for _ in range(runs)] for runs in (ours, theirs))
    pairs = list(product(first, other)) if ours != theirs else list(zip(first, other, strict=True))
    observed = abs(average_f1(*first) - average_f1(*other))
    extreme = 0
    for swaps in product((False, True), repeat=8):
        swapped = np.array(swaps)[:, None, None]
        a, b = ([np.where(swapped, *pair[::step]) for pair in pairs] for step in (-1, 1))
        extreme += abs(average_f1(*a) - average_f1(*b)) >= observed - 1e-12
    assert 0.02 < extreme / 256 < 0.98
    found = find_p_values(np.stack(first, -1), np.stack(other, -1))[0]
    assert found == pytest.approx(extreme / 256, abs=0.015)


@pytest.mark.parametrize(("ours", "theirs"), [(3, 3), (1, 3), (2, 3)])
def test_p_values_are_uniform_if_two_groups_are_equally_good(monkeypatch, ours, theirs):
    monkeypatch.setattr(uncertainty, "SWAPS", 499)
    random = np.random.default_rng(18)
    p_values = []
    for _ in range(400):
        support = random.geometric(1 / 6, 60)
        first, other = ([draw_run(random, support, 0.9) for _ in range(runs)] for runs in (ours, theirs))
        p_values.append(find_p_values(np.stack(first, -1), np.stack(other, -1))[0])
    assert measure_distance(p_values) < 1.36 / np.sqrt(400)


def test_groups_of_one_run_have_the_figures_of_the_run():
    ours, theirs = draw_pair(np.random.default_rng(16), 50)
    assert find_intervals(ours[..., None]).tolist() == find_intervals(ours).tolist()
    for compare in (find_difference_intervals, find_p_values):
        assert compare(ours[..., None], theirs[..., None]).tolist() == compare(ours, theirs).tolist()


def test_p_values_and_differences_have_a_direction_that_does_not_matter_and_one_that_does():
    ours, theirs = draw_pair(np.random.default_rng(6), 50)
    assert find_p_values(ours, theirs) == pytest.approx(find_p_values(theirs, ours), abs=0.02)
    low, high = find_difference_intervals(ours, theirs)[0]
    assert find_difference_intervals(theirs, ours)[0] == pytest.approx([-high, -low], abs=0.005)
    assert low < compute_f1(theirs.sum(0)) - compute_f1(ours.sum(0)) < high


def test_the_same_counts_have_no_difference():
    counts = draw_counts(np.random.default_rng(7), 30)
    assert find_p_values(counts, counts).tolist() == [1.0]
    assert np.isnan(find_difference_intervals(counts, counts)).all()


def test_each_row_has_figures_of_its_own():
    random = np.random.default_rng(8)
    pairs = [draw_pair(random, 40) for _ in range(3)]
    ours, theirs = (np.concatenate(side, 1) for side in zip(*pairs, strict=True))
    rows = find_intervals(ours)
    assert rows.shape == (3, 2)
    for row, (one, other) in enumerate(pairs):
        assert rows[row] == pytest.approx(find_intervals(one)[0], abs=0.01)
        assert find_p_values(ours, theirs)[row] == pytest.approx(find_p_values(one, other)[0], abs=0.03)


def test_figures_are_the_same_each_time_in_any_order_of_documents_and_with_little_memory(monkeypatch):
    ours, theirs = draw_pair(np.random.default_rng(9), 50)

    def compute(order):
        a, b = ours[order], theirs[order]
        return [find_intervals(a).tolist(), find_difference_intervals(a, b).tolist(), find_p_values(a, b).tolist()]

    expected = compute(np.arange(50))
    assert compute(np.arange(50)[::-1]) == expected
    monkeypatch.setattr(uncertainty, "MOST_NUMBERS", 5_000)
    assert compute(np.arange(50)) == expected


def test_an_interval_is_narrower_over_more_documents():
    random = np.random.default_rng(10)
    widths = [float(np.ptp(find_intervals(draw_counts(random, documents))[0])) for documents in (25, 400)]
    assert widths[0] / widths[1] == pytest.approx(4, rel=0.4)


@pytest.mark.parametrize(
    "counts", [np.full((20, 1, 3), 4), np.zeros((20, 1, 3), int), np.full((1, 1, 3), 4), np.array([[[0, 1, 2]]] * 9)]
)
def test_there_is_no_interval_where_no_document_differs(counts):
    assert np.isnan(find_intervals(counts)).all()


def test_resamples_without_any_entity_do_not_count_as_zero():
    counts = np.zeros((30, 1, 3), int)
    counts[:2, 0] = [[9, 10, 10], [8, 10, 10]]  # 13 % of the resamples have neither
    low, high = find_intervals(counts)[0]
    assert low == pytest.approx(0.8)
    assert high == pytest.approx(0.9)


@pytest.mark.parametrize(("freedom", "expected"), [(9, 2.262), (19, 2.093), (230, 1.970)])
def test_the_quantiles_are_those_of_student(freedom, expected):
    assert uncertainty._find_t(freedom) == pytest.approx(expected, abs=0.005)


def test_three_seeds_against_three_cannot_have_a_p_value_below_a_tenth():
    assert find_least_seed_p(3, 3) == pytest.approx(0.1)
    assert find_seed_p_value([90.1, 90.2, 90.3], [99.1, 99.2, 99.3]) == pytest.approx(0.1)
    assert find_least_seed_p(4, 4) == pytest.approx(2 / 70)
    assert find_seed_p_value([1, 2, 3, 4], [5, 6, 7, 8]) == pytest.approx(2 / 70)


@pytest.mark.parametrize(("ours", "theirs"), [(1, 1), (1, 3), (3, 1), (2, 3), (4, 4)])
def test_no_groups_of_seeds_have_a_smaller_p_value_than_is_said(ours, theirs):
    random = np.random.default_rng(11)
    found = [find_seed_p_value(random.random(ours), random.random(theirs)) for _ in range(300)]
    found.append(find_seed_p_value(np.full(ours, 0.0), 5 + random.random(theirs)))
    assert min(found) == pytest.approx(find_least_seed_p(ours, theirs))


def test_the_p_value_over_seeds_counts_divisions_by_hand():
    assert find_seed_p_value([1, 2], [4]) == pytest.approx(1 / 3)  # 1 and 2 | 4 differs by 2.5, as no other
    assert find_seed_p_value([1, 2], [3]) == pytest.approx(2 / 3)  # 2 and 3 | 1 differs as much
    assert find_seed_p_value([1, 3], [2]) == 1
    assert find_seed_p_value([90.0], [95.0]) == 1


def test_many_seeds_are_tested_by_random_divisions():
    random = np.random.default_rng(12)
    assert find_seed_p_value(random.normal(0, 1, 30), random.normal(3, 1, 30)) < 0.001
    assert find_seed_p_value(np.arange(0, 60, 2), np.arange(1, 61, 2)) > 0.5

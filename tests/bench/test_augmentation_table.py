"""The table of augmentation says what its runs measured."""

import numpy as np

from bench.augmentation import format_augmentation
from bench.runs import Run
from recipe.evaluation.counts import Counts


def make_run(name, seed, hits, percent=5, ece=0.02):
    """A run that finds so many of the ten entities in each document, and guesses ten."""
    values = np.array([[[count, 10, 10]] for count in hits])
    f1 = sum(hits) / (10 * len(hits))
    scores = {"entities": {"micro avg": {"f1": f1}}, "documents": Counts("document", ["LOC"], values).pack()}
    run = Run("minilm", percent=percent, augmentation=name, seed=seed)
    return run, {"test": scores, "calibration": {"test": ece}}


PLAIN = [make_run("none", seed, [6, 8, 7, 9] * 5) for seed in (42, 43)]
BETTER = [make_run("mentions", 42, [7, 9, 8, 10] * 5, ece=0.03), make_run("mentions", 43, [7, 8, 8, 9] * 5, ece=0.05)]


def test_a_row_has_means_over_the_seeds_the_gain_and_their_intervals():
    header, _, plain, better = format_augmentation([*BETTER, *PLAIN]).splitlines()
    assert header.split(" | ")[2:5] == ["test F1", "95 % interval", "gain"]
    cells = plain.strip("| ").split(" | ")
    assert cells[:3] + cells[4:] == ["5 %", "none", "75.0 ± 0.0", "", "2.0", "2"]
    low, high = map(float, cells[3].split(" to "))
    assert 65 < low < 75 < high < 85
    cells = better.strip("| ").split(" | ")
    assert cells[:3] + cells[5:] == ["5 %", "mentions", "82.5 ± 3.5", "4.0", "2"]
    assert cells[4].startswith("+7.5 (+")
    low, high = map(float, cells[4].removeprefix("+7.5 (").removesuffix(")").split(" to "))
    assert 5 <= low < 7.5 < high <= 10


def test_equal_gains_in_all_documents_have_no_interval():
    same = [make_run("tokens", 42, [7, 9, 8, 10] * 5)]
    assert "| 5 % | tokens | 85.0 | 80.0 to 90.0 | +10.0 |" in format_augmentation([*same, *PLAIN])


def test_rows_are_in_order_and_a_missing_baseline_or_calibration_is_a_dash():
    runs = [make_run("all", 42, [5] * 20, 100), make_run("fill", 42, [5, 6] * 10, 1)]
    del runs[0][1]["calibration"]
    rows = format_augmentation(runs).splitlines()[2:]
    assert [row.strip("| ").split(" | ")[:2] for row in rows] == [["1 %", "fill"], ["100 %", "all"]]
    assert rows[1] == "| 100 % | all | 50.0 | - | - | - | 1 |"


def test_what_else_differs_is_named_after_the_augmentations():
    distilled = Run("minilm", 7, extra="distilled", percent=5, augmentation="none")
    runs = [(distilled, PLAIN[0][1]), (Run("mpnet", percent=5, augmentation="none"), PLAIN[0][1]), *BETTER, *PLAIN]
    names = [row.split(" | ")[1] for row in format_augmentation(runs).splitlines()[2:]]
    assert names == ["none", "mentions", "mlm7M, distilled", "mpnet"]


def test_other_runs_of_the_study_are_not_in_it():
    assert format_augmentation([(Run("minilm"), {}), (Run("minilm", trial="x"), {})]) == ""

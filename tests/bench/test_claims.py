"""The table of differences has intervals where the reports have counts, and compares the seeds that both lines have."""

import json
from dataclasses import replace

import pytest

import bench.runs
from bench.claims import Claim, format_claims
from bench.runs import Run
from recipe.data.documents import Document, Sentence
from recipe.evaluation.counts import count_entities
from recipe.evaluation.scoring import score

GOLD = ["B-PER", "O", "B-LOC", "I-LOC"]
WRONG = ["B-PER", "O", "B-ORG", "O"]


def write_report(run, predicted, with_counts=True):
    documents = [Document([Sentence(["Mara", "left", "Port", "Lima"], GOLD)]) for _ in predicted]
    test = score([GOLD] * len(predicted), predicted)
    if with_counts:
        test["documents"] = count_entities(documents, predicted).pack()
    run.result.parent.mkdir(parents=True, exist_ok=True)
    run.result.write_text(json.dumps({"test": test, "run": {"seed": run.seed, "total_minutes": 1}}))


@pytest.fixture
def claim(tmp_path, monkeypatch):
    monkeypatch.setattr(bench.runs, "RESULTS", tmp_path)
    return Claim("markers", Run("minilm", markers=False), Run("minilm"))


def read_cells(claim):
    *_, last = format_claims(iter([claim])).splitlines()
    return [cell.strip() for cell in last.strip("|").split("|")]


def test_a_difference_with_counts_has_an_interval_and_p_values_of_the_seeds_that_both_have(claim):
    for seed in (42, 43):
        write_report(replace(claim.before, seed=seed), [WRONG] * 5 + [GOLD] * 15)
        write_report(replace(claim.after, seed=seed), [WRONG] * 2 + [GOLD] * 18)
    write_report(replace(claim.after, seed=44), [GOLD] * 20)  # no such seed before
    change, dev, test, conllpp, over_seeds, seeds = read_cells(claim)
    assert (change, dev, conllpp, seeds) == ("markers", "", "", "2")
    assert test.startswith("+7.5 (+")
    assert ", p = 0." in test
    assert 0 < float(over_seeds) <= 1


def test_a_difference_without_counts_has_neither(claim):
    write_report(claim.before, [WRONG] * 5 + [GOLD] * 15, with_counts=False)
    write_report(claim.after, [GOLD] * 20)
    assert read_cells(claim) == ["markers", "", "+12.5", "", "", "1"]


def test_a_difference_that_was_not_run_is_left_out(claim):
    assert "markers" not in format_claims(iter([claim]))

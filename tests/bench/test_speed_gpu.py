"""The benchmark for a GPU, dry on the CPU: its switches are settings, and its tables hold what was measured."""

import json
import os
import subprocess

import pytest

from bench import gpu, speed
from conftest import ROOT
from recipe.arguments import MlmArguments, NerArguments, RunArguments, parse
from recipe.model.settings import ModelArguments


@pytest.mark.parametrize("table", gpu.BATCHES)
def test_switches_are_settings_of_the_scripts(table, tmp_path):
    task, size = table.split("-", 1)
    rows = gpu.list_rows(task, size)
    assert rows[0].who == "baseline"
    assert rows[-1].switches["compile_layers"]
    assert len({row.name for row in rows}) == len(rows)
    for row in rows:
        flags = speed.make_flags(size) | row.switches | {"output_dir": tmp_path}
        kind = MlmArguments if task == "mlm" else NerArguments
        parse([f"--{key}={value}" for key, value in flags.items()], ModelArguments, kind, RunArguments)


@pytest.fixture
def tiny(monkeypatch):
    for size in speed.SIZES:
        monkeypatch.setitem(speed.SIZES, size, (1, 24, 24, 2))
    monkeypatch.setattr(gpu, "WARM_UP", 1)
    monkeypatch.setattr(gpu, "STEPS", {"mlm": 1, "ner": 2})
    monkeypatch.setattr(gpu, "measure_product", lambda: 1.0)
    monkeypatch.setitem(gpu.BATCHES, "ner-minilm", 4)


def test_tagging_measures_both_at_each_size_of_batch(tiny):
    result = gpu.run_tagging("minilm", "minilm-l6", [["Mara", "left", "Oslo"]] * 4, rounds=1)
    contestants = {f"{name}, {batch}" for name in ("tagger", "pipeline") for batch in (1, 32, 256)}
    assert result["rows"].keys() == contestants | {"tagger, all"}
    assert all(row["sentences_per_second"] > 0 for row in result["rows"].values())


@pytest.mark.slow
def test_a_table_says_which_rows_failed_and_measures_the_others(tiny, column_files, tmp_path, monkeypatch):
    rows = [speed.Row("plain", "baseline"), speed.Row("broken", switches={"precision": "none"}), speed.Row("own")]
    monkeypatch.setattr(gpu, "list_rows", lambda task, size: rows)
    flags = {"data_dir": column_files, "tokenizer_name": "minilm-l6", "context": "none", "max_seq_length": 64}
    result = gpu.Table("ner-minilm", flags, tmp_path).measure(rounds=2)
    assert result["rows"].keys() == {"plain", "own"}
    assert list(result["failed"]) == ["broken"]
    assert all(row["tokens_per_second"] > 0 < row["share"] for row in result["rows"].values())
    json.dumps(result)


@pytest.mark.slow
def test_the_script_for_a_bare_machine_makes_its_data_and_leaves_logs(tmp_path):
    python = tmp_path / "python"  # stands in for the measurement, which needs a GPU
    python.write_text('#!/bin/sh\ncase "$*" in *bench.gpu*|*pytest*) echo "$@"; ls $(dirname "$6");; esac\n')
    python.chmod(0o755)
    environment = os.environ | {"OUT": str(tmp_path), "PYTHON": str(python), "ONLY": "mlm-minilm ner-minilm"}
    subprocess.run(["bench/gpu.sh"], cwd=ROOT, env=environment, check=True)
    bench = (tmp_path / "bench.log").read_text()
    assert "--only mlm-minilm ner-minilm" in bench
    assert "train.txt" in bench
    assert "tests/gpu -m gpu" in (tmp_path / "tests.log").read_text()

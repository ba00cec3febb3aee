"""The disk is full at one write after another of a whole run, and nothing is lost: the scripts as they are."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from conftest import ROOT

SMALL = {
    "do_train": True,
    "do_eval": True,
    "max_steps": 4,
    "save_steps": 2,
    "save_strategy": "steps",
    "precision": "fp32",
    "threads": 1,
    "learning_rate": 1e-3,
    "disable_tqdm": True,
}
SIZES = "hidden_size=32,num_hidden_layers=1,num_attention_heads=2,intermediate_size=32"
FEW, ALL = 37, 1  # each how many writes the disk fails


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """The compiled faults.c."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if not (compiler and sys.platform == "linux"):
        pytest.skip("no C compiler, or not Linux")
    path = tmp_path_factory.mktemp("library") / "faults.so"
    source = str(ROOT / "tests" / "programs" / "faults.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(path), source, "-ldl"], check=True)
    return path


@pytest.mark.parametrize("stride", [FEW, pytest.param(ALL, marks=pytest.mark.slow)])
@pytest.mark.parametrize("script", ["run_ner.py", "run_mlm.py"])
def test_a_disk_that_is_full_at_any_write_loses_nothing(library, script, stride, tmp_path, request):
    encoder, uneven_file = (request.getfixturevalue(name) for name in ("encoder", "uneven_file"))
    if script == "run_ner.py":
        settings = {"model_name_or_path": encoder, "context": "none", "max_seq_length": 64, "compare_pipeline": False}
        settings |= dict.fromkeys(("train_file", "validation_file", "test_file"), uneven_file) | {"do_predict": True}
    else:  # from scratch, with a tokenizer of its own
        settings = {"model_type": "bert", "config_overrides": SIZES, "vocab_size": 120, "block_size": 16}
        settings |= {"train_file": request.getfixturevalue("articles_file"), "validation_split_percentage": 10}
    flags = [f"--{key}={value}" for key, value in (SMALL | settings).items()]
    done = subprocess.run(
        [sys.executable, "tests/programs/faults.py", str(tmp_path / "out"), str(stride), script, *flags],
        cwd=ROOT,
        env=os.environ | {"LD_PRELOAD": str(library), "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads(done.stdout.splitlines()[-1])
    print(result)
    assert result["writes"] > 100
    assert result["tried"] >= 2 * (result["writes"] // stride)
    assert result["wrong"] == []

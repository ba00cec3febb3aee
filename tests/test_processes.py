"""What one process does, several do: the same losses, the same score; and one that dies takes the others along."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from conftest import ROOT, fingerprint, spawn, wait_for_checkpoint

pytestmark = pytest.mark.slow

LAUNCH = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", "configs/accelerate/multi_cpu.yaml"]
BATCH = 8  # of all processes together; 80 windows, and so the last batch of a split of 75 is uneven
COMMON = {
    "do_train": True,
    "do_eval": True,
    "num_train_epochs": 3,
    "learning_rate": 1e-3,
    "logging_steps": 1,
    "precision": "fp32",
}
COMMON |= {"save_steps": 7, "save_total_limit": 2, "disable_tqdm": True, "per_device_eval_batch_size": 4}
NER = {"context": "none", "max_seq_length": 64, "max_train_samples": 75, "max_eval_samples": 75, "do_predict": True}
RUNS = {
    "ner": ("run_ner.py", NER),
    "ner-by-length": ("run_ner.py", NER | {"train_sampling_strategy": "group_by_length"}),
    "mlm": ("run_mlm.py", {"block_size": 16}),
}


@pytest.fixture
def flags(encoder, uneven_file, articles_file):
    """Script and flags of the run `name` for some processes."""

    def flags(name, processes, folder, **more):
        script, settings = RUNS[name]
        settings = COMMON | settings | {"model_name_or_path": encoder, "output_dir": folder} | more
        settings["per_device_train_batch_size"] = BATCH // processes
        if script == "run_ner.py":
            settings |= {"train_file": uneven_file, "validation_file": uneven_file, "test_file": uneven_file}
        else:
            settings |= {"train_file": articles_file, "validation_file": articles_file}
        return [script, *(f"--{key}={value}" for key, value in settings.items())]

    return flags


def launch(processes, flags):
    return [*LAUNCH, "--num_processes", str(processes), "--main_process_port", "0", *flags]


def run(command):
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def read_curve(folder):
    history = json.loads((folder / "trainer_state.json").read_text())["log_history"]
    return [(entry["loss"], entry["grad_norm"]) for entry in history if "grad_norm" in entry]


def read_scores(folder):
    """The scores of a run without its circumstances."""
    name = "report.json" if (folder / "report.json").exists() else "metrics.json"
    scores = json.loads((folder / name).read_text())
    return {split: values for split, values in scores.items() if split != "run"}


@pytest.mark.parametrize("name", RUNS)
def test_one_two_and_four_processes_agree(flags, tmp_path, name):
    curves, scores = {}, {}
    for processes in (1, 2, 4):
        folder = tmp_path / str(processes)
        printed = run(launch(processes, flags(name, processes, folder)))
        curves[processes], scores[processes] = read_curve(folder), read_scores(folder)
        assert printed.count("== test ==") == (RUNS[name][0] == "run_ner.py")
        assert f"processes: {processes}" in (folder / "run.yaml").read_text()
    for processes in (2, 4):
        np.testing.assert_allclose(curves[processes], curves[1], rtol=1e-4)
    if name == "mlm":
        scores = {processes: found["validation"] for processes, found in scores.items()}
        for processes in (2, 4):
            for key in ("loss", "perplexity", "masked_accuracy"):
                assert scores[processes][key] == pytest.approx(scores[1][key], rel=1e-5)
            assert scores[processes]["masked_tokens"] == scores[1]["masked_tokens"]
    else:
        assert scores[1] == scores[2] == scores[4]


@pytest.mark.parametrize("name", ["ner", "mlm"])
def test_one_model_is_scored_alike_by_one_two_and_four_processes(flags, tmp_path, name):
    """To the last digit, the uneven last batch included and nothing counted twice."""
    run(launch(1, flags(name, 1, tmp_path / "model")))
    more = {"model_name_or_path": tmp_path / "model", "do_train": False}
    found = []
    for processes in (1, 2, 4):
        run(launch(processes, flags(name, processes, tmp_path / str(processes), **more)))
        scores = read_scores(tmp_path / str(processes))
        for part in scores.values():
            for key in [key for key in part if "time" in key or "second" in key]:
                del part[key]
        found.append(scores)
    assert found[0] == found[1] == found[2]


def list_workers(launcher):
    """The process ids of the launcher's workers."""
    children = Path(f"/proc/{launcher}/task/{launcher}/children")
    return [int(pid) for pid in children.read_text().split() if b"run_" in Path(f"/proc/{pid}/cmdline").read_bytes()]


@pytest.mark.parametrize("name", ["ner", "mlm"])
def test_a_killed_process_ends_the_others_and_the_run_resumes(flags, tmp_path, name):
    run(launch(2, flags(name, 2, tmp_path / "whole", num_train_epochs=10)))
    command = launch(2, flags(name, 2, tmp_path / "killed", num_train_epochs=10))
    process = spawn(command)
    wait_for_checkpoint(process, tmp_path / "killed")
    workers = list_workers(process.pid)
    assert len(workers) == 2
    os.kill(workers[1], signal.SIGKILL)
    started = time.monotonic()
    error = process.communicate(timeout=60)[1]
    assert time.monotonic() - started < 60
    assert process.returncode != 0, error
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)
    run(command)
    assert fingerprint(tmp_path / "killed") == fingerprint(tmp_path / "whole")


def test_processes_agree_on_the_step_at_which_a_signal_ends_them(flags, tmp_path):
    command = launch(2, flags("ner", 2, tmp_path / "run", num_train_epochs=30))
    process = spawn(command)
    wait_for_checkpoint(process, tmp_path / "run")
    os.kill(list_workers(process.pid)[1], signal.SIGTERM)  # one of them alone
    error = process.communicate(timeout=60)[1]
    assert process.returncode != 0
    assert "SIGTERM: step" in error
    steps = sorted(int(path.name.partition("-")[2]) for path in (tmp_path / "run").glob("checkpoint-*"))
    assert steps[-1] % 7  # not one of the checkpoints made anyway

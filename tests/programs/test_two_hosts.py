"""Two hosts: two network namespaces, a launcher in each, agree with one host."""

import json
import os
import shutil
import subprocess

import numpy as np
import pytest

from conftest import ROOT

pytestmark = pytest.mark.slow


def find_obstacle():
    """Why no network namespace can be made here, None if one can."""
    if not shutil.which("ip"):
        return "there is no ip (Debian: iproute2)"
    made = subprocess.run(["ip", "netns", "add", "recipe-probe"], capture_output=True, text=True)
    subprocess.run(["ip", "netns", "delete", "recipe-probe"], capture_output=True)
    return made.stderr.strip() or None


def run(command):
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_two_hosts_agree_with_one(encoder, uneven_file, tmp_path):
    obstacle = find_obstacle()
    if obstacle:
        pytest.skip(f"no network namespaces: {obstacle}")
    settings = {"model_name_or_path": encoder, "train_file": uneven_file, "validation_file": uneven_file}
    settings |= {"max_seq_length": 64, "context": "none", "do_train": True, "do_eval": True, "num_train_epochs": 2}
    settings |= {
        "precision": "fp32",
        "learning_rate": 1e-3,
        "logging_steps": 1,
        "save_strategy": "no",
        "disable_tqdm": True,
    }
    found = {}
    for hosts in (1, 2):
        folder = tmp_path / str(hosts)
        more = {"output_dir": folder, "per_device_train_batch_size": 8 // hosts}
        flags = ["run_ner.py", *(f"--{key}={value}" for key, value in (settings | more).items())]
        launcher = [".venv/bin/accelerate", "launch", "--config_file", "configs/accelerate/one_cpu.yaml"]
        printed = run([*(["tests/programs/two_hosts.sh"] if hosts == 2 else launcher), *flags])
        assert printed.count("== dev ==") == 1
        assert f"processes: {hosts}" in (folder / "run.yaml").read_text()
        history = json.loads((folder / "trainer_state.json").read_text())["log_history"]
        curve = [(entry["loss"], entry["grad_norm"]) for entry in history if "grad_norm" in entry]
        found[hosts] = curve, json.loads((folder / "report.json").read_text())["dev"]
    np.testing.assert_allclose(found[2][0], found[1][0], rtol=1e-4)
    assert found[2][1] == found[1][1]

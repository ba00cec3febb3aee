"""The same as test_resumption.py with real processes, signals and disks; minutes long."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conftest import fingerprint, finish, spawn, wait_for_checkpoint

pytestmark = pytest.mark.slow

SETTINGS = {
    "precision": "fp32",
    "do_train": True,
    "max_steps": 150,
    "save_steps": 4,
    "save_total_limit": 2,
    "learning_rate": 1e-3,
    "disable_tqdm": True,
    "config_overrides": "hidden_dropout_prob=0.1,attention_probs_dropout_prob=0.1",
}
NER = {"context": "none", "max_seq_length": 64, "per_device_train_batch_size": 4, "gradient_accumulation_steps": 2}
NER |= {"train_sampling_strategy": "group_by_length"}
MLM = {"block_size": 16, "do_eval": False, "per_device_train_batch_size": 8}
RUNS = {"ner": ("run_ner.py", NER), "mlm": ("run_mlm.py", MLM), "streamed": ("run_mlm.py", MLM | {"streaming": True})}


@pytest.fixture(params=RUNS)
def command(request, encoder, uneven_file, articles_file):
    """A run's command for an output folder."""
    script, settings = RUNS[request.param]
    settings = SETTINGS | settings | {"model_name_or_path": encoder}
    settings["train_file"] = uneven_file if script == "run_ner.py" else articles_file
    return lambda folder: [
        sys.executable, script, f"--output_dir={folder}", *(f"--{key}={value}" for key, value in settings.items())
    ]  # fmt: skip


def test_five_kills_at_random_moments_change_no_bit(command, tmp_path):
    finish(spawn(command(tmp_path / "whole")))
    draw, known = random.Random(), set()
    for _ in range(5):
        process = spawn(command(tmp_path / "killed"))
        known = wait_for_checkpoint(process, tmp_path / "killed", known)
        time.sleep(draw.uniform(0, 0.25))
        assert process.poll() is None
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert not (tmp_path / "killed" / "model.safetensors").exists()
    finish(spawn(command(tmp_path / "killed")))
    assert fingerprint(tmp_path / "killed") == fingerprint(tmp_path / "whole")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_and_names_the_command_that_continues(command, tmp_path, number, status):
    process = spawn(command(tmp_path))
    wait_for_checkpoint(process, tmp_path)
    process.send_signal(number)
    error = process.communicate()[1]
    assert process.returncode == status, error
    last = error.splitlines()[-1]
    assert "Traceback" not in error
    assert f"is saved in {tmp_path}: to continue, run python run_" in last
    continued = last.partition("to continue, run python ")[2].split()
    finish(spawn([sys.executable, *continued]))
    assert (tmp_path / "model.safetensors").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_end_of_a_launcher_that_passes_nothing_on_ends_the_run_after_a_save(command, tmp_path, number):
    launcher = [Path(sys.executable).with_name("accelerate"), "launch", "--config_file=configs/accelerate/one_cpu.yaml"]
    process = spawn([*launcher, *command(tmp_path)[1:]])
    known = wait_for_checkpoint(process, tmp_path)
    process.send_signal(number)
    error = process.communicate()[1]  # ends with the run, which holds the other end
    assert "SIGTERM: step" in error
    assert "to continue, run accelerate launch" in error
    assert {path.name for path in tmp_path.glob("checkpoint-*")} != known
    assert not (tmp_path / "model.safetensors").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk wants root")
def test_a_full_disk_leaves_the_earlier_checkpoint(command, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1M", "none", disk], check=True)
    try:
        process = spawn(command(disk / "run"))
        error = process.communicate()[1]
        assert process.returncode == 2, error
        assert "could not be saved" in error.splitlines()[-1]
        assert "earlier checkpoints are intact (checkpoint-" in error.splitlines()[-1]
        assert "Traceback" not in error
        left = [path.name for path in (disk / "run").glob("*checkpoint-*")]
        assert left
        assert not [name for name in left if name.startswith("saving-")]
        shutil.copytree(disk / "run", tmp_path / "run")
    finally:
        subprocess.run(["umount", disk], check=True)
    finish(spawn(command(tmp_path / "run")))

"""What one process does, several do: the same losses, the same score; and one that dies takes the others along."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from conftest import ROOT, fingerprint, spawn, wait_for_checkpoint
from recipe.training.checkpoints import find_step

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
    "ner-augmented": ("run_ner.py", NER | {"augmentation": "tokens"}),
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


def execute(command, **environment):
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)} | environment
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


def run(command, **environment):
    done = execute(command, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def fail(command):
    done = execute(command)
    assert done.returncode != 0
    return done.stderr


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
        scores = {processes: found["dev"] for processes, found in scores.items()}
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


def shard(processes, flags):
    """The command of a run under configs/accelerate/fsdp.yaml, and its environment, on the CPU."""
    config = yaml.safe_load((ROOT / "configs/accelerate/fsdp.yaml").read_text())
    environment = {key.upper(): str(value).lower() for key, value in config["fsdp_config"].items()}
    environment |= {key: environment[key].upper() for key in ("FSDP_AUTO_WRAP_POLICY", "FSDP_STATE_DICT_TYPE")}
    return launch(processes, ["tests/programs/sharded.py", *flags]), {"ACCELERATE_USE_FSDP": "true"} | environment


@pytest.mark.parametrize("name", ["ner", "mlm"])
def test_sharded_processes_train_as_one_does(flags, tmp_path, name):
    """The same losses and weights, also of a head that is new, with rates by depth, and after a resumption."""
    more = {"layer_lr_decay": 0.8, "gradient_accumulation_steps": 2, "onednn_matmul": False}
    run(launch(1, flags(name, 1, tmp_path / "one", **more)))
    command, environment = shard(2, flags(name, 2, tmp_path / "two", **more))
    run(command, **environment)
    np.testing.assert_allclose(read_curve(tmp_path / "two"), read_curve(tmp_path / "one"), rtol=1e-3)
    one, two = (load_file(tmp_path / folder / "model.safetensors") for folder in ("one", "two"))
    assert one.keys() <= two.keys()
    for weight in one:
        torch.testing.assert_close(two[weight], one[weight], rtol=1e-3, atol=1e-4)
    for path in (tmp_path / "two").glob("*[!0-9]"):  # all but the checkpoints
        path.unlink() if path.is_file() else None
    [last, *_] = sorted((tmp_path / "two").glob("checkpoint-*"), key=find_step, reverse=True)
    shutil.rmtree(last)
    run(command, **environment)
    again = load_file(tmp_path / "two" / "model.safetensors")
    for weight in two:
        torch.testing.assert_close(again[weight], two[weight], rtol=1e-5, atol=1e-6)
    found = fail(launch(2, flags(name, 2, tmp_path / "two", **more, num_train_epochs=4)))
    assert "a run with FSDP can only be continued with FSDP" in found


def test_machines_without_a_folder_in_common_are_refused(flags, tmp_path):
    """Two processes that take each other for other machines, each with a working folder of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    environment = os.environ | address | {"PYTHONPATH": str(ROOT), "ACCELERATE_USE_CPU": "true", "LOCAL_RANK": "0"}
    environment |= {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "1", "OMP_NUM_THREADS": "1"}
    script, *words = flags("ner", 2, "run")
    processes = []
    for rank in range(2):
        (tmp_path / str(rank)).mkdir()
        options = {"cwd": tmp_path / str(rank), "env": environment | {"RANK": str(rank)}, "stderr": subprocess.PIPE}
        processes.append(subprocess.Popen([sys.executable, ROOT / script, *words], text=True, **options))
    for process in processes:
        error = process.communicate(timeout=100)[1]
        assert process.returncode == 2, error
        assert "error: output_dir run: not shared by all machines" in error
    assert not list(tmp_path.rglob("checkpoint-*"))


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

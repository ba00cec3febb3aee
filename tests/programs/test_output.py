"""What a run writes to its standard output and error output, where they are files and where they fail."""

import json
import os
import re
import subprocess
import sys

import pytest

from conftest import ROOT


def start(encoder, articles_file, folder, output, errors, *more):
    settings = {"model_name_or_path": encoder, "train_file": articles_file, "output_dir": folder, "block_size": 32}
    settings |= {"validation_split_percentage": 25, "do_train": True, "do_eval": True, "max_steps": 4}
    settings |= {"logging_steps": 2, "save_strategy": "no"}
    flags = [f"--{name}={value}" for name, value in settings.items()]
    command = [sys.executable, "run_mlm.py", *flags, *more]
    return subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=errors).returncode


def test_a_log_in_a_file_has_lines_and_no_bars_and_ends_in_json(encoder, articles_file, tmp_path):
    with open(tmp_path / "log", "w") as log:
        assert start(encoder, articles_file, tmp_path / "run", log, log) == 0
    text = (tmp_path / "log").read_bytes().decode()
    assert "\r" not in text
    assert "%|" not in text
    assert "\x1b" not in text
    assert re.search(r"^step 2 of 4: loss [\d.]+, .*epoch [\d.]+", text, re.M)
    assert re.search(r"^step 4 of 4: eval_loss [\d.]+, eval_perplexity", text, re.M)
    last = json.loads(text.splitlines()[-1])
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())["dev"]
    assert (last["folder"], last["stage"], last["steps"]) == (str(tmp_path / "run"), "mlm", 4)
    assert last["scores"]["dev"]["perplexity"] == pytest.approx(metrics["perplexity"], abs=1e-4)
    assert last["tokens_per_second"] > 0
    assert last["seconds"] > last["train_seconds"] > 0


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_under_the_output_costs_no_results_and_bars_come_if_you_ask(encoder, articles_file, tmp_path):
    with open("/dev/full", "w") as full, open(tmp_path / "errors", "w") as errors:
        status = start(encoder, articles_file, tmp_path / "run", full, errors, "--disable_tqdm", "false")
    text = (tmp_path / "errors").read_bytes().decode()
    assert status == 2
    assert text.splitlines()[-1] == ("error: standard output: No space left on device: results in files are complete")
    assert "\r" in text
    assert "4/4" in text
    assert (tmp_path / "run" / "metrics.json").exists()
    assert (tmp_path / "run" / "report.html").exists()

"""The Makefile passes names of files and folders on as they are, or refuses them."""

import os
import subprocess

import pytest

from conftest import ROOT


def run_make(*words, **environment):
    """What make would run. `make test`, which runs this, would add a line about the folder."""
    command = ["make", "-n", "--no-print-directory", *words]
    return subprocess.run(command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True)


@pytest.mark.parametrize("value", ["a`touch {}`", "a$(touch {})", "$(shell touch {})", 'a"; touch {}; "', "a$HOME"])
@pytest.mark.parametrize("name", ["CKPT", "DATA", "MODEL"])
@pytest.mark.parametrize("origin", ["command line", "environment"])
def test_signs_that_the_shell_would_run_are_refused(tmp_path, name, value, origin):
    value = value.format(tmp_path / "made")
    words = {"CKPT": "runs/ner/name", "REPO": "user/name"} | {name: value}
    if origin == "environment":
        done = run_make("push", REPO="user/name", **{name: value})
    else:
        done = run_make("push", *(f"{key}={value}" for key, value in words.items()))
    assert done.returncode == 2
    assert f"*** {name}: contains " in done.stderr
    assert not (tmp_path / "made").exists()


def test_a_name_with_spaces_and_other_signs_stays_one_word():
    done = run_make("push", "CKPT=runs/ner/it's; a & (b)", "REPO=user/name")
    assert '"runs/ner/it\'s; a & (b)" "user/name"' in done.stdout


def test_a_target_whose_command_failed_is_not_taken_for_done():
    assert "\n.DELETE_ON_ERROR:\n" in (ROOT / "Makefile").read_text()


def test_seeds_are_a_run_each_and_end_in_a_comparison():
    words = ["CONFIG=configs/ner/own_data.yaml", "ARGS=--data_dir folder", "SEEDS=1 2"]
    said = run_make("ner", *words).stdout
    assert 'folder="runs/ner/own_data-seed$seed"' in said
    assert '--seed "$seed" --output_dir "$folder" || exit 2' in said
    assert said.endswith('python -m recipe compare "runs/ner/own_data-seed1,runs/ner/own_data-seed2"\n')
    assert "compare" not in run_make("ner", *words[:2]).stdout


def test_runs_that_were_finished_before_are_named(tmp_path):
    """Of the commands that make prints, the loop is run in another folder, where nothing is trained."""
    said = run_make("ner", "CONFIG=configs/ner/own_data.yaml", "SEEDS=1 2").stdout
    done = tmp_path / "runs" / "ner" / "own_data-seed1"
    done.mkdir(parents=True)
    (done / "report.json").touch()
    loop = said[said.index("for seed") : said.index("done\n") + 5].replace(".venv/bin/accelerate", "echo would")
    run = subprocess.run(["sh", "-c", loop], cwd=tmp_path, capture_output=True, text=True)
    assert run.stderr == "runs/ner/own_data-seed1: finished before, and kept: remove it if ARGS have changed\n"
    assert [line.split()[-1] for line in run.stdout.splitlines()] == ["runs/ner/own_data-seed2"]


def test_a_sweep_ends_in_a_table_and_a_comparison_of_the_learning_rates():
    said = run_make("sweep", "CONFIG=configs/ner/own_data.yaml", "LR=3e-4 8e-4", "SEEDS=1 2").stdout.splitlines()
    assert said[-2].startswith(".venv/bin/python -m recipe tables runs/sweep/own_data-lr3e-4-seed1/report.json ")
    groups = [",".join(f"runs/sweep/own_data-lr{rate}-seed{seed}" for seed in (1, 2)) for rate in ("3e-4", "8e-4")]
    assert said[-1] == f'.venv/bin/python -m recipe compare "{groups[0]}" "{groups[1]}"'

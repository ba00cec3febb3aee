"""The README's first lines of Python and of shell work as they stand there."""

import os
import re
import shlex
import subprocess
import sys

import pytest

import run_ner
from conftest import ROOT

README = (ROOT / "README.md").read_text()
MODEL = "runs/ner/minilm_newswire-mini"


@pytest.fixture(scope="module")
def folder(encoder, column_files, tmp_path_factory):
    """A folder in which the model of the quickstart is a tiny one."""
    folder = tmp_path_factory.mktemp("readme")
    flags = {"model_name_or_path": encoder, "data_dir": column_files, "output_dir": folder / MODEL}
    flags |= {"max_seq_length": 48, "do_train": True, "num_train_epochs": 80, "learning_rate": 5e-3}
    run_ner.main([f"--{key}={value}" for key, value in (flags | {"save_strategy": "no"}).items()])
    return folder


def run(command, folder):
    done = subprocess.run(
        command, cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def find_block(language, part):
    return next(block for block in re.findall(rf"```{language}\n(.*?)```", README, re.S) if part in block)


def test_the_lines_of_python_print_entities(folder):
    lines = run([sys.executable, "-c", find_block("python", "recipe.Tagger.load")], folder).splitlines()
    assert re.fullmatch(r"Mara Okello PER 0 11 [01]\.\d+", lines[0])


def test_the_line_of_shell_marks_entities(folder):
    _, *words = shlex.split(find_block("sh", "python -m recipe tag"))
    assert run([sys.executable, *words], folder).startswith("[Mara Okello](PER) left [Oslo](LOC)")

"""Lines instead of bars where output is no terminal."""

import sys

import datasets
import pytest
from transformers import TrainerState, TrainingArguments
from transformers.utils import logging

from recipe.training.progress import StepPrinter, disable_bars, format_step
from recipe.training.settings import TrainingArguments as RecipeArguments


def make_state(step, last=200):
    return TrainerState(global_step=step, max_steps=last, is_world_process_zero=True)


@pytest.mark.parametrize(
    ("state", "logs", "first", "seconds", "line"),
    [
        (make_state(50), {"loss": 2.34567, "epoch": 1.5}, 0, 64.0, "loss 2.346, epoch 1.5; 0:03:12 left"),
        (make_state(50), {"loss": 2.0}, 40, 10.0, "loss 2; 0:02:30 left"),  # resumed at step 40
        (make_state(50), {"loss": 2.0}, 50, 10.0, "loss 2"),  # no step was done yet
        (make_state(200), {"eval_f1": 0.5, "eval_runtime": 3.0}, 0, 10.0, "eval_f1 0.5"),
        (make_state(200), {"eval_steps_per_second": 3.0, "note": "x"}, 0, 10.0, "note x"),
    ],
)
def test_a_line_has_the_step_the_figures_and_the_time_that_is_left(state, logs, first, seconds, line):
    assert format_step(state, logs, first, seconds) == f"step {state.global_step} of 200: {line}"


def test_an_evaluation_without_a_training_has_no_steps():
    assert format_step(make_state(0, last=0), {"eval_loss": 2.0}) == "eval_loss 2"


def test_the_first_process_prints_the_logs_but_not_the_table_at_the_end(tmp_path, capsys):
    printer, arguments = StepPrinter(), TrainingArguments(output_dir=str(tmp_path))
    printer.on_train_begin(arguments, make_state(0), None)
    printer.on_log(arguments, make_state(200), None, logs={"loss": 1.0})
    printer.on_log(arguments, make_state(200), None, logs={"train_runtime": 1.0, "train_loss": 2.0})
    other = make_state(200)
    other.is_world_process_zero = False
    printer.on_log(arguments, other, None, logs={"loss": 1.0})
    assert capsys.readouterr().out == "step 200 of 200: loss 1\n"


@pytest.mark.parametrize(
    ("is_terminal", "given", "expected"),
    [(True, None, False), (False, None, True), (True, True, True), (False, False, False)],
)
def test_bars_are_for_terminals_unless_set(tmp_path, monkeypatch, is_terminal, given, expected):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal, raising=False)
    assert RecipeArguments(output_dir=str(tmp_path), disable_tqdm=given).disable_tqdm is expected


@pytest.fixture
def bars():
    """Bars are on before and after the test."""
    yield logging.enable_progress_bar()
    logging.enable_progress_bar()
    datasets.enable_progress_bars()


@pytest.mark.parametrize("wanted", [False, True])
def test_bars_of_the_libraries_are_off_unless_the_environment_asks_for_them(bars, monkeypatch, recwarn, wanted):
    if wanted:  # as HF_DATASETS_DISABLE_PROGRESS_BARS=0 and HF_HUB_DISABLE_PROGRESS_BARS=0 set them
        monkeypatch.setattr(datasets.config, "HF_DATASETS_DISABLE_PROGRESS_BARS", False)
        monkeypatch.setattr("recipe.training.progress.HF_HUB_DISABLE_PROGRESS_BARS", False)
    disable_bars()
    assert logging.is_progress_bar_enabled() is wanted
    assert datasets.are_progress_bars_disabled() is not wanted
    assert not [one for one in recwarn if "progress bars" in str(one.message)]

"""Experiment trackers: refusals before anything loads, names of runs and projects, and the end of a tracked run.

The callbacks of transformers do the tracking. They log the training arguments and the model's configuration by
themselves; `TrainingArguments.others` adds the settings of the other layers.
"""

import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from transformers import Trainer
from transformers.integrations import TensorBoardCallback, get_available_reporting_integrations

TRACKERS = ("tensorboard", "trackio", "wandb")  # the ones that are tested
OFFLINE = ("offline", "disabled", "dryrun")  # modes of wandb that need no login


def check_trackers(names: Sequence[str]) -> None:
    """Raise ValueError if a tracker is not installed, or if wandb has no login and cannot ask for one."""
    missing = sorted(set(names) - set(get_available_reporting_integrations()))
    if missing and missing[0] in TRACKERS:
        raise ValueError(
            f"report_to: {missing[0]} is not installed: run {sys.executable} -m pip install {missing[0]}, or set "
            "report_to none"
        )
    if missing:
        raise ValueError(
            f"report_to: {missing[0]} is not known, or not installed: choose {', '.join(TRACKERS)} or none"
        )
    if "wandb" in names and not sys.stdin.isatty() and not _is_logged_in():
        raise ValueError("report_to: wandb has no login: run wandb login, or set WANDB_MODE=offline in the environment")


def _is_logged_in() -> bool:
    wandb = importlib.import_module("wandb")
    return wandb.setup().settings.mode in OFFLINE or wandb.login(prompt=False)


def name_run(folder: Path) -> str:
    """The default name of a run: the last two parts of its folder, such as ner/minilm_conll2003."""
    return "/".join(folder.resolve().parts[-2:]).lstrip("/")


def set_project(names: Sequence[str], project: str) -> None:
    """Give the project to wandb too, whose callback reads it from the environment only; what is set there stays."""
    if "wandb" in names:
        os.environ.setdefault("WANDB_PROJECT", project)


def begin_tensorboard(trainer: Trainer) -> None:
    """Let TensorBoard begin for a run without training, in the folder of a training, with the settings.

    Other trackers begin with the first log. The callback of TensorBoard would then write to ./runs, without settings.
    """
    for callback in trainer.callback_handler.callbacks:
        if isinstance(callback, TensorBoardCallback):
            callback.on_train_begin(trainer.args, trainer.state, trainer.control, model=trainer.model)


def finish_trackers(names: Sequence[str]) -> None:
    """End the run of trackers that would otherwise do so, and print about it, while the interpreter exits."""
    for name in {"trackio", "wandb"}.intersection(names):
        tracker = importlib.import_module(name)
        if name == "wandb" or tracker.context_vars.current_run.get() is not None:
            tracker.finish()

"""Progress where output is no terminal: a line for each log, and no bars, which a file would keep in all states."""

import time
from datetime import timedelta
from typing import Any

import datasets
import transformers
from huggingface_hub.constants import HF_HUB_DISABLE_PROGRESS_BARS
from transformers import TrainerCallback, TrainerState

TIMES = ("_runtime", "_per_second")  # figures of an evaluation that are not shown


def disable_bars() -> None:
    """Show no bars of transformers, datasets and the Hub's client, unless the environment asks for them."""
    if HF_HUB_DISABLE_PROGRESS_BARS is not False:
        transformers.utils.logging.disable_progress_bar()
    if datasets.config.HF_DATASETS_DISABLE_PROGRESS_BARS is not False:
        datasets.disable_progress_bars()


class StepPrinter(TrainerCallback):
    """Prints each log of the Trainer as one line, as `format_step` writes it.

    Takes the place of transformers' PrinterCallback, whose lines have neither step nor time.
    """

    def __init__(self):
        self.first, self.started = 0, time.monotonic()

    def on_train_begin(self, args, state, control, **_):
        self.first, self.started = state.global_step, time.monotonic()

    def on_log(self, args, state, control, logs=None, **_):
        if state.is_world_process_zero and logs and "train_runtime" not in logs:  # which is printed as a table
            print(format_step(state, logs, self.first, time.monotonic() - self.started), flush=True)


def format_step(state: TrainerState, logs: dict[str, Any], first: int = 0, seconds: float = 0.0) -> str:
    """A log as `step 50 of 200: loss 2.345, epoch 1.5; 0:03:12 left`.

    first: the step at which this start of the training began. seconds: since then.
    """
    step, last = state.global_step, state.max_steps
    shown = {name: value for name, value in logs.items() if not name.endswith(TIMES)}
    figures = ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in shown.items()
    )
    left = round(seconds / (step - first) * (last - step)) if first < step < last else 0
    place = f"step {step} of {last}: " if last else ""  # an evaluation alone has no steps
    return place + figures + (f"; {timedelta(seconds=left)} left" if left else "")

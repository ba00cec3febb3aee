"""Ctrl-C and SIGTERM: the step is finished and saved before the run ends."""

import os
import signal
import sys
import threading
from pathlib import Path

import torch
from torch import distributed
from transformers import TrainerCallback
from transformers.trainer_utils import IntervalStrategy

from recipe.errors import StoppedError
from recipe.launch import find_launch

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class SignalHandler(TrainerCallback):
    """While entered, notes a signal and has the Trainer save at the end of the step, where all processes agree on it.

    That save done, StoppedError is raised, which names `command` as what continues. A second Ctrl-C ends at once. The
    end of `accelerate launch` counts as SIGTERM, which it does not pass on where it has started one process.
    After the last step the Trainer no longer asks: the caller then has to `agree`, save, and raise what `stop` returns.
    """

    def __init__(self, command: str):
        self.command, self.noted, self.agreed, self.previous, self.group = command, 0, 0, {}, None
        self.launcher = os.getppid() if find_launch() else None

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            self.previous = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(self, *error):
        for number, handler in self.previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame) -> None:
        self.noted = number
        print(f"{signal.Signals(number).name}: the step is finished and saved first", file=sys.stderr)
        if number == signal.SIGINT:  # launchers may repeat SIGTERM, a user who repeats Ctrl-C means it
            signal.signal(number, self.previous[number])

    def on_train_begin(self, args, state, control, **_):
        if args.world_size > 1:  # on the side: asking a GPU each step would make it wait
            self.group = distributed.new_group(backend="gloo")

    def agree(self) -> int:
        """The number of the signal that any of the processes has noted, the same in all of them; 0 for none."""
        if self.launcher and os.getppid() != self.launcher:
            self.noted = self.noted or signal.SIGTERM
        noted = torch.tensor(self.noted)
        if self.group is not None:
            distributed.all_reduce(noted, distributed.ReduceOp.MAX, self.group)
        self.agreed = int(noted)
        return self.agreed

    def stop(self, step: int, folder: str | Path) -> StoppedError:
        """What to raise for the signal that was agreed on, with `step` saved in the output folder."""
        saved = f"{signal.Signals(self.agreed).name}: step {step} is saved in {folder}"
        return StoppedError(f"{saved}; this continues: {self.command}", self.agreed)

    def on_step_end(self, args, state, control, **_):
        if args.eval_strategy != IntervalStrategy.EPOCH or state.epoch % 1:  # else the epoch is evaluated first
            control.should_save = bool(self.agree()) or control.should_save

    def on_epoch_end(self, args, state, control, **_):
        control.should_save = bool(self.agree()) or control.should_save

    def on_save(self, args, state, control, **_):
        if self.agreed:
            raise self.stop(state.global_step, args.output_dir)

"""Ctrl-C and SIGTERM: finish and save the current step before the run ends."""

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
    """A context manager and callback: after a signal, the Trainer saves at the end of the step, in all processes.

    After the save it raises StoppedError with `command`, which continues the run. A second Ctrl-C ends the run at once.
    If `accelerate launch` ends, this counts as SIGTERM, because it does not pass SIGTERM on to a single process.
    After the last step, the Trainer makes no more calls: the caller must then call `agree`, save, and raise the result
    of `stop`.
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
        print(f"{signal.Signals(number).name}: finishing and saving the step first", file=sys.stderr)
        if number == signal.SIGINT:  # not for SIGTERM, which launchers can send twice
            signal.signal(number, self.previous[number])

    def on_train_begin(self, args, state, control, **_):
        if args.world_size > 1:  # gloo, because a GPU would have to wait at each step
            self.group = distributed.new_group(backend="gloo")

    def agree(self) -> int:
        """The signal number that any process has received, the same in all processes; 0 for none."""
        if self.launcher and os.getppid() != self.launcher:
            self.noted = self.noted or signal.SIGTERM
        noted = torch.tensor(self.noted)
        if self.group is not None:
            distributed.all_reduce(noted, distributed.ReduceOp.MAX, self.group)
        self.agreed = int(noted)
        return self.agreed

    def stop(self, step: int, folder: str | Path) -> StoppedError:
        """The error to raise for the agreed signal, after `step` was saved in the output folder."""
        saved = f"{signal.Signals(self.agreed).name}: step {step} is saved in {folder}"
        return StoppedError(f"{saved}: to continue, run {self.command}", self.agreed)

    def on_step_end(self, args, state, control, **_):
        if (
            args.eval_strategy != IntervalStrategy.EPOCH or state.epoch % 1
        ):  # at the end of an epoch, it is evaluated first
            control.should_save = bool(self.agree()) or control.should_save

    def on_epoch_end(self, args, state, control, **_):
        control.should_save = bool(self.agree()) or control.should_save

    def on_save(self, args, state, control, **_):
        if self.agreed:
            raise self.stop(state.global_step, args.output_dir)

"""Ctrl-C and SIGTERM: the step is finished and saved before the run ends."""

import signal
import sys
import threading

import torch
from torch import distributed
from transformers import TrainerCallback

from recipe.errors import StoppedError

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption(TrainerCallback):
    """While entered, notes a signal and has the Trainer save at the end of the step, where all processes agree on it.

    That save done, StoppedError is raised, which names `command` as what continues. A second Ctrl-C ends at once.
    """

    def __init__(self, command: str):
        self.command, self.noted, self.agreed, self.previous, self.group = command, 0, 0, {}, None

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

    def on_step_end(self, args, state, control, **_):
        noted = torch.tensor(self.noted)
        if self.group is not None:
            distributed.all_reduce(noted, distributed.ReduceOp.MAX, self.group)
        self.agreed = int(noted)
        control.should_save = control.should_save or bool(self.agreed)

    def on_save(self, args, state, control, **_):
        if self.agreed:
            name = signal.Signals(self.agreed).name
            saved = f"{name}: step {state.global_step} is saved in {args.output_dir}"
            raise StoppedError(f"{saved}; this continues: {self.command}", self.agreed)

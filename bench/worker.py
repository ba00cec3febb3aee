"""One contestant of `bench.speed`: runs a training script step by step on request, and reports its speed.

python -m bench.worker baseline|recipe mlm|ner [flags of the script]

When it is ready to train it prints `{}`. Then it reads numbers of steps from standard input. For each number it trains
that many steps and prints a line of JSON: `seconds`, `tokens` (without padding) and `peak_mb` (resident memory; on a
GPU that of its tensors).
"""

import json
import resource
import sys
import time
from multiprocessing import Value
from typing import Any

import torch
from transformers import TrainerCallback, trainer

import run_mlm
import run_ner
from bench import baseline

ON_GPU = torch.cuda.is_available()
LEAD_IN = 4 if ON_GPU else 0  # steps before a measurement: a waiting contestant gives the memory of its GPU back


class Pace(TrainerCallback):
    """Pauses training between two measurements, and counts the tokens of the batches.

    Data-loading workers count the batches that they make ahead: as many at the start of a measurement as at its end.
    """

    def __init__(self, reports):
        self.reports, self.start_at, self.stop_at = reports, 0, 0
        self.tokens = Value("q")  # shared with data-loading workers
        self.started: float | None = None

    def on_train_begin(self, args, state, control, train_dataloader: Any = None, **_):
        loader = train_dataloader.base_dataloader  # the loader inside Accelerate's wrapper makes the batches
        collate = loader.collate_fn

        def count_tokens(examples: list) -> dict:
            with self.tokens.get_lock():
                self.tokens.value += sum(len(example["input_ids"]) for example in examples)
            return collate(examples)

        loader.collate_fn = count_tokens
        self._pause({}, 0)

    def on_step_end(self, args, state, control, **_):
        if self.started is None and state.global_step == self.start_at:
            self._start()
        if state.global_step == self.stop_at:
            self._pause(self._stop(), state.global_step)

    def _pause(self, result: dict, step: int) -> None:
        """Print a result, and wait for the number of steps to measure next."""
        if ON_GPU:
            torch.cuda.empty_cache()
        print(json.dumps(result), file=self.reports, flush=True)
        words = sys.stdin.readline()
        if not words:  # the driver closed the pipe after the last measurement
            sys.exit()
        self.start_at = step + LEAD_IN
        self.stop_at = self.start_at + int(words)
        self.started = None
        if not LEAD_IN:
            self._start()

    def _start(self) -> None:
        if ON_GPU:
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
        self.tokens.value = 0
        self.started = time.perf_counter()

    def _stop(self) -> dict:
        if ON_GPU:
            torch.cuda.synchronize()
            peak = torch.cuda.max_memory_allocated() / 1e6
        else:
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        assert self.started is not None
        return {"seconds": time.perf_counter() - self.started, "tokens": self.tokens.value, "peak_mb": peak}


def main() -> None:
    """Run the script with `Pace` as a callback; the output of the script goes to standard error."""
    who, task, *flags = sys.argv[1:]
    reports, sys.stdout = sys.stdout, sys.stderr
    trainer.DEFAULT_CALLBACKS.append(Pace(reports))  # pyrefly: ignore[bad-argument-type]  # instances will do too
    run = {
        ("baseline", "mlm"): baseline.run_mlm,
        ("baseline", "ner"): baseline.run_ner,
        ("recipe", "mlm"): run_mlm.main,
        ("recipe", "ner"): run_ner.main,
    }[who, task]
    run([*flags, "--num_train_epochs=1000"])


if __name__ == "__main__":
    main()

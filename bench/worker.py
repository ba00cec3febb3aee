"""One contestant of `bench.speed`: runs a training script step by step on request, and reports its speed.

python -m bench.worker baseline|recipe mlm|ner [flags of the script]

After a few warm-up steps it prints `{}`. Then it reads numbers of steps from standard input. For each number it trains
that many steps and prints a line of JSON: `seconds`, `tokens` (without padding) and `peak_mb` (resident memory).
"""

import json
import resource
import sys
import time
from typing import Any

from transformers import TrainerCallback, trainer

import run_mlm
import run_ner
from bench import baseline

WARM_UP = 3  # steps in which kernels are chosen and the allocator's pools are filled


class Pace(TrainerCallback):
    """Pauses training between two measurements, and counts the tokens of the batches."""

    def __init__(self, reports):
        self.reports, self.stop_at, self.tokens = reports, WARM_UP, 0
        self.started: float | None = None

    def on_train_begin(self, args, state, control, train_dataloader: Any = None, **_):
        loader = train_dataloader.base_dataloader  # the loader inside Accelerate's wrapper makes the batches
        collate = loader.collate_fn

        def count_tokens(examples: list) -> dict:
            self.tokens += sum(len(example["input_ids"]) for example in examples)
            return collate(examples)

        loader.collate_fn = count_tokens

    def on_step_end(self, args, state, control, **_):
        if state.global_step < self.stop_at:
            return
        result = {}
        if self.started is not None:
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            result = {"seconds": time.perf_counter() - self.started, "tokens": self.tokens, "peak_mb": peak}
        print(json.dumps(result), file=self.reports, flush=True)
        words = sys.stdin.readline()
        if not words:  # the driver closed the pipe after the last measurement
            sys.exit()
        self.stop_at += int(words)
        self.started, self.tokens = time.perf_counter(), 0


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

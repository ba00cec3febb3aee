"""One contestant of `bench.speed`: trains as its script does, but only when told to, and says how fast.

python -m bench.worker baseline|recipe mlm|ner [flags of the script]

After a few steps of warming up it prints `{}`; then, for each number of steps that it reads from standard input, it
trains that many and prints a line of JSON: `seconds`, `tokens` (padding not counted) and `peak_mb` (resident memory).
"""

import json
import resource
import sys
import time

from transformers import TrainerCallback, trainer

import run_mlm
import run_ner
from bench import baseline

WARM_UP = 3  # steps: kernels are chosen, the allocator's pools filled


class Pace(TrainerCallback):
    """Holds training between two measurements, and counts the tokens of the batches."""

    def __init__(self, reports):
        self.reports, self.stop_at, self.started, self.tokens = reports, WARM_UP, None, 0

    def on_train_begin(self, args, state, control, train_dataloader=None, **_):
        loader = train_dataloader.base_dataloader  # Accelerate's wrapper hands on what this one makes
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
        if not words:  # the driver has closed the pipe: that was the last measurement
            sys.exit()
        self.stop_at += int(words)
        self.started, self.tokens = time.perf_counter(), 0


def main() -> None:
    """Run the script with the pace-maker among its callbacks; what it prints itself goes to standard error."""
    who, task, *flags = sys.argv[1:]
    reports, sys.stdout = sys.stdout, sys.stderr
    trainer.DEFAULT_CALLBACKS.append(Pace(reports))
    run = {
        ("baseline", "mlm"): baseline.run_mlm,
        ("baseline", "ner"): baseline.run_ner,
        ("recipe", "mlm"): run_mlm.main,
        ("recipe", "ner"): run_ner.main,
    }[who, task]
    run([*flags, "--num_train_epochs=1000"])


if __name__ == "__main__":
    main()

"""What a finished model or an export of it costs and finds: scores, speed, memory, load time, size.

`python -m recipe.inference.measuring MODEL TRIAL FOLDER PRECISION STARTED` measures in a process of its own, because
memory and load time are those of a process. It writes `figures.json` and `outputs.npz` to FOLDER.
"""

import json
import os
import platform
import re
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

import numpy as np

from recipe.errors import RecipeError, exit_with
from recipe.inference.trials import FillingScores, Outcome, TaggingScores, Trial, read_trial

ALONE, TOGETHER = 100, 640  # items whose use is timed, one and `BATCH` at a time
BATCH = 32
ROUNDS = 3  # of which the fastest counts


@dataclass(frozen=True)
class Costs:
    """What a model costs; items and places are those of `Trial`.

    sentences_per_second, words_per_second: items and places, `BATCH` items at a time. alone_per_second: items, one at
    a time.
    load_seconds: of the process, imports included. memory: of the process at its peak, MB. size: of the files, MB.
    """

    sentences_per_second: float
    words_per_second: float
    alone_per_second: float
    load_seconds: float
    memory: float
    size: float


@dataclass(frozen=True)
class Measurement:
    """What a model found on a trial, and what it costs."""

    outcome: Outcome
    costs: Costs

    @property
    def figures(self) -> dict[str, Any]:
        """Scores and costs as plain values."""
        return vars(self.outcome.scores) | asdict(self.costs)


def measure(model: Path, trial: Trial, precision: str = "auto") -> Measurement:
    """Measure a model on a trial, in a process of its own, which ends when this one ends.

    precision: see `Tagger.load`.
    Raises RecipeError if the model cannot be loaded or the trial cannot be read.
    """
    reader, writer = os.pipe()  # the system closes `writer` at the end of this process, however it ends
    try:
        with TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "recipe.inference.measuring", str(model)]
            command += [json.dumps(trial.describe(), default=str), folder, precision, str(time.time())]
            done = subprocess.run(command, stdin=reader, stderr=subprocess.PIPE, text=True)
            if done.returncode:
                reason = (done.stderr.strip().splitlines() or [""])[-1].removeprefix("error: ")
                raise RecipeError(f"{model}: cannot be measured: {reason}")
            return _read(Path(folder))
    finally:
        os.close(reader)
        os.close(writer)


def _read(folder: Path) -> Measurement:
    """What `main` wrote to a folder."""
    found, outputs = json.loads((folder / "figures.json").read_text()), np.load(folder / "outputs.npz")
    scores = (TaggingScores if "f1" in found["scores"] else FillingScores)(**found["scores"])
    return Measurement(Outcome(scores, outputs["logits"], outputs["chosen"]), Costs(**found["costs"]))


def measure_here(model: Path, trial: Trial, precision: str, started: float) -> Measurement:
    """Measure a model in this process, which began at `started`, in seconds since 1970."""
    loaded = trial.load(str(model), precision)
    load_seconds = time.time() - started
    outcome = trial.run(loaded)
    items = trial.list_items()
    together = [items[first : first + BATCH] for first in range(0, min(len(items), TOGETHER), BATCH)]
    speed = time_use(trial, loaded, together)
    count = sum(map(len, together))
    costs = Costs(
        sentences_per_second=speed,
        words_per_second=speed * trial.count_places(items[:count]) / max(count, 1),
        alone_per_second=time_use(trial, loaded, [[item] for item in items[:ALONE]]),
        load_seconds=load_seconds,
        memory=find_peak_memory(),
        size=sum(path.stat().st_size for path in model.iterdir() if path.is_file()) / 1e6,
    )
    return Measurement(outcome, costs)


def main() -> None:
    """Measure in this process, and write what `_read` reads."""
    Thread(target=_end_with_parent, daemon=True).start()
    model, trial_values, folder, precision, started = sys.argv[1:]
    measured = measure_here(Path(model), read_trial(json.loads(trial_values)), precision, float(started))
    content = {"scores": vars(measured.outcome.scores), "costs": asdict(measured.costs)}
    (Path(folder) / "figures.json").write_text(json.dumps(content))
    np.savez(Path(folder) / "outputs.npz", logits=measured.outcome.logits, chosen=measured.outcome.chosen)


def _end_with_parent() -> None:
    """End this process as soon as standard input closes, which the process that measures holds open."""
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)


def time_use(trial: Trial, loaded: Any, calls: Sequence[Sequence]) -> float:
    """Items a second, all calls together, in the fastest of `ROUNDS` rounds."""
    seconds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for items in calls:
            trial.use(loaded, items)
        seconds.append(time.perf_counter() - started)
    return sum(map(len, calls)) / max(min(seconds), 1e-9)


def find_peak_memory() -> float:
    """The resident memory of this process at its peak, in MB."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:  # not Linux
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / 1e6 if platform.system() == "Darwin" else peak / 1e3  # bytes there, kB elsewhere
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) / 1e3  # ru_maxrss would be that of the parent process


if __name__ == "__main__":
    exit_with(main)

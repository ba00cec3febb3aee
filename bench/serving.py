"""Every form of finished taggers on a test split, beside transformers' pipeline: F1, speed, memory, size.

python -m bench.serving runs/ner/name [runs/ner/other ...] --data_dir path/to/conll2003

Nothing else may run. Each run gets all its exports in `export/`, those that are refused too; with --reuse, exports that
are there are measured as they are. Writes `results/serving/<name of the folder>.json`, again after each form and each
round, so that an interrupted measurement keeps what it has.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import torch
from torch import nn
from transformers.utils.logging import disable_progress_bar

from bench.speed import measure_products
from bench.tagging import ROUNDS, measure_rounds
from recipe.data.documents import Document
from recipe.data.splits import find_files
from recipe.errors import RecipeError
from recipe.export import choose_exports, export_all, hold_folder, unwind_on_signals
from recipe.exportable import Source, open_source
from recipe.files import write_whole
from recipe.hub.provenance import describe_hardware, find_commit
from recipe.inference.comparison import load_pipeline
from recipe.inference.exports import EXPORTS, GRAPHS, RECORD, Export, OpenvinoBackend, count_threads
from recipe.inference.guard import judge
from recipe.inference.measuring import Measurement, measure
from recipe.inference.tagger import Tagger
from recipe.inference.trials import TaggingTrial
from recipe.model.compilation import CACHE

RESULTS = Path("results/serving")
MODEL, COMPILED = "torch-fp32, the model itself", "torch, compiled"
BATCH, STREAMS = 32, 2
SPEED = {"1 at a time": 200, f"{BATCH} at a time": 640, "all at once": 1280}  # sentences, evenly spaced

Words = list[list[str]]
Contestants = dict[str, Callable[[], object]]


@dataclass(frozen=True)
class Bench:
    """What is measured on which sentences, and how often. source: the tagger; None if no export has to be made."""

    run: Path
    test: Path
    exports: list[Export]
    rounds: int
    reuse: bool
    source: Source | None

    @property
    def trial(self) -> TaggingTrial:
        """The test file, with gold tags in its last column."""
        return TaggingTrial(self.test)


@contextmanager
def prepare(run: Path, test: Path, rounds: int, reuse: bool) -> Iterator[Bench]:
    """Hold the folder of a run and load its tagger, unless all exports are there and are reused."""
    exports = [one for one in choose_exports("auto", "auto") if one.name != "torch-fp32"]  # that is the model itself
    missing = [one for one in exports if not (reuse and (run / EXPORTS / one.name / RECORD).exists())]
    if not missing:
        yield Bench(run, test, exports, rounds, reuse, None)
        return
    with unwind_on_signals(), hold_folder(run), open_source(run, None, {}) as source:
        yield Bench(run, test, exports, rounds, reuse, source)


def measure_run(bench: Bench) -> Iterator[dict[str, Any]]:
    """The results so far, after each step."""
    forms: dict[str, dict] = {}
    result: dict[str, Any] = {"run": bench.run.name, "forms": forms}
    reference = measure(bench.run, bench.trial, "fp32")
    forms[MODEL] = {"test": reference.figures}
    yield result
    for export in bench.exports:
        try:
            forms[export.name] = measure_form(bench, export, reference)
        except RecipeError as error:
            forms[export.name] = {"error": str(error)}
        yield result
    compiled, forms[COMPILED] = compile_tagger(bench)
    yield result
    taggers = {MODEL: Tagger.load(bench.run, "fp32", "cpu"), COMPILED: compiled}
    taggers |= {name: Tagger.load(bench.run / EXPORTS / name) for name, row in forms.items() if "dev" in row}
    sentences = bench.trial.list_items()
    result |= measure_limits(taggers[MODEL], sentences) | {"products": [], "speed": {}}
    for kind, count in SPEED.items():
        chosen = sentences[:: max(1, len(sentences) // count)][:count]
        contestants = list_contestants(bench.run, taggers, chosen, kind)
        for run in contestants.values():  # to warm up
            run()
        for speeds in measure_rounds(contestants, len(chosen), sum(map(len, chosen)), bench.rounds):
            result["products"].append(measure_products())
            result["speed"][kind] = speeds
            yield result


def measure_form(bench: Bench, export: Export, reference: Measurement) -> dict[str, Any]:
    """Make an export, unless it is reused, and measure it on the test file: its row in the results.

    reference: the model itself on the test file. Raises RecipeError if it cannot be exported.
    """
    folder = bench.run / EXPORTS / export.name
    if bench.source and not (bench.reuse and (folder / RECORD).exists()):
        export_all(bench.source, [export], force=True, fastest=False)
    judged = judge(export, bench.trial, reference, measure(folder, bench.trial))
    differences = {key: judged.describe()[key] for key in (*bench.trial.keys, "largest_difference")}
    figures = judged.measured.figures | differences
    return {"dev": json.loads((folder / RECORD).read_text())["export"], "test": figures}


def list_contestants(run: Path, taggers: dict[str, Tagger], sentences: Words, kind: str) -> Contestants:
    """The pipeline and each form, which tag sentences as `kind` says, a key of `SPEED`."""
    size = {"1 at a time": 1, "all at once": len(sentences)}.get(kind, BATCH)
    calls = [sentences[first : first + size] for first in range(0, len(sentences), size)]
    texts = [[" ".join(words) for words in call] for call in calls]
    stock: Any = load_pipeline(str(run), taggers[MODEL].tokenizer)
    contestants: Contestants = {
        f"pipeline, batch_size={batch}": lambda batch=batch: [stock(call, batch_size=batch) for call in texts]
        for batch in (1, BATCH)
        if batch <= size
    }
    several = {} if size < len(sentences) else add_streams(run, taggers)
    for name, tagger in (taggers | several).items():
        contestants[name] = lambda tagger=tagger: [tagger.tag_words(call) for call in calls]
    return contestants


def add_streams(run: Path, taggers: dict[str, Tagger]) -> dict[str, Tagger]:
    """The forms on OpenVINO once more, with `STREAMS` batches at the same time on the same threads."""
    found = {}
    for name, tagger in taggers.items():
        backend, _, precision = name.partition("-")
        if backend == "openvino":
            several = found[f"{name}, {STREAMS} streams"] = copy(tagger)
            graph = run / EXPORTS / name / GRAPHS[backend]
            several.backend = OpenvinoBackend(graph, precision, count_threads(), STREAMS)
    return found


def compile_tagger(bench: Bench) -> tuple[Tagger, dict[str, Any]]:
    """The tagger on torch, compiled, in the precision that suits the CPU; and its row in the results.

    Nothing of an earlier compilation is used.
    """
    with TemporaryDirectory() as folder, patch.dict(os.environ, {CACHE: folder}):
        started = time.perf_counter()
        tagger = Tagger.load(bench.run, device="cpu", compiled=True)
        tagger.tag_words(bench.trial.list_items()[: 2 * BATCH])
        seconds = time.perf_counter() - started
        scores = bench.trial.run(tagger).scores
    return tagger, {"test": vars(scores) | {"compile_seconds": seconds}}


def measure_limits(tagger: Tagger, sentences: Words) -> dict[str, float]:
    """What bounds the speed of all forms.

    tokenizer: sentences a second that become windows, the fastest of three times. tokens_per_word: of single sentences,
    with special tokens and case markers. products_per_token: multiplications of the layers, without attention scores.
    """
    documents = [Document.from_words([words]) for words in sentences]
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        windows = tagger.windows(documents, context="none")
        seconds.append(time.perf_counter() - started)
    tokens, words = sum(len(window["input_ids"]) for window in windows), sum(map(len, sentences))
    backend: Any = tagger.backend
    weights = sum(layer.weight.numel() for layer in backend.model.modules() if isinstance(layer, nn.Linear))
    limits = {"tokenizer": len(sentences) / min(seconds)}
    return limits | {"tokens_per_word": tokens / words, "products_per_token": weights}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="folders of finished runs")
    parser.add_argument("--data_dir", required=True)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--reuse", action="store_true", help="measure exports that are there as they are")
    args = parser.parse_args()
    disable_progress_bar()
    torch.set_num_threads(count_threads())
    test = Path(find_files(args.data_dir)["test"][0])
    head = {"commit": find_commit(), "hardware": describe_hardware(0), "threads": count_threads()}
    for run in args.runs:
        with prepare(run, test, args.rounds, args.reuse) as bench:
            for result in measure_run(bench):
                write_whole(RESULTS / f"{run.name}.json", json.dumps(head | result, indent=2) + "\n")
        for kind, speeds in result["speed"].items():
            print(kind, {name: round(row["sentences_per_second"]) for name, row in speeds.items()})


if __name__ == "__main__":
    main()

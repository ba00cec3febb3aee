"""Speed on one GPU: both stages beside plain scripts, and tagging beside transformers' pipeline (`make bench-gpu`).

python -m bench.gpu --data_dir path/to/conll2003 --text "path/to/*.txt" [--only mlm-bert-base ...]

As in `bench.speed`, the contestants of a table take turns, and the rate of a large bf16 matrix product is measured in
the same rounds. All are started at the beginning, and wait until it is the turn of their table. Writes
`results/gpu/<table>.json`.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForTokenClassification

from bench.speed import Contestant, Row, count_flops, make_flags, summarize
from recipe.data.conll import read_columns
from recipe.data.documents import list_sentences
from recipe.data.splits import find_files
from recipe.hub.provenance import describe_hardware, find_commit
from recipe.inference.comparison import load_pipeline
from recipe.inference.tagger import Tagger
from recipe.inference.torch_backend import TorchBackend
from recipe.inputs.tokenizer import load_tokenizer
from recipe.model.configuration import load_config
from recipe.model.settings import ModelArguments

FOLDER = Path("results/gpu")
BLOCK, SENTENCE = 512, 20  # tokens of a block; mean length of a training sentence of CoNLL-2003
BATCHES = {  # blocks or sentences in a batch
    "mlm-minilm": 128,
    "mlm-bert-base": 64,
    "mlm-bert-large": 32,
    "ner-minilm": 256,
    "ner-bert-base": 256,
    "ner-bert-large": 256,
}
STEPS = {"mlm": 10, "ner": 30}  # in one measurement
TAGGED = {"minilm": 2048, "bert-base": 2048}  # sentences to tag with models of these sizes
WARM_UP = 15  # steps in which kernels are chosen or compiled
PATIENCE = 120  # seconds for the start and the warm-up of a contestant
SIDE = 8192  # of the matrices whose product gives the rate of the GPU


def list_rows(task: str, size: str) -> list[Row]:
    """The contestants of a table of one stage; all are compared to the first, and all train in bf16."""
    stock: dict[str, Any] = {"precision": "bf16", "attn_implementation": "sdpa"}
    own: dict[str, Any] = {"precision": "bf16"}
    rows = [Row("plain Trainer", "baseline", stock)]
    name = "plain Trainer"
    if task == "ner":
        stock = stock | {"train_sampling_strategy": "group_by_length"}
        name += ", group_by_length"
        rows.append(Row(name, "baseline", stock))
    if size == "bert-base":  # compiling a whole model takes a minute
        rows.append(Row(f"{name}, torch_compile", "baseline", stock | {"torch_compile": True}))
    if task == "ner":
        rows.append(Row("recipe, padded", switches=own | {"pack_batches": False}))
    rows += [Row("recipe", switches=own), Row("recipe, compile_layers", switches=own | {"compile_layers": True})]
    for row in rows:
        row.steps = STEPS[task]
    return rows


def measure_product(side: int = SIDE) -> float:
    """The rate of a large bf16 matrix product on random data, in TFLOP/s."""
    left, right = (torch.randn(side, side, device=_find_device(), dtype=torch.bfloat16) for _ in range(2))
    for _ in range(3):
        torch.matmul(left, right)
    _synchronize()
    started = time.perf_counter()
    for _ in range(10):
        torch.matmul(left, right)
    _synchronize()
    seconds = time.perf_counter() - started
    if torch.cuda.is_available():
        del left, right
        torch.cuda.empty_cache()
    return 10 * 2 * side**3 / seconds / 1e12


class Table:
    """The contestants of one table, started at once; they wait for `measure`."""

    def __init__(self, name: str, flags: dict, folder: Path):
        self.name = name
        self.task, size = name.split("-", 1)
        flags = make_flags(size) | flags | {"per_device_train_batch_size": BATCHES[name]}
        self.contestants, self.logs = [], {}
        for number, row in enumerate(list_rows(self.task, size)):
            self.logs[row.name] = folder / f"{name}-{number}.log"
            with open(self.logs[row.name], "w") as log:
                output = flags | {"output_dir": folder / f"{name}-{number}"}
                self.contestants.append(Contestant(row, self.task, output, log))

    def measure(self, rounds: int) -> dict:
        """Measure all rows in turn; returns them with the commit, the hardware and other facts."""
        rates, failed, running = [], {}, []
        for contestant in self.contestants:
            timer = threading.Timer(PATIENCE, contestant.process.kill)
            timer.start()
            try:
                contestant.wait().measure(WARM_UP)
                running.append(contestant)
            except RuntimeError as error:  # the other rows still have something to say
                failed[contestant.row.name] = str(error)
                log = self.logs[contestant.row.name].read_text()
                print(f"{self.name}: {error}", log[-2000:], sep="\n", file=sys.stderr)
            timer.cancel()
        measured: dict[str, list[dict]] = {contestant.row.name: [] for contestant in running}
        for _ in range(rounds):
            rates.append(measure_product())
            for contestant in running:
                measured[contestant.row.name].append(contestant.measure())
        for contestant in running:
            contestant.close()
        rate, flops = statistics.median(rates), count_flops(self.name, BLOCK if self.task == "mlm" else SENTENCE)
        rows = {name: summarize(results) for name, results in measured.items()}
        for row in rows.values():
            row["share"] = row["tokens_per_second"] * flops / 1e12 / rate
        facts = {"table": self.name, "batch": BATCHES[self.name], "rounds": rounds, "rows": rows, "failed": failed}
        return facts | {"bf16_tflops": rate, "flops_per_token": flops, **_describe()}


def run_tagging(size: str, tokenizer: str, sentences: list[list[str]], rounds: int) -> dict:
    """Sentences a second of the Tagger and of the pipeline, both in bf16, with 1, 32 and 256 sentences at a time."""
    arguments = ModelArguments(
        model_type="bert", config_overrides=make_flags(size)["config_overrides"], tokenizer_name=tokenizer
    )
    config = load_config(arguments)
    labels = ["O", *(f"{prefix}-{kind}" for kind in ("PER", "ORG", "LOC", "MISC") for prefix in "BI")]
    config.id2label, config.label2id = dict(enumerate(labels)), {label: n for n, label in enumerate(labels)}
    model = AutoModelForTokenClassification.from_config(config, dtype=torch.bfloat16).to(_find_device()).eval()
    tagger = Tagger(labels, load_tokenizer(arguments), TorchBackend(model), context="none", max_seq_length=512)
    stock = load_pipeline(model, tagger.tokenizer)
    texts = [" ".join(words) for words in sentences]
    rows: dict[str, list[float]] = {}
    for _ in range(rounds + 1):  # the first is the warm-up
        for batch in (1, 32, 256):
            some = texts[: batch * 64]
            contestants: dict[str, Callable[[], object]] = {
                "pipeline": lambda some=some, batch=batch: stock(list(some), batch_size=batch),
                "tagger": lambda some=some, batch=batch: [
                    tagger(some[first : first + batch]) for first in range(0, len(some), batch)
                ],
            }
            for name, run in contestants.items():
                started = time.perf_counter()
                run()
                rows.setdefault(f"{name}, {batch}", []).append(len(some) / (time.perf_counter() - started))
        started = time.perf_counter()
        tagger(texts)
        rows.setdefault("tagger, all", []).append(len(texts) / (time.perf_counter() - started))
    return {
        "table": f"tagging-{size}",
        "sentences": len(texts),
        "words": sum(map(len, sentences)),
        "rows": {name: {"sentences_per_second": statistics.median(rates[1:])} for name, rates in rows.items()},
        **_describe(),
    }


def _describe() -> dict:
    return {
        "commit": os.environ.get("COMMIT") or find_commit(),
        "hardware": describe_hardware(),
        "torch": torch.__version__,
    }


def _find_device() -> torch.device:
    return torch.accelerator.current_accelerator() or torch.device("cpu")


def _synchronize() -> None:
    if torch.accelerator.is_available():
        torch.accelerator.synchronize()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", default="data/newswire-mini", help="column files for run_ner.py")
    parser.add_argument("--text", default="data/newswire-mini/train.conll", help="text for run_mlm.py")
    parser.add_argument("--tokenizer", default="minilm-l6", help="a tokenizer with at most 30,522 entries")
    parser.add_argument("--only", nargs="+", choices=[*BATCHES, *(f"tagging-{size}" for size in TAGGED)])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=FOLDER)
    arguments = parser.parse_args()
    data = {
        "mlm": {"train_file": arguments.text, "block_size": BLOCK},
        "ner": {"data_dir": arguments.data_dir, "context": "none", "max_seq_length": 128},
    }
    arguments.output.mkdir(parents=True, exist_ok=True)
    files = find_files(arguments.data_dir)
    sentences = [s.words for s in list_sentences(read_columns(files["train"][0]))]
    chosen = arguments.only or [*BATCHES, *(f"tagging-{size}" for size in TAGGED)]
    with tempfile.TemporaryDirectory() as folder:
        tables = {
            name: Table(name, data[name[:3]] | {"tokenizer_name": arguments.tokenizer}, Path(folder))
            for name in chosen
            if name in BATCHES
        }
        for name in chosen:
            if name in tables:
                result = tables[name].measure(arguments.rounds)
            else:
                size = name.split("-", 1)[1]
                result = run_tagging(size, arguments.tokenizer, sentences[: TAGGED[size]], arguments.rounds)
            (arguments.output / f"{name}.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
            print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()

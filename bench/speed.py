"""Training speed of both stages: plain scripts, each improvement alone, and all improvements together (`make bench`).

python -m bench.speed --data_dir path/to/conll2003 --text "path/to/*.txt" [--only mlm-minilm ...]

All contestants of a table are started and warmed up, then measured in turns, A B C A B C ..., so that a slower phase of
the machine affects all of them. Waiting contestants use no CPU. The figure of a row is the median over the rounds. The
machine's rate for matrix products in torch is measured in the same rounds. Writes `results/speed/<table>.json`.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, cast

import torch

from recipe.hub.provenance import describe_hardware, find_commit
from recipe.precision import MATMUL, choose_precision
from recipe.training.runtime import count_cores

TABLES = ("mlm-minilm", "mlm-bert-base", "ner-minilm", "ner-bert-base")
FOLDER = Path("results/speed")
SIZES = {  # layers, width, width of the feed-forward layers, heads; a vocabulary of 30,522
    "minilm": (6, 384, 1536, 12),
    "bert-base": (12, 768, 3072, 12),
    "bert-large": (24, 1024, 4096, 16),
}
BATCHES = {"mlm-minilm": 16, "mlm-bert-base": 8, "ner-minilm": 32, "ner-bert-base": 32}
WARM_UP = 3  # steps in which kernels are chosen and the allocator's pools are filled
BLOCK, VOCABULARY, MASKED = 128, 30522, 0.15
SENTENCE = 20  # tokens, mean length of the training sentences of CoNLL-2003
OFF = {
    "precision": "fp32",
    "threads": count_cores(),
    "onednn_matmul": False,
    "reuse_memory": False,
    "light_dropout": False,
    "attn_implementation": "sdpa",
    "pack_batches": False,
}
LIGHT = {"light_dropout": True, "attn_implementation": None}


@dataclass
class Row:
    """One contestant: its script, its settings, how it is launched, and the number of steps in a measurement."""

    name: str
    who: str = "recipe"
    switches: dict = field(default_factory=dict)
    launched: bool = False  # with `accelerate launch` without a configuration, which sets one thread
    steps: int = 1


def list_rows(table: str) -> list[Row]:
    """The contestants of one table; all are compared to the first.

    Single improvements are measured for the small model only: eleven waiting processes of BERT base need over 24 GB.
    """
    steps = {"mlm-minilm": (2, 4), "mlm-bert-base": (1, 2), "ner-minilm": (12, 50), "ner-bert-base": (2, 15)}
    few, many = steps[table]
    if table.startswith("mlm"):
        off, own = OFF | {"sparse_head": False}, Row("+ sparse head", switches=OFF)
    else:
        off, own = OFF, Row("+ batches packed", switches=OFF | {"pack_batches": True}, steps=many)
    plain = [
        Row("plain Trainer, `python`", "baseline", {"precision": "fp32"}),
        Row("plain Trainer, bare `accelerate launch`", "baseline", {"precision": "fp32"}, launched=True),
    ]
    alone = [
        Row("recipe, all switches off", switches=off),
        Row("+ threads, bare `accelerate launch`", switches=off | {"threads": None}, launched=True),
        own,
        Row("+ oneDNN for fp32 products", switches=off | {"onednn_matmul": True}),
        Row("+ memory reused", switches=off | {"reuse_memory": True}),
        Row("+ light dropout and attention", switches=off | LIGHT),
        Row("+ bf16", switches=off | {"precision": "bf16"}),
    ]
    together = [Row("all, fp32", switches={"precision": "fp32"}, steps=many), Row("all", steps=many)]
    rows = [*plain, *(alone if table.endswith("minilm") else []), *together]
    for row in rows:
        row.steps = max(row.steps, few)
    return rows


class Contestant:
    """The worker process of one row."""

    def __init__(self, row: Row, task: str, flags: dict, log):
        settings = flags | row.switches
        words = [f"--{key}={value}" for key, value in settings.items() if value is not None]
        self.row = row
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m"),
                *(("accelerate.commands.launch", "-m") if row.launched else ()),
                *("bench.worker", row.who, task, *words),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env={key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"},
            text=True,
        )
        self._commands, self._answers = cast("IO[str]", self.process.stdin), cast("IO[str]", self.process.stdout)

    def wait(self) -> "Contestant":
        """Wait until it is ready to train."""
        self._read()
        return self

    def measure(self, steps: int | None = None) -> dict:
        """Train `steps`, or the row's number of steps; return `seconds`, `tokens` and `peak_mb`."""
        with suppress(BrokenPipeError):  # `_read` says which row it was
            print(steps or self.row.steps, file=self._commands, flush=True)
        return self._read()

    def close(self) -> None:
        """End the process if it is still running."""
        with suppress(BrokenPipeError):
            self._commands.close()
        self.process.wait()

    def _read(self) -> dict:
        line = self._answers.readline()
        if not line:
            raise RuntimeError(f"{self.row.name}: ended with status {self.process.wait()}")
        return json.loads(line)


def measure_products() -> dict[str, float]:
    """Rates of one large matrix product in GFLOP/s: fp32 by torch's default, fp32 by oneDNN, and bf16."""
    left, right = torch.randn(2048, 768), torch.randn(768, 3072)
    half = left.bfloat16(), right.bfloat16()
    rates = {}
    for name, route, operands in [
        ("fp32", "none", (left, right)),
        ("onednn", "bf16", (left, right)),
        ("bf16", "none", half),
    ]:
        MATMUL.fp32_precision = route
        started = time.perf_counter()
        for _ in range(3):
            torch.matmul(*operands)
        rates[name] = 3 * 2 * 2048 * 768 * 3072 / (time.perf_counter() - started) / 1e9
    MATMUL.fp32_precision = "none"
    return rates


def count_flops(table: str, length: float) -> float:
    """Useful floating-point operations per training token: the encoder, and the head at masked tokens."""
    task, size = table.split("-", 1)
    layers, width, inner, _ = SIZES[size]
    encoder = layers * (4 * width**2 + 2 * width * inner + 2 * width * length)
    head = MASKED * (width**2 + width * VOCABULARY) if task == "mlm" else 0
    return 3 * 2 * (encoder + head)  # a backward pass costs as much as two forward passes


def make_flags(size: str) -> dict:
    """The flags of a training of a model with random weights."""
    layers, width, inner, heads = SIZES[size]
    overrides = f"num_hidden_layers={layers},hidden_size={width},num_attention_heads={heads},intermediate_size={inner}"
    return {
        "model_type": "bert",
        "config_overrides": overrides,
        "tokenizer_name": "minilm-l6",
        "do_train": True,
        "save_strategy": "no",
        "disable_tqdm": True,
        "logging_steps": 1000,
        "seed": 0,
    }


def run_table(table: str, data: dict, rounds: int) -> dict:
    """Measure all rows of one table; returns them with the commit, the hardware and other facts."""
    task, size = table.split("-", 1)
    flags = data[task] | make_flags(size) | {"per_device_train_batch_size": BATCHES[table]}
    measured, products, contestants = {}, [], []
    with tempfile.TemporaryDirectory() as folder, open(Path(folder, "log"), "w+") as log:
        try:
            for number, row in enumerate(list_rows(table)):
                contestants.append(Contestant(row, task, flags | {"output_dir": f"{folder}/{number}"}, log).wait())
                contestants[-1].measure(WARM_UP)
                measured[row.name] = []
            for _ in range(rounds):
                products.append(measure_products())
                for contestant in contestants:
                    measured[contestant.row.name].append(contestant.measure())
        except RuntimeError as error:
            log.seek(0)
            raise SystemExit(f"{error}\n{log.read()[-3000:]}") from None
        finally:
            for contestant in contestants:
                contestant.close()
    return {
        "table": table,
        "batch": BATCHES[table],
        "rounds": rounds,
        "rows": {name: summarize(results) for name, results in measured.items()},
        "gflops": {name: statistics.median(rates[name] for rates in products) for name in products[0]},
        "flops_per_token": count_flops(table, BLOCK if task == "mlm" else SENTENCE),
        "commit": find_commit(),
        "hardware": describe_hardware(),
        "precision": choose_precision("auto", on_cpu=True)[0],
    }


def summarize(results: list[dict]) -> dict:
    """Tokens per second (median, minimum and maximum over the rounds) and peak memory in MB."""
    rates = [result["tokens"] / result["seconds"] for result in results]
    return {
        "tokens_per_second": statistics.median(rates),
        "least": min(rates),
        "most": max(rates),
        "peak_mb": max(result["peak_mb"] for result in results),
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", default="data/newswire-mini", help="column files for run_ner.py")
    parser.add_argument("--text", default="data/newswire-mini/train.conll", help="text for run_mlm.py")
    parser.add_argument("--only", nargs="+", choices=TABLES, default=TABLES)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    data = {
        "mlm": {"train_file": arguments.text, "block_size": BLOCK},
        "ner": {"data_dir": arguments.data_dir, "context": "none", "max_seq_length": 128},
    }
    torch.set_num_threads(count_cores())  # the same as the contestants, for `measure_products`
    FOLDER.mkdir(parents=True, exist_ok=True)
    for table in arguments.only:
        result = run_table(table, data, arguments.rounds)
        (FOLDER / f"{table}.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
        print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()

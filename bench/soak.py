"""Kill runs at random moments and start them again: each must end with the weights of a run that was never killed.

python -m bench.soak [--kills 25]

Eight configurations of both stages, small models with random weights on the embedded corpus; `make soak`. Writes
`results/reliability/soak.json`: for each configuration, the kills, and how many runs ended with the same SHA-256 of the
weights.
"""

import argparse
import datetime
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import run_mlm
import run_ner
from recipe.errors import exit_with
from recipe.hub.provenance import describe_hardware, find_commit

RESULT = Path("results/reliability/soak.json")
CORPUS = "data/newswire-mini"
COMMON = {
    "model_type": "bert",
    "config_overrides": "hidden_size=24,num_hidden_layers=1,num_attention_heads=2,intermediate_size=24",
    "do_train": True,
    "max_steps": 30,
    "save_steps": 3,
    "save_strategy": "steps",
    "save_total_limit": 2,
    "learning_rate": 1e-3,
    "disable_tqdm": True,
    "threads": 1,
}
NER = COMMON | {"data_dir": CORPUS, "max_train_samples": 120, "max_seq_length": 128, "tokenizer_name": "minilm-l6"}
NER |= {"per_device_train_batch_size": 8}
MLM = COMMON | {"train_file": f"{CORPUS}/train.conll", "block_size": 32, "max_train_samples": 60, "do_eval": False}
KNOWN = MLM | {"tokenizer_name": "minilm-l6"}
RUNS: dict[str, tuple[Callable, dict]] = {
    "ner, documents": (run_ner.main, NER),
    "ner, single sentences by length": (
        run_ner.main,
        NER | {"context": "none", "train_sampling_strategy": "group_by_length", "gradient_accumulation_steps": 2},
    ),
    "ner, mixed context": (run_ner.main, NER | {"context": "mixed", "per_device_train_batch_size": 2}),
    "ner, evaluated": (run_ner.main, NER | {"do_eval": True, "eval_strategy": "steps", "eval_steps": 10}),
    "mlm, bf16": (run_mlm.main, KNOWN | {"precision": "bf16"}),
    "mlm, data-loading workers": (run_mlm.main, KNOWN | {"dataloader_num_workers": 2}),
    "mlm, streamed": (run_mlm.main, KNOWN | {"streaming": True, "max_train_samples": None}),
    "mlm, from scratch with its own tokenizer": (run_mlm.main, MLM | {"vocab_size": 500}),
}


def start(main: Callable, settings: dict, folder: Path) -> int:
    """Start a run in a process group of its own; returns the id of its first process."""
    child = os.fork()
    if child:
        return child
    os.setsid()
    with open(folder.with_suffix(".log"), "ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    flags = [f"--{key}={value}" for key, value in settings.items() if value is not None]
    status = 0
    try:
        exit_with(lambda: main([*flags, f"--output_dir={folder}"]))
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    finally:
        os._exit(status)
    return 0


def finish(child: int, folder: Path) -> str:
    """Wait for a run, and return the digest of its weights; a failure ends everything with its log."""
    _, ended = os.waitpid(child, 0)
    if ended:
        log = folder.with_suffix(".log").read_text(errors="replace")
        sys.exit(f"{folder}: ended with {os.waitstatus_to_exitcode(ended)}\n{log[-2000:]}")
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def soak(name: str, kills: int, draw: random.Random, place: Path) -> dict:
    """Kill runs of one configuration; each is killed once, at a random moment, and then ends by itself."""
    main, settings = RUNS[name]
    whole, killed = place / "whole", place / "killed"
    started = time.perf_counter()
    expected = finish(start(main, settings, whole), whole)
    seconds = time.perf_counter() - started
    equal = interrupted = 0
    for _ in range(kills):
        shutil.rmtree(killed, ignore_errors=True)
        child = start(main, settings, killed)
        time.sleep(draw.uniform(0, seconds))
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
        interrupted += not (killed / "model.safetensors").exists()
        equal += finish(start(main, settings, killed), killed) == expected
    return {"kills": kills, "before_the_end_of_training": interrupted, "equal": equal, "sha256": expected}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=25, help="kills for each configuration (default: 25)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments")
    parser.add_argument("--output", type=Path, default=RESULT)
    args = parser.parse_args()
    draw, rows = random.Random(args.seed), {}
    facts = {"date": datetime.date.today().isoformat(), "commit": find_commit(), "hardware": describe_hardware(0)}
    for name in RUNS:
        with tempfile.TemporaryDirectory() as place:
            rows[name] = soak(name, args.kills, draw, Path(place))
        print(name, rows[name], flush=True)
    total, equal = (sum(row[key] for row in rows.values()) for key in ("kills", "equal"))
    args.output.write_text(json.dumps({**facts, "kills": total, "equal": equal, "runs": rows}, indent=2) + "\n")
    if equal < total:
        sys.exit(f"{total - equal} of {total} killed runs ended with other weights")


if __name__ == "__main__":
    main()

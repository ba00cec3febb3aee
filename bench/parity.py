"""Check that the faster training is as accurate: entity F1 of the plain script and the recipe, with three seeds each.

python -m bench.parity --data_dir path/to/conll2003 [--model_name_or_path minilm-l6]

Reports of single runs are kept in `runs/bench` and reused at the same commit. Writes `results/speed/f1.json`.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench.speed import FOLDER
from recipe.hub.provenance import describe_hardware, find_commit

SEEDS = (1, 2, 3)
RECIPE = ("run_ner", "--do_train", "--do_eval", "--do_predict", "--context=none", "--constrained_decoding=false")
CONTESTANTS = {  # name -> folder of the reports, and command
    "plain Trainer, fp32": ("baseline", "bench.baseline", "ner", "--precision=fp32"),
    "recipe, all switches on": ("recipe", *RECIPE),
    "recipe, batches by length": ("by-length", *RECIPE, "--train_sampling_strategy=group_by_length"),
}
SETTINGS = {
    "max_train_samples": 3000,
    "num_train_epochs": 2,
    "learning_rate": 5e-4,
    "per_device_train_batch_size": 32,
    "per_device_eval_batch_size": 32,
    "max_seq_length": 128,
    "warmup_steps": 0.1,
    "weight_decay": 0.01,
    "save_strategy": "no",
    "disable_tqdm": True,
}


def run(name: str, seed: int, settings: dict) -> dict[str, float]:
    """Train and score one contestant unless its report exists; returns micro F1 of `dev` and `test`, and `peak_mb`."""
    key, module, *words = CONTESTANTS[name]
    data = "-".join(Path(settings[name]).name for name in ("data_dir", "model_name_or_path"))
    folder = Path("runs/bench", find_commit(), data, f"{key}-seed{seed}")
    if not (folder / "report.json").exists():
        flags = [f"--{key}={value}" for key, value in (settings | {"seed": seed, "output_dir": folder}).items()]
        process = subprocess.Popen([sys.executable, "-m", module, *words, *flags])
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            raise SystemExit(f"{folder}: the run failed: see its output above")
        (folder / "peak_mb").write_text(f"{usage.ru_maxrss / 1024:.0f}\n")
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    scores = {split: report[split]["entities"]["micro avg"]["f1"] for split in ("dev", "test")}
    return scores | {"peak_mb": float((folder / "peak_mb").read_text())}


def summarize(scores: list[dict[str, float]]) -> dict[str, dict]:
    """Mean, standard deviation and single values over the seeds, for the F1 of each split and for peak memory."""
    columns = {key: [score[key] for score in scores] for key in scores[0]}
    return {
        key: {"mean": statistics.mean(values), "sd": statistics.stdev(values), "values": values}
        for key, values in columns.items()
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", default="data/newswire-mini", help="column files for run_ner.py")
    parser.add_argument("--model_name_or_path", default="minilm-l6")
    settings: dict[str, Any] = SETTINGS | vars(parser.parse_args())
    rows = {name: summarize([run(name, seed, settings) for seed in SEEDS]) for name in CONTESTANTS}
    settings["data_dir"] = Path(settings["data_dir"]).name
    circumstances = {"seeds": SEEDS, "commit": find_commit(), "hardware": describe_hardware()}
    result = {"settings": settings, **circumstances, "rows": rows}
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "f1.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result["rows"], indent=2))


if __name__ == "__main__":
    main()

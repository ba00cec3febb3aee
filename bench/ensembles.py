"""Several seeds of one tagger as one: the mean of their weights, and the mean of their logits.

python -m bench.ensembles runs/ner/name-seed42 runs/ner/name-seed43 runs/ner/name-seed44 --data_dir path/to/conll2003

Each is scored on dev, and the better mean also on test. Writes `results/ensembles/<name>.json`, without text.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from bench.differences import compare, format_change
from bench.runs import RESULTS
from bench.study import average_weights, write_result
from recipe.data.conll import read_conll
from recipe.data.documents import Document
from recipe.data.splits import find_files
from recipe.errors import RecipeError, exit_with
from recipe.evaluation.counts import count_entities
from recipe.evaluation.results import format_markdown
from recipe.evaluation.uncertainty import compute_f1
from recipe.hub.provenance import describe_hardware, find_commit
from recipe.inference.tagger import Tagger

ENSEMBLES = RESULTS / "ensembles"
MEANS = WEIGHTS, LOGITS = "mean of the weights", "mean of the logits"
SPLITS = ("dev", "test")


def tag_by_mean(taggers: Sequence[Tagger], documents: Sequence[Document]) -> list[list[str]]:
    """The tags of each sentence by the mean logits of taggers with the same windows: seeds of one training."""
    windows = taggers[0].windows(documents)
    batches = zip(*(tagger.run(windows) for tagger in taggers), strict=True)
    return taggers[0].tags(documents, windows, (np.mean(batch, axis=0) for batch in batches))


def load_systems(runs: Sequence[Path]) -> dict[str, list[Tagger]]:
    """The taggers whose mean logits count: of each run, and of both means."""
    taggers = {run.name: [Tagger.load(run, "fp32", "cpu")] for run in runs}
    with TemporaryDirectory() as folder:
        average_weights(runs, runs[0], Path(folder))
        averaged = Tagger.load(folder, "fp32", "cpu")
    return taggers | {LOGITS: [tagger for (tagger,) in taggers.values()], WEIGHTS: [averaged]}


def count_all(systems: dict[str, list[Tagger]], documents: Sequence[Document]) -> dict[str, np.ndarray]:
    """Counts by document of each system, (documents, 1, 3)."""
    tags = {name: tag_by_mean(taggers, documents) for name, taggers in systems.items()}
    return {name: count_entities(documents, found).select([]) for name, found in tags.items()}


def describe(counts: dict[str, np.ndarray]) -> dict[str, dict]:
    """F1 in percent of each system, and of the means the difference from the mean F1 of the single runs."""
    single = np.stack([one for name, one in counts.items() if name not in MEANS], -1)
    rows: dict[str, dict] = {name: {"f1": float(100 * compute_f1(one.sum(0))[-1])} for name, one in counts.items()}
    for name in counts.keys() & set(MEANS):
        rows[name] |= {"difference": compare(single, counts[name], ["all"])["all"]}
    return rows


def load_ensembles(folder: Path = ENSEMBLES) -> list[dict]:
    """The results that were written."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]


def format_ensembles(result: dict) -> str:
    """A Markdown table of F1 in percent, and the differences of the means from the single runs."""
    lines = []
    for name in result["dev"]:
        lines.append([name, *(_format(result[split][name]) if name in result[split] else "" for split in SPLITS)])
    return format_markdown(["", *(f"{split} F1" for split in SPLITS)], lines)


def _format(row: dict) -> str:
    return f"{row['f1']:.2f}" + (f", {format_change(row['difference'])}" if "difference" in row else "")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="folders of finished taggers that differ in their seed")
    parser.add_argument("--data_dir", required=True)
    args = parser.parse_args()
    names = {run.name.split("-seed")[0] for run in args.runs}
    if len(names) > 1:
        raise RecipeError(f"runs: {' '.join(sorted(names))}: expected seeds of one training")
    files = find_files(args.data_dir)
    result: dict = {"commit": find_commit(), "hardware": describe_hardware(0), "runs": [run.name for run in args.runs]}
    systems = load_systems(args.runs)
    result["dev"] = describe(count_all(systems, read_conll(files["dev"][0])))
    worse = min(MEANS, key=lambda name: result["dev"][name]["f1"])
    del systems[worse]
    result["test"] = describe(count_all(systems, read_conll(files["test"][0])))
    write_result(ENSEMBLES / f"{names.pop()}.json", result)
    print(format_ensembles(result))


if __name__ == "__main__":
    exit_with(main)

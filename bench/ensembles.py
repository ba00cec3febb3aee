"""Several seeds of one tagger as one: the mean of their weights, and the mean of their logits.

python -m bench.ensembles runs/ner/name-seed42 runs/ner/name-seed43 runs/ner/name-seed44 --data_dir path/to/conll2003

Each is scored on dev, and what is best there also on test. Writes `results/ensembles/<name>.json`, without text.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from bench.runs import RESULTS
from bench.study import average_weights, write_result
from recipe.data.conll import read_conll
from recipe.data.documents import Document
from recipe.data.splits import find_files
from recipe.errors import RecipeError, exit_with
from recipe.evaluation.counts import count_entities
from recipe.evaluation.results import format_markdown
from recipe.evaluation.uncertainty import compute_f1, find_difference_intervals, find_p_values
from recipe.hub.provenance import describe_hardware, find_commit
from recipe.inference.tagger import Tagger

ENSEMBLES = RESULTS / "ensembles"
WEIGHTS, LOGITS = "mean of the weights", "mean of the logits"


def tag_by_mean(taggers: Sequence[Tagger], documents: Sequence[Document]) -> list[list[str]]:
    """The tags of each sentence by the mean logits of taggers with the same windows: seeds of one training."""
    windows = taggers[0].windows(documents)
    batches = zip(*(tagger.run(windows) for tagger in taggers), strict=True)
    return taggers[0].tags(documents, windows, (np.mean(batch, axis=0) for batch in batches))


def count_all(runs: Sequence[Path], documents: Sequence[Document], chosen: str = "") -> dict[str, np.ndarray]:
    """Counts by document of each run and of both means, (documents, 1, 3). chosen: only the runs and this one."""
    taggers = [Tagger.load(run, "fp32", "cpu") for run in runs]
    tags = {run.name: tag_by_mean([tagger], documents) for run, tagger in zip(runs, taggers, strict=True)}
    if chosen in ("", LOGITS):
        tags[LOGITS] = tag_by_mean(taggers, documents)
    if chosen in ("", WEIGHTS):
        with TemporaryDirectory() as folder:
            average_weights(runs, runs[0], Path(folder))
            tags[WEIGHTS] = tag_by_mean([Tagger.load(folder, "fp32", "cpu")], documents)
    return {name: count_entities(documents, found).select([]) for name, found in tags.items()}


def describe(counts: dict[str, np.ndarray], runs: Sequence[Path]) -> dict[str, dict]:
    """F1 of each, and of the means the difference from the single runs' mean counts, with its interval and p-value."""
    rows: dict[str, dict] = {name: {"f1": float(compute_f1(one.sum(0))[-1])} for name, one in counts.items()}
    single = np.mean([counts[run.name] for run in runs], axis=0)
    for name in counts.keys() - {run.name for run in runs}:
        interval, p = find_difference_intervals(single, counts[name])[-1], find_p_values(single, counts[name])[-1]
        rows[name] |= {"interval": (100 * interval).tolist(), "p": float(p)}
    return rows


def format_ensembles(result: dict) -> str:
    """A Markdown table of F1 in percent, and the differences of the means from the single runs."""
    lines = []
    for name in result["dev"]:
        cells = [_format(result[split][name]) if name in result.get(split, {}) else "" for split in ("dev", "test")]
        lines.append([name, *cells])
    return format_markdown(["", "dev F1", "test F1"], lines)


def _format(row: dict) -> str:
    if "interval" not in row:
        return f"{100 * row['f1']:.2f}"
    return f"{100 * row['f1']:.2f} ({' to '.join(f'{end:+z.2f}' for end in row['interval'])})"


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
    result["dev"] = describe(count_all(args.runs, read_conll(files["dev"][0])), args.runs)
    best = max((LOGITS, WEIGHTS), key=lambda name: result["dev"][name]["f1"])
    result["test"] = describe(count_all(args.runs, read_conll(files["test"][0]), best), args.runs)
    write_result(ENSEMBLES / f"{names.pop()}.json", result)
    print(format_ensembles(result))


if __name__ == "__main__":
    exit_with(main)

"""F1 against speed of several finished taggers, as models of torch in fp32 and as their exports, measured in turn.

python -m bench.frontier runs/ner/large runs/ner/small [...] --data_dir path/to/conll2003

Nothing else may run. Writes `results/serving/frontier.json`, again after each round. `bench.report` draws the picture.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers.utils.logging import disable_progress_bar

from bench.runs import RESULTS
from bench.tagging import ROUNDS, measure_rounds
from recipe.data.splits import find_files
from recipe.errors import exit_with
from recipe.evaluation.results import format_markdown
from recipe.files import write_whole
from recipe.hub.provenance import describe_hardware, find_commit
from recipe.inference.exports import EXPORTS, RECORD, count_threads
from recipe.inference.measuring import measure
from recipe.inference.tagger import Tagger
from recipe.inference.trials import TaggingTrial

FRONTIER = RESULTS / "serving" / "frontier.json"
MODEL = "torch-fp32"
SENTENCES = 1280  # evenly spaced, tagged in one call
COLORS = ("#2b6cb0", "#c05621", "#2f855a", "#6b46c1", "#888888")


def list_forms(run: Path) -> dict[str, Path]:
    """The folders of a run's model and of its exports that pass, by the name of the form."""
    forms = {MODEL: run}
    for record in sorted(run.glob(f"{EXPORTS}/*/{RECORD}")):
        if json.loads(record.read_text(encoding="utf-8"))["export"]["passes"]:
            forms[record.parent.name] = record.parent
    return forms


def measure_all(runs: Sequence[Path], trial: TaggingTrial, rounds: int) -> Iterator[list[dict[str, Any]]]:
    """The rows of all forms, after each round."""
    sentences = trial.list_items()
    chosen = sentences[:: max(1, len(sentences) // SENTENCES)][:SENTENCES]
    rows, contestants = [], {}
    for run in runs:
        shape = describe_model(Tagger.load(run, "fp32", "cpu"))
        for form, folder in list_forms(run).items():
            precision = "fp32" if form == MODEL else "auto"
            figures, tagger = measure(folder, trial, precision).figures, Tagger.load(folder, precision, "cpu")
            rows.append({"run": run.name, "form": form} | shape | {key: figures[key] for key in ("f1", "size")})
            contestants[f"{run.name} {form}"] = lambda tagger=tagger: tagger.tag_words(chosen)
    for tag in contestants.values():  # to warm up
        tag()
    for speeds in measure_rounds(contestants, len(chosen), sum(map(len, chosen)), rounds):
        yield [row | speed for row, speed in zip(rows, speeds.values(), strict=True)]


def describe_model(tagger: Tagger) -> dict[str, int]:
    """Layers, width and parameters of a tagger on torch. embeddings: those of its parameters that are of words."""
    backend: Any = tagger.backend
    model = backend.model
    return {
        "layers": model.config.num_hidden_layers,
        "width": model.config.hidden_size,
        "parameters": sum(one.numel() for one in model.parameters()),
        "embeddings": model.get_input_embeddings().weight.numel(),
    }


def load_frontier(path: Path = FRONTIER) -> list[dict]:
    """The measured rows; none before the first measurement."""
    return json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else []


def format_frontier(rows: Sequence[dict]) -> str:
    """A Markdown table of F1 on test, speed and size of each form, and the factor of its speed over the first row."""
    lines = []
    for row in rows:
        share = row["embeddings"] / row["parameters"]
        speed, least, most = (
            row["words_per_second"] * row[key] / row["sentences_per_second"]
            for key in ("sentences_per_second", "slowest", "fastest")
        )
        lines.append(
            [
                row["run"],
                f"{row['layers']} x {row['width']}",
                f"{row['parameters'] / 1e6:.1f} M ({share:.0%})",
                row["form"],
                f"{100 * row['f1']:.1f}",
                f"{speed:,.0f} ({least:,.0f} to {most:,.0f})",
                f"{speed / rows[0]['words_per_second']:.1f}x",
                f"{row['size']:.0f}",
            ]
        )
    header = ["tagger", "layers x width", "parameters (of word embeddings)", "form", "test F1", "words a second"]
    return format_markdown([*header, "factor", "MB on disk"], lines)


def plot_frontier(rows: Sequence[dict], path: Path) -> None:
    """Plot F1 on test against words a second: a line for each tagger, a point for each of its forms."""
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(8, 5))
    for run, color in zip(dict.fromkeys(row["run"] for row in rows), COLORS, strict=False):
        own = sorted((row for row in rows if row["run"] == run), key=lambda row: row["words_per_second"])
        speeds, scores = [row["words_per_second"] for row in own], [100 * row["f1"] for row in own]
        label = f"{own[0]['layers']} x {own[0]['width']}, {run.split('-markers')[0]}"
        axis.plot(speeds, scores, marker="o", color=color, label=label, lw=1)
        for place, (row, speed, score) in enumerate(zip(own, speeds, scores, strict=True)):
            offset = (0, -13 if place % 2 else 7)  # neighbours would overlap
            axis.annotate(row["form"], (speed, score), offset, textcoords="offset points", ha="center", fontsize=7)
    axis.set_xscale("log")
    axis.set_xlabel("words a second on two threads, logarithmic")
    axis.set_ylabel("entity F1 on test, percent")
    axis.margins(x=0.1, y=0.15)
    axis.legend(frameon=False, fontsize=8, loc="lower left")
    axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="folders of finished runs")
    parser.add_argument("--data_dir", required=True)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    args = parser.parse_args()
    disable_progress_bar()
    torch.set_num_threads(count_threads())
    trial = TaggingTrial(Path(find_files(args.data_dir)["test"][0]))
    head = {"commit": find_commit(), "hardware": describe_hardware(0), "threads": count_threads()}
    for rows in measure_all(args.runs, trial, args.rounds):
        write_whole(FRONTIER, json.dumps(head | {"rows": rows}, indent=2) + "\n")
    print(format_frontier(rows))


if __name__ == "__main__":
    exit_with(main)

"""How sure the F1 of single tags on the CoNLL-2003 test split is, beside the reference.

python -m bench.reference runs/ner/mine [...]

Reads `predictions/test.conll` of runs, and writes `results/reference/<name of the folder>.json`, without text.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.errors import FACTS
from bench.runs import RESULTS
from bench.study import write_result
from recipe.data.documents import Document, list_tags
from recipe.errors import RecipeError, exit_with
from recipe.evaluation.predictions import name_predictions
from recipe.evaluation.results import format_markdown
from recipe.evaluation.scoring import REFERENCE, is_conll2003_test, read_predictions, score_tags
from recipe.evaluation.uncertainty import find_intervals
from recipe.hub.run_folder import RunFolder

FOLDER = RESULTS / "reference"


def count_tags(documents: Sequence[Document], predicted: Sequence[Sequence[str]]) -> np.ndarray:
    """The numbers of words by document and tag of `REFERENCE`: (documents, tags, 3), hits, guesses and support."""
    numbers = {tag: number for number, tag in enumerate(REFERENCE)}
    counts = np.zeros((len(documents), len(numbers), 3), int)
    guesses = iter(predicted)
    for place, document in enumerate(documents):
        for sentence in document.sentences:
            for true, guess in zip(sentence.tags, next(guesses), strict=True):
                counts[place, numbers[true], 2] += 1
                counts[place, numbers[guess], 1] += 1
                counts[place, numbers[true], 0] += true == guess
    return counts


def measure_tags(folder: Path) -> dict:
    """F1 of each tag of one run's test split with its 95 % interval over documents.

    Raises RecipeError if the split is not that of the reference.
    """
    file = name_predictions(folder, "test")
    documents, predicted = read_predictions(file, "IOB2")
    rows = score_tags(list_tags(documents), predicted)
    if not is_conll2003_test({"tags": rows}):
        raise RecipeError(f"{file}: not the CoNLL-2003 test split: score the run on it")
    ends = find_intervals(count_tags(documents, predicted)).round(4).tolist()
    record = RunFolder(folder).record
    tags = {tag: {"f1": rows[tag]["f1"], "interval": interval} for tag, interval in zip(REFERENCE, ends, strict=True)}
    return {"run": {key: record.get(key) for key in FACTS}, "documents": len(documents), "tags": tags}


def load_tags(folder: Path = FOLDER) -> dict[str, dict]:
    """The measured runs, by name."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}


def format_intervals(results: dict[str, dict]) -> str:
    """A Markdown table: F1 of each tag with its interval, beside that of the reference."""
    lines = []
    for tag, row in REFERENCE.items():
        found = [result["tags"][tag] for result in results.values()]
        cells = [f"{one['f1']:.3f} ({one['interval'][0]:.3f} to {one['interval'][1]:.3f})" for one in found]
        lines.append([tag, f"{row[2]:.3f}", *cells])
    return format_markdown(["tag", "reference", *results], lines)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, help="folders of scored runs")
    for folder in parser.parse_args().folders:
        write_result(FOLDER / f"{folder.name}.json", measure_tags(folder))
    print(format_intervals(load_tags()))


if __name__ == "__main__":
    exit_with(main)

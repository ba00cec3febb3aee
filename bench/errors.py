"""What a tagger's errors on the CoNLL-2003 test split are, and with whom CoNLL++ sides in the most confident ones.

python -m bench.errors runs/ner/mine [...] --conllpp conllpp_test.txt

A run's folder needs `predictions/` with confidences. Writes `results/errors/<name of the folder>.json`, without text.
"""

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from bench.runs import RESULTS
from bench.study import write_result
from recipe.data.conll import read_columns
from recipe.data.documents import Sentence, list_sentences
from recipe.data.schemes import list_entities
from recipe.errors import RecipeError, exit_with
from recipe.evaluation.analysis import analyze
from recipe.evaluation.matches import CORRECT, KINDS, Case, Match, Span, list_cases
from recipe.evaluation.predictions import read_mentions, read_predictions
from recipe.evaluation.results import format_markdown
from recipe.hub.run_folder import RunFolder

ERRORS = RESULTS / "errors"
MOST = 100  # errors whose labels are compared with CoNLL++
FACTS = ("config", "model", "data", "seed", "commit", "hardware", "precision")
MODEL, LABELS, NEITHER = "the model", "the labels", "neither"
BUCKETS = ("seen", "seen with other types", "unseen")


def judge(match: Match, corrected: Sequence[Span]) -> str:
    """With whom the corrected entities of the sentence side: `MODEL`, `LABELS` or `NEITHER`.

    They side with a reading that is one of them or, if the reading is that there is no entity, if they have none there.
    """
    start, stop = match.place
    is_empty = not any(span[0] < stop and start < span[1] for span in corrected)
    sides = [is_empty if reading is None else reading in corrected for reading in match]
    gold, predicted = sides
    return MODEL if predicted else LABELS if gold else NEITHER


def measure_errors(folder: Path, conllpp: Sequence[Sentence]) -> dict:
    """The figures of one run's test split. Raises RecipeError if its sentences are not those of CoNLL++."""
    sentences = read_predictions(folder, "test")
    if [list(sentence.words) for sentence in sentences] != [sentence.words for sentence in conllpp]:
        raise RecipeError(f"{folder}: its test split has other sentences than CoNLL++: score it on CoNLL-2003")
    cases, mentions = list_cases(sentences), read_mentions(folder)
    corrected = {id(one): list_entities(other.tags) for one, other in zip(sentences, conllpp, strict=True)}
    errors = [case for case in cases if case.match.kind != CORRECT and case.confidence is not None]
    if len(errors) < MOST:
        raise RecipeError(f"{folder}: {len(errors)} errors with confidences, expected {MOST}: score the run again")
    confident = sorted(errors, key=lambda case: -(case.confidence or 0))[:MOST]
    record = RunFolder(folder).record
    return {
        "run": {key: record.get(key) for key in FACTS},
        "analysis": analyze(cases, mentions),
        "most_confident": count_sides(confident, corrected),
        "all": count_sides(errors, corrected),
    }


def count_sides(errors: Sequence[Case], corrected: dict[int, list[Span]]) -> dict:
    """With whom CoNLL++ sides, and the lowest confidence of these errors."""
    counts = Counter(judge(case.match, corrected[id(case.sentence)]) for case in errors)
    lowest = min(case.confidence for case in errors if case.confidence is not None)
    return {"errors": len(errors), "lowest_confidence": lowest} | {
        side: counts[side] for side in (MODEL, LABELS, NEITHER)
    }


def load_errors(folder: Path = ERRORS) -> dict[str, dict]:
    """The measured runs, by name."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}


def format_kinds(results: dict[str, dict]) -> str:
    """A Markdown table of the kinds of errors: number, and share of all errors."""
    lines = []
    for name, result in results.items():
        kinds, shares = result["analysis"]["kinds"], result["analysis"]["shares"]
        cells = [f"{kinds[kind]} ({100 * shares[kind]:.0f} %)" for kind in KINDS if kind != CORRECT]
        lines.append([name, f"{kinds[CORRECT]}", *cells])
    return format_markdown(["run", *KINDS], lines)


def format_seen(results: dict[str, dict]) -> str:
    """A Markdown table of F1 in percent by what training has of an entity's words, with the number of gold entities."""
    lines = []
    for name, result in results.items():
        buckets = result["analysis"]["buckets"]["seen in training"]
        lines.append([name, *(f"{100 * buckets[one]['f1']:.1f} ({buckets[one]['support']:,})" for one in BUCKETS)])
    return format_markdown(["run", *BUCKETS], lines)


def format_sides(results: dict[str, dict]) -> str:
    """A Markdown table of the errors in which CoNLL++ sides with the model, the labels, or neither."""
    names = {"most_confident": f"{MOST} most confident", "all": "all"}
    lines = [
        [
            name,
            title,
            *(f"{result[part][side]} ({100 * result[part][side] / result[part]['errors']:.0f} %)" for side in sides),
        ]
        for name, result in results.items()
        for part, title in names.items()
        for sides in [(MODEL, LABELS, NEITHER)]
    ]
    return format_markdown(["run", "errors", MODEL, LABELS, NEITHER], lines)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, help="folders of scored runs")
    parser.add_argument("--conllpp", required=True, help="the test file of CoNLL++")
    args = parser.parse_args()
    conllpp = list_sentences(read_columns(args.conllpp))
    for folder in args.folders:
        write_result(ERRORS / f"{folder.name}.json", measure_errors(folder, conllpp))
    for format_part in (format_kinds, format_seen, format_sides):
        print(format_part(load_errors()), end="\n\n")


if __name__ == "__main__":
    exit_with(main)

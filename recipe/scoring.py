"""Scores of predicted tags: entities (strict IOB2, through seqeval) and single tags, beside a reference table.

`python -m recipe.scoring predictions.conll` scores a column file whose last two columns are gold and predicted tags.
"""

import json
import math
import sys
import warnings
from collections import Counter
from collections.abc import Sequence
from itertools import chain

from seqeval.metrics import classification_report
from seqeval.scheme import IOB2

from recipe.conll import convert_tags, list_sentences, list_tags, read_columns
from recipe.errors import RecipeError, exit_with
from recipe.schemes import is_well_formed, to_iob2

Row = dict[str, float]
Report = dict[str, dict[str, Row]]  # "entities" | "tags" -> row name -> precision, recall, f1, support

# A published bert-base-cased fine-tuning, CoNLL-2003 English test: tag -> precision, recall, f1, support.
REFERENCE = {
    "B-LOC": (0.926, 0.906, 0.916, 1668),
    "I-LOC": (0.900, 0.805, 0.850, 257),
    "B-MISC": (0.875, 0.856, 0.865, 702),
    "I-MISC": (0.838, 0.782, 0.809, 216),
    "B-ORG": (0.914, 0.898, 0.906, 1661),
    "I-ORG": (0.911, 0.894, 0.902, 835),
    "B-PER": (0.964, 0.957, 0.960, 1617),
    "I-PER": (0.983, 0.980, 0.982, 1156),
    "O": (0.993, 0.995, 0.994, 38323),
}


def score(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> Report:
    """Both reports on IOB2 tags, a list for each sentence; `predicted` may be ill formed."""
    return {"entities": score_entities(gold, predicted), "tags": score_tags(gold, predicted)}


def score_entities(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> dict[str, Row]:
    """Precision, recall, F1 and support of each entity type and their averages.

    Strict: an entity counts if its type and both ends agree, and a predicted I- that continues nothing is no entity.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the macro average over no entity at all, see _row
        rows = classification_report(gold, predicted, mode="strict", scheme=IOB2, output_dict=True, zero_division=0)
    return {name: _row(row["precision"], row["recall"], row["f1-score"], row["support"]) for name, row in rows.items()}


def summarize_entities(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> dict[str, float]:
    """Micro-averaged precision, recall and F1, and the F1 of each type as `f1_<TYPE>`: the figures of an evaluation."""
    rows = score_entities(gold, predicted)
    scores = {key: rows["micro avg"][key] for key in ("precision", "recall", "f1")}
    return scores | {f"f1_{name}": row["f1"] for name, row in rows.items() if not name.endswith(" avg")}


def score_tags(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> dict[str, Row]:
    """Precision, recall, F1 and support of each tag over single words; O comes last."""
    pairs = Counter(zip(chain.from_iterable(gold), chain.from_iterable(predicted), strict=True))
    support, guesses, hits = Counter(), Counter(), Counter()
    for (true, guess), count in pairs.items():
        support[true] += count
        guesses[guess] += count
        hits[true] += count * (true == guess)
    rows = {}
    for tag in sorted(support | guesses, key=lambda tag: (tag == "O", tag[2:], tag)):
        precision = hits[tag] / guesses[tag] if guesses[tag] else 0.0
        recall = hits[tag] / support[tag] if support[tag] else 0.0
        f1 = 2 * precision * recall / (precision + recall) if hits[tag] else 0.0
        rows[tag] = _row(precision, recall, f1, support[tag])
    return rows


def format_report(report: Report) -> str:
    """Both tables as text; the tags' beside the reference where the supports show that this is the CoNLL-2003 test."""
    lines = ["Entities (strict)", *_format_rows(report["entities"]), "", "Tags", *_format_rows(report["tags"])]
    if is_conll2003_test(report):
        lines += ["", "Tags: reference and difference to it", *_format_differences(report["tags"])]
    return "\n".join(lines) + "\n"


def is_conll2003_test(report: Report) -> bool:
    """Whether the supports of the tags are those of the reference."""
    supports = {tag: row["support"] for tag, row in report["tags"].items()}
    return supports == {tag: row[3] for tag, row in REFERENCE.items()}


def score_file(path: str) -> Report:
    """Score a column file whose last two columns are gold and predicted tags.

    Where both are in IOB2 the predictions are read strictly; those of any other scheme are turned into IOB2 first,
    ill-formed tags opening an entity as in conlleval. Predictions that all keep the rules of IOB1 are in IOB1.
    """
    gold = read_columns(path, tag_column=-2)
    predicted = list_tags(read_columns(path, tag_column=-1))
    foreign = any(tag[:1] not in "OBI" for tags in predicted for tag in tags)
    iob1 = all(is_well_formed(tags, "IOB1") for tags in predicted)
    if convert_tags(list_sentences(gold)) != "IOB2" or foreign or iob1:
        predicted = [to_iob2(tags) for tags in predicted]
    return score(list_tags(gold), predicted)


def _row(precision: float, recall: float, f1: float, support: int) -> Row:
    # The macro average over no entity at all is NaN, which is no JSON.
    scores = (float(score) if math.isfinite(score) else 0.0 for score in (precision, recall, f1))
    return dict(zip(("precision", "recall", "f1"), scores, strict=True)) | {"support": int(support)}


def _format_rows(rows: dict[str, Row]) -> list[str]:
    header = f"{'':<14}{'precision':>10}{'recall':>10}{'f1':>10}{'support':>10}"
    return [
        header,
        *(
            f"{name:<14}{row['precision']:>10.3f}{row['recall']:>10.3f}{row['f1']:>10.3f}{row['support']:>10}"
            for name, row in rows.items()
        ),
    ]


def _format_differences(tags: dict[str, Row]) -> list[str]:
    lines = [f"{'':<14}{'precision':>18}{'recall':>18}{'f1':>18}"]
    for tag, reference in REFERENCE.items():
        ours = (tags[tag]["precision"], tags[tag]["recall"], tags[tag]["f1"])
        cells = (f"{theirs:.3f} ({mine - theirs:+.3f})" for mine, theirs in zip(ours, reference, strict=False))
        lines.append(f"{tag:<14}" + "".join(f"{cell:>18}" for cell in cells))
    return lines


def main() -> None:
    """The command line: print both reports of one file, or with `--json` the figures as JSON."""
    paths = [word for word in sys.argv[1:] if word != "--json"]
    if len(paths) != 1:
        raise RecipeError("usage: python -m recipe.scoring [--json] predictions.conll")
    report = score_file(paths[0])
    print(json.dumps(report, indent=2) if "--json" in sys.argv else format_report(report))


if __name__ == "__main__":
    exit_with(main)

"""Scores of predicted tags: entities (strict IOB2) and single tags, with a comparison to a reference.

`python -m recipe score predictions.conll` scores a column file whose last two columns are gold and predicted tags.
"""

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from math import isclose
from pathlib import Path

from recipe.command_line import VerbParser
from recipe.console import show_controls
from recipe.data.column_checks import CHUNKS
from recipe.data.conll import read_predicted
from recipe.data.documents import Document, list_sentences, list_tags
from recipe.data.schemes import PREFIXES, is_iob2, is_well_formed, list_types, to_iob2
from recipe.data.tag_conversion import convert_tags
from recipe.errors import RecipeError
from recipe.evaluation.advice import reading_predictions
from recipe.evaluation.counts import Counts, count_entities, pair_entities
from recipe.evaluation.uncertainty import find_intervals

Row = dict[str, float]  # precision, recall, f1, support
# "entities", "tags", "alone" (entities, each sentence without context): row name -> Row; "documents": see
# `score_documents`; "running_text": F1 of the Tagger and of transformers' pipeline (recipe.inference.comparison);
# "metrics": your own metrics.
Report = dict[str, dict]
Metrics = Callable[[Sequence[Sequence[str]], Sequence[Sequence[str]]], dict[str, float]]  # gold and predicted tags

MICRO = "micro avg"
FEWEST_ENTITIES = 10  # gold and predicted, without a warning if none has the type of another
MOST_TYPES = 5  # named in an error or a warning
MOST_DIFFERENCE = 0.01  # between the F1 of the Tagger and of the pipeline, without a warning

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

logger = logging.getLogger(__name__)


def score(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], metrics: Metrics | None = None) -> Report:
    """Score IOB2 tags, one list per sentence, by entity and by tag; `predicted` can be ill-formed.

    metrics: your own metrics, added to the report as a third part, `metrics`.
    """
    report = {"entities": score_entities(gold, predicted), "tags": score_tags(gold, predicted)}
    return report | {"metrics": metrics(gold, predicted)} if metrics else report


def score_entities(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> dict[str, Row]:
    """Precision, recall, F1 and support of each entity type, and their micro, macro and weighted averages.

    Strict: an entity is correct if its type and both ends match. A predicted I- that continues no entity is not an
    entity. The figures are the same as those of seqeval (`mode="strict", scheme=IOB2`); a test compares them.
    Raises ValueError if a sentence has different numbers of gold and predicted tags.
    """
    support: Counter[str] = Counter()
    guesses: Counter[str] = Counter()
    hits: Counter[str] = Counter()
    for true, guessed in pair_entities(gold, predicted):
        support.update(kind for _, _, kind in true)
        guesses.update(kind for _, _, kind in guessed)
        hits.update(kind for _, _, kind in true & guessed)
    rows = {kind: count_row(hits[kind], guesses[kind], support[kind]) for kind in sorted(support | guesses)}
    return rows | _average(rows, count_row(hits.total(), guesses.total(), support.total()))


def score_counts(counts: Counts) -> dict[str, Row]:
    """The rows of `score_entities` that follow from counts by document: those of the types, and the micro average."""
    totals = counts.select(counts.types).sum(0).tolist()
    return {name: count_row(*total) for name, total in zip([*counts.types, MICRO], totals, strict=True)}


def find_other_row(rows: dict[str, Row], reported: dict[str, Row]) -> str:
    """The first support or F1 of `rows` that is another one in a report's entities, else an empty text.

    Averages other than the micro average are not compared, because they follow from the rows.
    """
    for name in [MICRO, *sorted({*rows, *reported} - {MICRO, "macro avg", "weighted avg"})]:
        for key in ("support", "f1"):
            found, known = (part.get(name, {}).get(key, 0) for part in (rows, reported))
            if not isclose(found, known, abs_tol=1e-9):
                return f"{name}: {key} {found:.10g}, reported {known:.10g}"
    return ""


def check_predictions(path: Path, rows: dict[str, Row], reported: dict[str, Row]) -> None:
    """Raise RecipeError if the predictions of a file are not those that the report beside it scores.

    rows, reported: those of `find_other_row`.
    """
    if difference := find_other_row(rows, reported):
        raise RecipeError(
            f"{path}: not the predictions that report.json scores ({difference}): score the run again, or delete the "
            "file"
        )


def _average(rows: dict[str, Row], micro: Row) -> dict[str, Row]:
    """The averages: micro (over entities), macro (over types) and weighted (over types, by support)."""
    total = int(micro["support"])
    keys = ("precision", "recall", "f1")
    macro = {key: sum(row[key] for row in rows.values()) / max(len(rows), 1) for key in keys}
    weighted = {key: sum(row[key] * row["support"] for row in rows.values()) / max(total, 1) for key in keys}
    return {MICRO: micro, "macro avg": macro | {"support": total}, "weighted avg": weighted | {"support": total}}


def summarize_entities(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> dict[str, float]:
    """Micro-averaged precision, recall and F1, and the F1 of each type as `f1_<TYPE>`."""
    rows = score_entities(gold, predicted)
    scores = {key: rows[MICRO][key] for key in ("precision", "recall", "f1")}
    return scores | {f"f1_{name}": row["f1"] for name, row in rows.items() if not name.endswith(" avg")}


def score_documents(documents: Sequence[Document], predicted: Sequence[Sequence[str]]) -> dict:
    """The counts by document, packed by `Counts.pack`, and `intervals`: row name -> 95 % interval of F1.

    An interval is None if the documents say nothing about it, as when all entities are found.
    """
    counts = count_entities(documents, predicted)
    ends = find_intervals(counts.select(counts.types)).round(4).tolist()
    rows = zip([*counts.types, MICRO], ends, strict=True)
    packed = counts.pack()
    return packed | {"intervals": {name: [low, high] if low == low else None for name, (low, high) in rows}}


def score_tags(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> dict[str, Row]:
    """Precision, recall, F1 and support of each tag, counted over words; O comes last."""
    pairs = Counter(zip(chain.from_iterable(gold), chain.from_iterable(predicted), strict=True))
    support: Counter[str] = Counter()
    guesses: Counter[str] = Counter()
    hits: Counter[str] = Counter()
    for (true, guess), count in pairs.items():
        support[true] += count
        guesses[guess] += count
        hits[true] += count * (true == guess)
    tags = sorted(support | guesses, key=lambda tag: (tag == "O", tag[2:], tag))
    return {tag: count_row(hits[tag], guesses[tag], support[tag]) for tag in tags}


def format_reports(reports: dict[str, Report]) -> str:
    """The text of `format_report` for each split, under its name."""
    return "\n".join(f"== {split} ==\n{format_report(report)}" for split, report in reports.items())


def format_report(report: Report) -> str:
    """Both tables as text, and the differences to the reference if the supports are those of the CoNLL-2003 test."""
    lines = ["Entities (strict)", *_format_rows(report["entities"], report.get("documents", {}).get("intervals"))]
    lines += filter(None, [format_interval(report)])
    lines += ["", "Tags", *_format_rows(report["tags"])]
    if is_conll2003_test(report):
        lines += ["", "Tags: reference and difference to it", *_format_differences(report["tags"])]
    if "alone" in report:
        lines += ["", "Entities, each sentence without its context", *_format_rows(report["alone"])]
    if "running_text" in report:
        lines += ["", *_format_running_text(**report["running_text"])]
    if "metrics" in report:
        lines += [
            "",
            "Your own metrics",
            *(f"{name:<14}{value:>10.3f}" for name, value in report["metrics"].items()),
        ]
    return "\n".join(lines) + "\n"


def format_interval(report: Report) -> str:
    """The F1 of the micro average in percent with its 95 % interval; empty for the report of an earlier version."""
    if "documents" not in report:
        return ""
    part = report["documents"]
    ends = part["intervals"][MICRO]
    shown = f"95 % interval {100 * ends[0]:.1f} to {100 * ends[1]:.1f}, over" if ends else "no interval:"
    return f"F1 {100 * report['entities'][MICRO]['f1']:.1f} ({shown} {describe_units(part)})"


def describe_units(part: dict) -> str:
    """The number of documents or sentences in the part `documents` of a report."""
    return f"{part['number']:,} {part['unit']}{'s' * (part['number'] != 1)}"


def is_conll2003_test(report: Report) -> bool:
    """Whether the supports of the tags are those of the reference."""
    supports = {tag: row["support"] for tag, row in report["tags"].items()}
    return supports == {tag: row[3] for tag, row in REFERENCE.items()}


def score_file(path: str, tag_scheme: str | None = None) -> Report:
    """Score a column file whose last two columns are gold and predicted tags. tag_scheme: see `read_predictions`."""
    documents, predicted = read_predictions(path, tag_scheme, ["tag_scheme"])
    return score(list_tags(documents), predicted) | {"documents": score_documents(documents, predicted)}


def read_predictions(
    path: str | Path, tag_scheme: str | None = None, settings: Sequence[str] = ()
) -> tuple[list[Document], list[list[str]]]:
    """The documents of a column file with their gold tags in IOB2, and the predicted tags of each sentence.

    The last two columns are gold and predicted tags. tag_scheme: the scheme of both; default: detected.
    If both are in IOB2, the predictions are scored strictly. Predictions in any other scheme are converted to IOB2
    first; as in conlleval, an ill-formed tag then starts an entity. Predictions that all follow the rules of IOB1 are
    treated as IOB1, unless `tag_scheme` is IOB2. settings: those that errors can advise to change.
    Raises RecipeError if the file cannot be read, or seems to be training data.
    """
    with reading_predictions(settings):
        gold, predicted = read_predicted(path)
        _check_types(path, gold, predicted)
        return gold, _convert_predictions(gold, predicted, tag_scheme)


def _check_types(path: str | Path, gold: Sequence[Document], predicted: Sequence[Sequence[str]]) -> None:
    """Raise RecipeError if the gold tags are syntactic chunks and the predicted ones are not; warn of other mismatches.

    Chunks beside entities are the columns of CoNLL-2003's training data, and no predictions. Other types without one in
    common only look like a mistake: a model of other types, tried on these data, has an F1 of 0 as well.
    """
    kinds = [set(list_types(chain.from_iterable(tags))) for tags in (list_tags(gold), predicted)]
    if not all(kinds) or kinds[0] & kinds[1]:
        return
    true, guessed = (show_controls(_name_types(names)) for names in kinds)
    found = f"{path}: gold and predicted tags have no type in common (gold: {true}; predicted: {guessed})"
    if kinds[0] <= CHUNKS and not kinds[1] & CHUNKS:
        raise RecipeError(
            f"{found}, as in training data with syntactic chunks: expected lines of a word, its gold tag and its "
            "predicted tag"
        )
    if all(_count_openings(tags) >= FEWEST_ENTITIES for tags in (list_tags(gold), predicted)):
        logger.warning("%s: check that the last two columns are gold and predicted tags", found)


def _name_types(names: Iterable[str]) -> str:
    """The first few types."""
    listed = sorted(names)
    return ", ".join(listed[:MOST_TYPES] + ["..."] * (len(listed) > MOST_TYPES))


def _count_openings(sentences: Iterable[Sequence[str]]) -> int:
    """The number of entities in tags of any scheme, of which the ill-formed start one as in conlleval."""
    return sum(tag.startswith("B") for tags in sentences for tag in to_iob2(tags))


def _convert_predictions(
    gold: Sequence[Document], predicted: list[list[str]], tag_scheme: str | None
) -> list[list[str]]:
    """The predicted tags in IOB2; the tags of `gold` are converted in place."""
    if tag_scheme and tag_scheme != "IOB2":
        convert_tags(list_sentences(gold), tag_scheme)
        return [to_iob2(tags) for tags in predicted]
    foreign = not all(map(is_iob2, set(chain.from_iterable(predicted))))
    iob1 = all(is_well_formed(tags, "IOB1") for tags in predicted)
    if convert_tags(list_sentences(gold), tag_scheme) != "IOB2" or foreign or (iob1 and not tag_scheme):
        predicted = [to_iob2(tags) for tags in predicted]
    return predicted


def count_row(hits: int, guesses: int, support: int) -> Row:
    """The row for `hits` correct of `guesses` predictions and `support` gold items; undefined figures are 0."""
    precision, recall = hits / max(guesses, 1), hits / max(support, 1)
    f1 = 2 * precision * recall / (precision + recall) if hits else 0.0
    return {"precision": precision, "recall": recall, "f1": f1, "support": support}


def _format_rows(rows: dict[str, Row], intervals: dict[str, list[float] | None] | None = None) -> list[str]:
    """A line for each row. intervals: 95 % intervals of F1 by row name, shown in a column of their own."""
    lines = [f"{'':<14}{'precision':>10}{'recall':>10}{'f1':>10}{'support':>10}" + "   95 % of f1" * bool(intervals)]
    for name, row in rows.items():
        ends = (intervals or {}).get(name)
        interval = f"   {ends[0]:.3f} to {ends[1]:.3f}" if ends else ""
        figures = f"{row['precision']:>10.3f}{row['recall']:>10.3f}{row['f1']:>10.3f}{row['support']:>10}"
        lines.append(f"{show_controls(name):<14}{figures}{interval}")
    return lines


def differs(tagger: float, pipeline: float) -> bool:
    """Whether the F1 of the pipeline is far from that of the Tagger, so that readers must be warned."""
    return abs(tagger - pipeline) > MOST_DIFFERENCE


def _format_running_text(sentences: int, tagger: float, pipeline: float) -> list[str]:
    lines = [
        f"Running text ({sentences} sentences, each alone), entity F1: Tagger {tagger:.3f}, transformers' pipeline "
        f"{pipeline:.3f}"
    ]
    if differs(tagger, pipeline):
        lines.append("The pipeline splits text into other words than the training data: use the Tagger.")
    return lines


def _format_differences(tags: dict[str, Row]) -> list[str]:
    lines = [f"{'':<14}{'precision':>18}{'recall':>18}{'f1':>18}"]
    for tag, reference in REFERENCE.items():
        ours = (tags[tag]["precision"], tags[tag]["recall"], tags[tag]["f1"])
        cells = (f"{theirs:.3f} ({mine - theirs:+.3f})" for mine, theirs in zip(ours, reference, strict=False))
        lines.append(f"{tag:<14}" + "".join(f"{cell:>18}" for cell in cells))
    return lines


def main(argv: list[str]) -> None:
    """`python -m recipe score`: print the report of one file as text or JSON."""
    parser = VerbParser(
        "score",
        "Score a column file whose last two columns are gold and predicted tags.",
        "python -m recipe score runs/ner/name/predictions/test.conll",
    )
    parser.add_argument("file", help="column file, such as a run's predictions/test.conll")
    parser.add_argument("--tag_scheme", choices=PREFIXES, help="scheme of both columns (default: detected)")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    args = parser.parse_args(argv)
    report = score_file(args.file, args.tag_scheme)
    print(json.dumps(report, indent=2) if args.json else format_report(report), end="\n" if args.json else "")

"""What a tagger's errors of one entity type are on dev, and whether decoding could mend them without training.

python -m bench.misc runs/ner/name --data_dir path/to/conll2003

Two changes of the logits are tried, alone and together: a bias on the labels of the type, and for words that occur
several times in a document a share of their mean logits. Their sizes are chosen on dev, and each is judged on the half
of the documents that it was not chosen on. Test is tagged once, with what dev chose. Writes
`results/misc/<name of the folder>.json`, without text.
"""

import argparse
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, product
from pathlib import Path

import numpy as np

from bench.differences import compare, format_change
from bench.runs import RESULTS
from bench.study import write_result
from recipe.data.conll import read_conll
from recipe.data.documents import Document, list_sentences
from recipe.data.splits import find_files
from recipe.errors import exit_with
from recipe.evaluation.buckets import Mentions, count_mentions, join_words
from recipe.evaluation.counts import count_entities
from recipe.evaluation.matches import CORRECT, MISSED, SPURIOUS, Case, ScoredSentence, list_cases
from recipe.evaluation.results import format_markdown
from recipe.evaluation.uncertainty import compute_f1
from recipe.hub.provenance import describe_hardware, find_commit
from recipe.inference.decoding import decode
from recipe.inference.tagger import Tagger
from recipe.inputs.windows import collect_logits

MISC = RESULTS / "misc"
COMMONEST = 10
ROWS = ("type", "all")  # of the counts
BIASES = tuple(step / 4 for step in range(-8, 9))
SHARES = tuple(step / 10 for step in range(6))


@dataclass(frozen=True)
class Change:
    """A change of logits. bias: added to the labels of the type. share: of the mean logits of equal words."""

    bias: float = 0.0
    share: float = 0.0


METHODS = {
    "bias": [Change(bias=bias) for bias in BIASES],
    "consistency": [Change(share=share) for share in SHARES],
    "both": [Change(*sizes) for sizes in product(BIASES[4:-4:2], SHARES)],
}


@dataclass(frozen=True)
class Split:
    """The documents of a split, the tagger's logits of their words, and the type in question."""

    documents: Sequence[Document]
    logits: np.ndarray
    labels: Sequence[str]
    kind: str

    @cached_property
    def lengths(self) -> list[int]:
        """The number of words of each sentence."""
        return [len(sentence.words) for sentence in list_sentences(self.documents)]

    @cached_property
    def mean_logits(self) -> np.ndarray:
        """The logits of each word, mean over the equal words of its document; of words without capitals its own."""
        places, number = defaultdict(list), 0
        for at, document in enumerate(self.documents):
            for word in (word for sentence in document.sentences for word in sentence.words):
                places[at, word if word != word.lower() else number].append(number)
                number += 1
        means = self.logits.copy()
        for numbers in places.values():
            means[numbers] = self.logits[numbers].mean(0)
        return means

    def tag(self, change: Change) -> list[list[str]]:
        """The tags of each sentence after a change of the logits."""
        logits = (1 - change.share) * self.logits + change.share * self.mean_logits
        logits[:, [label.endswith(f"-{self.kind}") for label in self.labels]] += change.bias
        return decode(logits, self.lengths, self.labels)

    def count(self, change: Change) -> np.ndarray:
        """Counts by document of the type and of all types: (documents, 2, 3)."""
        return count_entities(self.documents, self.tag(change)).select([self.kind])


def compute_logits(tagger: Tagger, file: str, kind: str) -> Split:
    """A split with the logits of a tagger."""
    documents = read_conll(file)
    windows = tagger.windows(documents)
    return Split(documents, collect_logits(chain.from_iterable(tagger.run(windows)), windows), tagger.labels, kind)


def describe_error(case: Case, kind: str, mentions: Mentions) -> tuple[str, str]:
    """What was read as what, and what training has of the words of the entity of this type."""
    gold, predicted = case.match
    span = next(one for one in (gold, predicted) if one and one[2] == kind)
    seen = mentions.get(join_words(case.sentence.words, span), {})
    familiarity = "seen as this type" if kind in seen else "seen as other types" if seen else "unseen"
    reading = case.match.kind
    if reading in (MISSED, SPURIOUS):
        return reading, familiarity
    if gold and predicted and gold[2] == predicted[2]:
        longer = predicted[1] - predicted[0] - gold[1] + gold[0]
        return f"read {'longer' if longer > 0 else 'shorter' if longer < 0 else 'shifted'}", familiarity
    gold_type, predicted_type = case.match.types
    ends = "" if reading == "wrong type" else ", with other ends"
    return f"{gold_type} read as {predicted_type}{ends}", familiarity


def count_errors(cases: Iterable[Case], kind: str, mentions: Mentions) -> list[dict]:
    """The kinds of errors that the type takes part in, commonest first."""
    errors = [case for case in cases if case.match.kind != CORRECT and kind in case.match.types]
    counts = Counter(describe_error(case, kind, mentions) for case in errors)
    return [{"error": error, "entity": seen, "count": count} for (error, seen), count in counts.most_common()]


def choose(counts: Mapping[Change, np.ndarray], documents: slice) -> Change:
    """The change with the highest F1 of all types on some documents; the smallest of equals."""
    smallest_first = sorted(counts, key=lambda change: (abs(change.bias), change.share))
    return max(smallest_first, key=lambda change: compute_f1(counts[change][documents].sum(0))[-1])


def try_changes(dev: Split, changes: Sequence[Change]) -> dict:
    """The change that dev chooses, and what changes of one half are worth on the other half of the documents."""
    counts = {change: dev.count(change) for change in changes}
    plain, halves = dev.count(Change()), (slice(0, None, 2), slice(1, None, 2))
    held_out = np.empty_like(plain)
    for own, other in (halves, halves[::-1]):
        held_out[other] = counts[choose(counts, own)][other]
    chosen = choose(counts, slice(None))
    return {
        "chosen": vars(chosen),
        "fitted": compare(plain, counts[chosen], ROWS),
        "held_out": compare(plain, held_out, ROWS),
    }


def format_errors(result: dict) -> str:
    """A Markdown table of the commonest kinds of errors."""
    total = sum(row["count"] for row in result["errors"])
    lines = [
        [row["error"], row["entity"], f"{row['count']} ({row['count'] / total:.0%})"]
        for row in result["errors"][:COMMONEST]
    ]
    return format_markdown(["error", "the entity in training", "number"], lines)


def format_changes(result: dict) -> str:
    """A Markdown table of the changes: differences of F1 in points on dev."""
    lines = []
    for name, row in result["changes"].items():
        cells = [format_change(row[part]["all"]) for part in ("fitted", "held_out")] + [
            format_change(row["held_out"]["type"])
        ]
        chosen = ", ".join(f"{key} {value:g}" for key, value in row["chosen"].items() if value) or "no change"
        lines.append([name, chosen, *cells])
    kind = result["type"]
    return format_markdown(["change", "chosen", "dev, fitted", "dev, held out", f"{kind}, dev, held out"], lines)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="the folder of a finished tagger")
    parser.add_argument("--data_dir", required=True)
    parser.add_argument("--type", default="MISC")
    args = parser.parse_args()
    files = find_files(args.data_dir)
    mentions = count_mentions(list_sentences(read_conll(files["train"][0])))
    tagger = Tagger.load(args.run, "fp32", "cpu")
    dev = compute_logits(tagger, files["dev"][0], args.type)
    sentences = [
        ScoredSentence(sentence.words, sentence.tags, tags)
        for sentence, tags in zip(list_sentences(dev.documents), dev.tag(Change()), strict=True)
    ]
    result = {"commit": find_commit(), "hardware": describe_hardware(0), "run": args.run.name, "type": args.type}
    result["errors"] = count_errors(list_cases(sentences), args.type, mentions)
    result["changes"] = {name: try_changes(dev, changes) for name, changes in METHODS.items()}
    best = max(result["changes"].values(), key=lambda row: row["held_out"]["all"]["after"])
    if best["held_out"]["all"]["after"] > best["held_out"]["all"]["before"]:
        test = compute_logits(tagger, files["test"][0], args.type)
        plain, changed = test.count(Change()), test.count(Change(**best["chosen"]))
        result["test"] = {"chosen": best["chosen"]} | compare(plain, changed, ROWS)
    write_result(MISC / f"{args.run.name}.json", result)
    print(format_errors(result), format_changes(result), result.get("test"), sep="\n\n")


if __name__ == "__main__":
    exit_with(main)

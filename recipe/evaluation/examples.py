"""Errors and hits in their context, and labels that look wrong: the part of an analysis that quotes the data."""

from collections.abc import Iterable, Sequence
from heapq import nsmallest
from typing import NamedTuple

from recipe.evaluation.buckets import Mentions, join_words
from recipe.evaluation.matches import CORRECT, Case, Match, ScoredSentence, Span

MOST_ERRORS, MOST_HITS, MOST_SUSPECTS = 600, 120, 200  # of each split, on the page
CONTEXT = 12  # words on each side
MOST_WORDS = 80  # of an example
LONGEST_WORD = 80  # characters; longer ones are shortened
SUSPICIOUS = 0.9  # confidence, at least, in a reading that the label contradicts
BACKING = ("backed", "unknown", "contradicted")  # of the model's reading, by the labels of training


class Piece(NamedTuple):
    """Words that belong to the same entities. gold, predicted: the type of the entity they are in, or None."""

    text: str
    gold: str | None
    predicted: str | None


class Example(NamedTuple):
    """A case in its context. before, after: whether the sentence goes on there. line: in the file of predictions."""

    kind: str
    gold: str
    predicted: str
    confidence: float | None
    pieces: list[Piece]
    before: bool
    after: bool
    line: int


class Suspect(NamedTuple):
    """A label that may be wrong. gold_text, predicted_text: the words of either entity; empty without one.

    training: how often training has the words of either entity with each type. backing: one of `BACKING`.
    """

    example: Example
    gold_text: str
    predicted_text: str
    training: dict[str, int]
    backing: str


def list_examples(cases: Iterable[Case]) -> list[Example]:
    """The most confident errors, the most confident first, then the least confident hits."""
    errors, hits = [], []
    for case in cases:
        (hits if case.match.kind == CORRECT else errors).append(case)
    hits = [case for case in hits if case.confidence is not None]
    chosen = nsmallest(MOST_ERRORS, errors, key=lambda case: -_weigh(case))
    return list(map(_quote, chosen + nsmallest(MOST_HITS, hits, key=_weigh)))


def list_suspects(cases: Iterable[Case], mentions: Mentions | None) -> list[Suspect]:
    """Confident disagreements that look like errors of annotation, the most suspicious first.

    Suspicious are labels that contradict a reading of at least `SUSPICIOUS` confidence: most of all if the same words
    have the predicted type in training more often than the gold type, least if it is the other way round.
    """
    confident = [case for case in cases if case.match.kind != CORRECT and _weigh(case) >= SUSPICIOUS]
    judged = [(case, *_find_backing(case, mentions or {})) for case in confident]
    chosen = nsmallest(MOST_SUSPECTS, judged, key=lambda one: (BACKING.index(one[2]), -_weigh(one[0])))
    return [
        Suspect(_quote(case), _name_span(case, case.match.gold), _name_span(case, case.match.predicted), found, backing)
        for case, found, backing in chosen
    ]


def _weigh(case: Case) -> float:
    return -1.0 if case.confidence is None else case.confidence


def _find_backing(case: Case, mentions: Mentions) -> tuple[dict[str, int], str]:
    """What training says about the words of either entity, and whether it backs the model's reading."""
    found: dict[str, int] = {}
    for words in {join_words(case.sentence.words, span) for span in case.match[:2] if span}:
        for kind, count in mentions.get(words, {}).items():
            found[kind] = found.get(kind, 0) + count
    gold, predicted = (_count_mentions(case, span, mentions) for span in case.match[:2])
    return found, BACKING[1 if gold == predicted else 0 if predicted > gold else 2]


def _count_mentions(case: Case, span: Span | None, mentions: Mentions) -> int:
    return mentions.get(join_words(case.sentence.words, span), {}).get(span[2], 0) if span else 0


def _name_span(case: Case, span: Span | None) -> str:
    """The words of an entity; of a very long one, the first."""
    if span is None:
        return ""
    words = list(map(shorten, case.sentence.words[span[0] : span[1]]))
    return " ".join(words if len(words) <= MOST_WORDS else [*words[:MOST_WORDS], "…"])


def _quote(case: Case) -> Example:
    sentence, match = case.sentence, case.match
    start, stop = match.place
    first, last = max(0, start - CONTEXT), min(len(sentence.words), stop + CONTEXT, start + MOST_WORDS)
    pieces = _cut_pieces(sentence, match, first, last)
    gold, predicted = match.types
    confidence = None if case.confidence is None else round(case.confidence, 4)
    line = sentence.line + start
    return Example(match.kind, gold, predicted, confidence, pieces, first > 0, last < len(sentence.words), line)


def _cut_pieces(sentence: ScoredSentence, match: Match, first: int, last: int) -> list[Piece]:
    """The words from `first` to `last - 1`, in as few pieces as possible."""
    pieces: list[Piece] = []
    for number in range(first, last):
        word = shorten(sentence.words[number])
        gold, predicted = (_find_type(span, number) for span in match[:2])
        if pieces and pieces[-1][1:] == (gold, predicted):
            pieces[-1] = pieces[-1]._replace(text=f"{pieces[-1].text} {word}")
        else:
            pieces.append(Piece(word, gold, predicted))
    return pieces


def _find_type(span: Span | None, number: int) -> str | None:
    return span[2] if span and span[0] <= number < span[1] else None


def shorten(word: str) -> str:
    """A word as the page shows it: the beginning of a very long one, and how long it is."""
    return word if len(word) <= LONGEST_WORD else f"{word[:LONGEST_WORD]}… ({len(word):,} characters)"


def count_suspects(suspects: Sequence[Suspect]) -> dict[str, int]:
    """The number of suspects by how training backs the model's reading."""
    return {name: sum(suspect.backing == name for suspect in suspects) for name in BACKING}

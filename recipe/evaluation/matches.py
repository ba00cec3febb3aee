"""Gold and predicted entities, paired: what kind of error each pair is, and which types are confused.

The kinds are those of the package nervaluate, which counts them under four strategies (docs/report.md says how they
map). An error of a type or boundary is one case here, while strict scoring counts it twice: as a gold entity that was
not found, and as a predicted one that is wrong.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from recipe.data.schemes import list_entities

Span = tuple[int, int, str]  # words `start` to `stop - 1` of a sentence, and the type
CORRECT, MISSED, SPURIOUS = "correct", "missed", "spurious"
KINDS = (CORRECT, "wrong type", "wrong boundary", "wrong type and boundary", MISSED, SPURIOUS)
NO_ENTITY = "no entity"  # the column of missed entities, and the row of spurious ones


class Match(NamedTuple):
    """A gold entity, a predicted one, or both if they share a word; one of them can be None."""

    gold: Span | None
    predicted: Span | None

    @property
    def kind(self) -> str:
        """One of `KINDS`."""
        if self.gold is None or self.predicted is None:
            return SPURIOUS if self.gold is None else MISSED
        same_place, same_type = self.gold[:2] == self.predicted[:2], self.gold[2] == self.predicted[2]
        if same_place:
            return CORRECT if same_type else "wrong type"
        return "wrong boundary" if same_type else "wrong type and boundary"

    @property
    def types(self) -> tuple[str, str]:
        """The gold and the predicted type, `NO_ENTITY` for one that is not there."""
        return (self.gold[2] if self.gold else NO_ENTITY, self.predicted[2] if self.predicted else NO_ENTITY)

    @property
    def place(self) -> tuple[int, int]:
        """The words of either entity: the first, and the one after the last."""
        spans = [span for span in self if span]
        return min(start for start, _, _ in spans), max(stop for _, stop, _ in spans)


@dataclass(frozen=True)
class ScoredSentence:
    """A sentence with gold and predicted tags in IOB2.

    line: of its first word in the file of predictions. word_scores: the probability of each predicted tag.
    entity_scores: the probability of each predicted entity. Both are None if they were not recorded.
    """

    words: Sequence[str]
    gold: Sequence[str]
    predicted: Sequence[str]
    line: int = 0
    word_scores: Sequence[float] | None = None
    entity_scores: Sequence[float] | None = None


class Case(NamedTuple):
    """A match in its sentence. confidence: the model's probability of its own reading; None if it is not known."""

    sentence: ScoredSentence
    match: Match
    confidence: float | None


def match_entities(gold: Sequence[str], predicted: Sequence[str]) -> list[Match]:
    """Pair the entities of one sentence, each one once; those without a partner come alone.

    Of the gold entities that share a word with a predicted one and are still free, its partner is the one of its type
    with the closest ends, or else the first. Pairs and predictions are in the order of the predictions; missed entities
    come last.
    """
    free = list_entities(gold)
    matches = []
    for guess in list_entities(predicted):
        touching = [span for span in free if span[0] < guess[1] and guess[0] < span[1]]
        partner = min(touching, key=lambda span: _measure_distance(span, guess), default=None)
        if partner:
            free.remove(partner)
        matches.append(Match(partner, guess))
    return matches + [Match(span, None) for span in free]


def _measure_distance(span: Span, guess: Span) -> tuple[bool, int]:
    if span[2] != guess[2]:
        return True, 0
    return False, abs(span[0] - guess[0]) + abs(span[1] - guess[1])


def list_cases(sentences: Iterable[ScoredSentence]) -> list[Case]:
    """The matches of all sentences. Raises ValueError if a sentence has different numbers of words, tags or scores."""
    return [case for sentence in sentences for case in _list_cases(sentence)]


def _list_cases(sentence: ScoredSentence) -> Iterator[Case]:
    if not len(sentence.words) == len(sentence.gold) == len(sentence.predicted):
        raise ValueError(f"line {sentence.line}: different numbers of words and tags")
    scores = None
    if sentence.entity_scores is not None:
        scores = dict(zip(list_entities(sentence.predicted), sentence.entity_scores, strict=True))
    for match in match_entities(sentence.gold, sentence.predicted):
        if match.predicted:
            confidence = None if scores is None else scores[match.predicted]
        else:
            confidence = _doubt_missed(sentence, match.place)
        yield Case(sentence, match, confidence)


def _doubt_missed(sentence: ScoredSentence, place: tuple[int, int]) -> float | None:
    """The confidence in there being no entity: at most the probability of its least certain tag."""
    return None if sentence.word_scores is None else min(sentence.word_scores[place[0] : place[1]])


def count_kinds(cases: Iterable[Case]) -> dict[str, int]:
    """The number of cases of each kind."""
    counts = Counter(case.match.kind for case in cases)
    return {kind: counts[kind] for kind in KINDS}


def count_kinds_by_type(cases: Sequence[Case]) -> dict[str, dict[str, int]]:
    """`count_kinds` for each type: that of the gold entity, or of the predicted one if it is spurious."""
    groups: dict[str, list[Case]] = {}
    for case in cases:
        gold, predicted = case.match.types
        groups.setdefault(predicted if gold == NO_ENTITY else gold, []).append(case)
    return {kind: count_kinds(groups[kind]) for kind in sorted(groups)}


def count_confusions(cases: Sequence[Case]) -> dict[str, dict[str, int]]:
    """Gold type -> predicted type -> number of cases; whether the ends match does not count.

    `NO_ENTITY` comes last: as a row it has the spurious entities, as a column the missed ones.
    """
    counts = Counter(case.match.types for case in cases)
    names = [*sorted({name for pair in counts for name in pair} - {NO_ENTITY}), NO_ENTITY]
    return {gold: {guess: counts[gold, guess] for guess in names} for gold in names}

"""F1 by bucket: of entities that were seen in training or not, short or long, in short, long or upper-case sentences.

An entity, gold or predicted, belongs to a bucket by its own words and type and by its sentence. A correct prediction
is in the bucket of its gold entity, so that precision, recall and F1 of a bucket are those of a score.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from recipe.data.documents import Sentence
from recipe.data.schemes import list_entities
from recipe.evaluation.matches import CORRECT, Case, Span
from recipe.evaluation.scoring import Row, count_row

Mentions = Mapping[str, Mapping[str, int]]  # words of an entity, joined by spaces -> type -> number in training
Bucketing = Callable[[Sequence[str], Span], str]  # words of a sentence, and an entity in it -> name of the bucket

SENTENCE_LENGTHS = (1, 10, 20, 30, 50)
FREQUENCIES = (0, 1, 2, 5, 20)
LONGEST_MENTION = 4  # words; longer entities share its bucket
HEADLINE_LETTERS = 2  # words with letters, at least, in a sentence that is all upper case


def count_mentions(sentences: Iterable[Sentence]) -> dict[str, dict[str, int]]:
    """How often the entities of training sentences occur, by their words and type."""
    counts: dict[str, Counter[str]] = {}
    for sentence in sentences:
        for span in list_entities(sentence.tags):
            counts.setdefault(join_words(sentence.words, span), Counter())[span[2]] += 1
    return {words: dict(kinds) for words, kinds in counts.items()}


def join_words(words: Sequence[str], span: Span) -> str:
    """The words of an entity, joined by spaces."""
    return " ".join(words[span[0] : span[1]])


def score_buckets(cases: Sequence[Case], mentions: Mentions | None) -> dict[str, dict[str, Row]]:
    """Grouping -> bucket -> precision, recall, F1 and support, buckets without an entity left out.

    mentions: of training; None if they are not known, which leaves out the groupings that need them.
    """
    groupings: dict[str, tuple[list[str], Bucketing]] = {}
    if mentions is not None:
        groupings |= _group_by_training(mentions)
    sizes = [*map(str, range(1, LONGEST_MENTION)), f"{LONGEST_MENTION} or more"]
    groupings |= {
        "words of the entity": (sizes, lambda _, span: sizes[min(span[1] - span[0], LONGEST_MENTION) - 1]),
        "words of the sentence": (
            _name_ranges(SENTENCE_LENGTHS),
            lambda words, _: _find_range(len(words), SENTENCE_LENGTHS),
        ),
        "case of the sentence": (
            ["all upper case", "other"],
            lambda words, _: "all upper case" if is_headline(words) else "other",
        ),
    }
    return {name: _score_grouping(cases, *grouping) for name, grouping in groupings.items()}


def _group_by_training(mentions: Mentions) -> dict[str, tuple[list[str], Bucketing]]:
    def find_familiarity(words: Sequence[str], span: Span) -> str:
        kinds = mentions.get(join_words(words, span), {})
        return "seen" if span[2] in kinds else "seen with other types" if kinds else "unseen"

    def find_frequency(words: Sequence[str], span: Span) -> str:
        return _find_range(sum(mentions.get(join_words(words, span), {}).values()), FREQUENCIES)

    return {
        "seen in training": (["seen", "seen with other types", "unseen"], find_familiarity),
        "times in training": (_name_ranges(FREQUENCIES), find_frequency),
    }


def _score_grouping(cases: Iterable[Case], names: Sequence[str], find_bucket: Bucketing) -> dict[str, Row]:
    support: Counter[str] = Counter()
    guesses: Counter[str] = Counter()
    hits: Counter[str] = Counter()
    for sentence, match, _ in cases:
        if match.gold:
            support[find_bucket(sentence.words, match.gold)] += 1
        if match.predicted:
            bucket = find_bucket(sentence.words, match.predicted)
            guesses[bucket] += 1
            hits[bucket] += match.kind == CORRECT
    filled = [name for name in names if support[name] or guesses[name]]
    return {name: count_row(hits[name], guesses[name], support[name]) for name in filled}


def is_headline(words: Sequence[str]) -> bool:
    """Whether a sentence is written in upper case, as the headlines of newswire are."""
    letters = [word for word in words if word.upper() != word.lower()]
    return len(letters) >= HEADLINE_LETTERS and all(word == word.upper() for word in letters)


def name_range(bounds: Sequence[int], number: int) -> str:
    """The name of range `number`, from its own bound to the next one."""
    first = bounds[number]
    if number == len(bounds) - 1:
        return f"{first:,} or more"
    last = bounds[number + 1] - 1
    return f"{first:,}" if first == last else f"{first:,} to {last:,}"


def _name_ranges(bounds: Sequence[int]) -> list[str]:
    return [name_range(bounds, number) for number in range(len(bounds))]


def _find_range(number: int, bounds: Sequence[int]) -> str:
    return name_range(bounds, bisect_right(bounds, number) - 1)

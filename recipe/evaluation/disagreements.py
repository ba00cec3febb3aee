"""Entities that one of two systems has right and the other wrong, in their context."""

from bisect import bisect_right
from collections.abc import Sequence
from functools import cache
from operator import itemgetter

from recipe.data.documents import Document, list_sentences, list_tags
from recipe.data.schemes import list_entities
from recipe.evaluation.counts import pair_entities

CONTEXT = 6  # words on each side

Entity = tuple[int, int, str]  # start, stop, type
Tags = Sequence[Sequence[str]]  # IOB2, of each sentence


def find_disagreements(gold: Tags, right: Tags, wrong: Tags) -> list[tuple[int, Entity]]:
    """What `right` has right and `wrong` has wrong: sentence numbers from 0, and entities.

    These are gold entities that only `right` finds, and entities of `wrong` where neither gold nor `right` has one.
    """
    found = []
    pairs = zip(pair_entities(gold, right), pair_entities(gold, wrong), strict=True)
    for number, ((true, good), (_, bad)) in enumerate(pairs):
        missed = (true & good) - bad
        sides = sorted(true), sorted(good)
        invented = {entity for entity in bad if not any(_list_overlapping(entity, side) for side in sides)}
        found += [(number, entity) for entity in sorted(missed | invented)]
    return found


def _list_overlapping(entity: Entity, others: Sequence[Entity]) -> Sequence[Entity]:
    """The entities among `others` that share words with `entity`. others: in order, and none overlaps another."""
    first = bisect_right(others, entity[0], key=itemgetter(1))
    last = first
    while last < len(others) and others[last][0] < entity[1]:
        last += 1
    return others[first:last]


def tabulate_disagreements(
    documents: Sequence[Document], predicted: tuple[Tags, Tags], right: int, number: int
) -> tuple[int, list[list[str]]]:
    """How many entities the system with the index `right` has right and the other wrong, and rows of `number` of them.

    predicted: the tags of both systems, in IOB2. A row is the number of the sentence from 1, the context, gold, and
    what each system has there. The rows are evenly spaced among all.
    Raises ValueError if the sentences of the systems and of `documents` are not the same.
    """
    words = [sentence.words for sentence in list_sentences(documents)]
    gold = list_tags(documents)
    found = find_disagreements(gold, predicted[right], predicted[1 - right])
    shown = [found[index * len(found) // number] for index in range(number)] if number < len(found) else found

    @cache  # a file without blank lines is one long sentence
    def list_sides(place: int) -> list[list[Entity]]:
        return [list_entities(tags[place]) for tags in (gold, *predicted)]

    rows = []
    for place, entity in shown:
        cells = [_name_entities(words[place], _list_overlapping(entity, side)) for side in list_sides(place)]
        rows.append([str(place + 1), _mark(words[place], entity), *cells])
    return len(found), rows


def _mark(words: Sequence[str], entity: Entity) -> str:
    """The words of an entity in brackets, with the words around it."""
    start, stop, _ = entity
    before, after = words[max(0, start - CONTEXT) : start], words[stop : stop + CONTEXT]
    marked = f"[{' '.join(words[start:stop])}]"
    return " ".join(["..."] * (start > CONTEXT) + [*before, marked, *after] + ["..."] * (stop + CONTEXT < len(words)))


def _name_entities(words: Sequence[str], entities: Sequence[Entity]) -> str:
    return "; ".join(f"{kind}: {' '.join(words[start:stop])}" for start, stop, kind in entities) or "-"

"""Entities that one of two systems has right and the other wrong, in their context."""

from collections.abc import Sequence
from pathlib import Path

from recipe.data.documents import list_sentences, list_tags
from recipe.data.schemes import list_entities
from recipe.evaluation.counts import Entities, pair_entities
from recipe.evaluation.scoring import read_predictions

CONTEXT = 6  # words on each side

Tags = Sequence[Sequence[str]]  # IOB2, of each sentence


def find_disagreements(gold: Tags, right: Tags, wrong: Tags) -> list[tuple[int, tuple[int, int, str]]]:
    """What `right` has right and `wrong` has wrong: sentence numbers from 0, and entities.

    These are gold entities that only `right` finds, and entities of `wrong` where neither gold nor `right` has one.
    """
    found = []
    pairs = zip(pair_entities(gold, right), pair_entities(gold, wrong), strict=True)
    for number, ((true, good), (_, bad)) in enumerate(pairs):
        missed = (true & good) - bad
        invented = {entity for entity in bad if not _list_overlapping(entity, true | good)}
        found += [(number, entity) for entity in sorted(missed | invented)]
    return found


def _list_overlapping(entity: tuple[int, int, str], others: Entities) -> list[tuple[int, int, str]]:
    return sorted(other for other in others if other[0] < entity[1] and entity[0] < other[1])


def tabulate_disagreements(files: Sequence[Path], right: int, number: int) -> tuple[int, list[list[str]]]:
    """How many entities the file with the index `right` has right and the other wrong, and rows of `number` of them.

    files: two column files of the same sentences. A row is the number of the sentence from 1, the context, gold, and
    what each file has there. The rows are evenly spaced among all.
    Raises ValueError if the sentences are not the same.
    """
    (documents, ours), (_, theirs) = map(read_predictions, files)
    words = [sentence.words for sentence in list_sentences(documents)]
    gold, predicted = list_tags(documents), (ours, theirs)
    found = find_disagreements(gold, predicted[right], predicted[1 - right])
    shown = [found[index * len(found) // number] for index in range(number)] if number < len(found) else found
    rows = []
    for place, entity in shown:
        sides = [set(list_entities(tags[place])) for tags in (gold, *predicted)]
        cells = [_name_entities(words[place], _list_overlapping(entity, side)) for side in sides]
        rows.append([str(place + 1), _mark(words[place], entity), *cells])
    return len(found), rows


def _mark(words: Sequence[str], entity: tuple[int, int, str]) -> str:
    """The words of an entity in brackets, with the words around it."""
    start, stop, _ = entity
    before, after = words[max(0, start - CONTEXT) : start], words[stop : stop + CONTEXT]
    marked = f"[{' '.join(words[start:stop])}]"
    return " ".join(["..."] * (start > CONTEXT) + [*before, marked, *after] + ["..."] * (stop + CONTEXT < len(words)))


def _name_entities(words: Sequence[str], entities: Sequence[tuple[int, int, str]]) -> str:
    return "; ".join(f"{kind}: {' '.join(words[start:stop])}" for start, stop, kind in entities) or "-"

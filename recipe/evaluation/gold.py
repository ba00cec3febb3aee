"""Whether two results are about the same gold, and if not, what tells them apart."""

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

import numpy as np

from recipe.data.conll import format_cells
from recipe.data.documents import Document
from recipe.errors import RecipeError
from recipe.evaluation.counts import list_units
from recipe.evaluation.examples import shorten
from recipe.evaluation.scored import Result


class Word(NamedTuple):
    """A word of a file of predictions. unit: the document or sentence that it is in."""

    unit: str
    word: str
    tag: str


def check_gold(first: Result, other: Result) -> None:
    """Raise RecipeError that says what differs if two results have other gold for the same split."""
    for split in [split for split in first.splits if split in other.splits]:
        difference = find_gold_difference(first, split, other, split)
        if difference:
            raise RecipeError(f"{other.path}: {split}: its gold is not that of {first.path}: {difference}")


def find_gold_difference(first: Result, split: str, other: Result, other_split: str) -> str:
    """What tells the gold of two splits apart: number of documents, support or a word; empty if nothing does.

    Words and tags are compared if the predictions of both are at hand.
    """
    ours, theirs = first.count(split), other.count(other_split)
    if ours is None or theirs is None:
        rows = [result.report[name]["entities"] for result, name in ((first, split), (other, other_split))]
        return _describe_supports(
            "the split", *({name: row.get("support", 0) for name, row in one.items()} for one in rows)
        )
    both_tagged = split in first.tagged and other_split in other.tagged
    types = sorted({*ours.types, *theirs.types})
    supports = [counts.select(types)[:, :-1, 2] for counts in (ours, theirs)]  # (units, types)
    if ours.unit != theirs.unit:
        if both_tagged:
            difference = _find_other_word(first, split, other, other_split, units=False)
        else:
            difference = _describe_supports("the split", *(_name(types, one.sum(0)) for one in supports))
        units = f"it is divided into {theirs.unit}s, the other into {ours.unit}s: mark documents by -DOCSTART- lines"
        return difference or units
    if len(ours.values) != len(theirs.values):
        return f"{len(theirs.values)} {ours.unit}s, in the other {len(ours.values)}"
    places = np.argwhere(supports[0] != supports[1])
    if not len(places):
        return _find_other_word(first, split, other, other_split) if both_tagged else ""
    place = places[0][0]
    return _describe_supports(f"{ours.unit} {place + 1}", *(_name(types, one[place]) for one in supports))


def _name(types: Sequence[str], support: np.ndarray) -> dict[str, int]:
    return dict(zip(types, support.tolist(), strict=True))


def _describe_supports(place: str, ours: dict[str, int], theirs: dict[str, int]) -> str:
    for name in sorted(ours | theirs):
        numbers = theirs.get(name, 0), ours.get(name, 0)
        if numbers[0] != numbers[1]:
            return f"{place} has {numbers[0]} entities {name}, in the other {numbers[1]}"
    return ""


def _find_other_word(first: Result, split: str, other: Result, other_split: str, units: bool = True) -> str:
    """The first line of `other` with another word or gold tag than `first`; else empty.

    units: also one in another document, or in another sentence if these are what entities are counted by.
    """
    ours, theirs = first.tagged[split].documents, other.tagged[other_split].documents
    if ours == theirs:
        return ""
    for there, here in zip_longest(_list_words(theirs), _list_words(ours)):
        if there is None or here is None or there[0][not units :] != here[0][not units :]:
            sides = ((other.predictions[other_split], there), (first.predictions[split], here))
            return ", but ".join(_describe_word(*side) for side in sides)
    return ""


def _list_words(documents: Sequence[Document]) -> Iterator[tuple[Word, str, int]]:
    """Each word with its gold tag, the place of its sentence, and its number there from 0.

    Words are as the recipe writes them: those of other programs can have no-break spaces.
    """
    unit, groups = list_units(documents)
    for number, group in enumerate(groups, 1):
        name = f"{unit} {number}"
        for sentence in group.sentences:
            for offset, (word, tag) in enumerate(zip(sentence.words, sentence.tags, strict=True)):
                yield Word(name, format_cells([word]), tag), sentence.place, offset


def _describe_word(file: Path, found: tuple[Word, str, int] | None) -> str:
    if found is None:
        return f"{file} ends"
    word, place, offset = found
    path, _, line = place.rpartition(":")
    return f"{path}:{int(line) + offset} has {shorten(word.word)!r} {word.tag} in {word.unit}"

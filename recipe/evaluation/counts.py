"""Entities counted by document: what scores, intervals and comparisons are made of. Counts contain no text.

A document has three counts for each entity type: hits (predicted, and in gold), guesses (predicted), support (in gold).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recipe.data.documents import Document, list_sentences, list_tags
from recipe.data.schemes import list_entities

KINDS = ("hits", "guesses", "support")
FEWEST = 10  # documents; if there are fewer, sentences are counted

Entities = set[tuple[int, int, str]]  # of one sentence: start, stop, type


@dataclass(frozen=True)
class Counts:
    """The counts of one system on one split.

    unit: what was counted by, "document" or "sentence". values: integers, (units, types, 3), in the order of `KINDS`.
    """

    unit: str
    types: list[str]
    values: np.ndarray

    def select(self, types: Sequence[str]) -> np.ndarray:
        """The counts of `types`, 0 for types that do not occur, and last those of all types in sum.

        Returns (units, len(types) + 1, 3).
        """
        rows = np.zeros((len(self.values), len(types) + 1, len(KINDS)), int)
        for row, name in enumerate(types):
            if name in self.types:
                rows[:, row] = self.values[:, self.types.index(name)]
        rows[:, -1] = self.values.sum(1)
        return rows

    def pack(self) -> dict[str, Any]:
        """Plain values for JSON. The counts of a type are one string, so that they stay on one line."""
        columns = {
            kind: {name: " ".join(map(str, self.values[:, row, number])) for row, name in enumerate(self.types)}
            for number, kind in enumerate(KINDS)
        }
        return {"unit": self.unit, "number": len(self.values), **columns}


def unpack_counts(packed: dict[str, Any]) -> Counts:
    """The counts that `Counts.pack` made plain. Raises an error of Python's own if they are damaged."""
    types = list(packed["support"])
    columns = [[packed[kind][name].split() for name in types] for kind in KINDS]
    values = np.array(columns, dtype=int).reshape(len(KINDS), len(types), packed["number"]).transpose(2, 1, 0)
    if (values < 0).any() or (values[..., 0] > values[..., 1:].min(-1)).any():
        raise ValueError("counts by document that are negative, or more hits than entities")
    return Counts(str(packed["unit"]), types, values)


def pair_entities(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> Iterator[tuple[Entities, ...]]:
    """The gold and the predicted entities of each sentence, from strict IOB2 tags.

    Raises ValueError if a sentence has different numbers of gold and predicted tags.
    """
    for true_tags, guessed_tags in zip(gold, predicted, strict=True):
        if len(true_tags) != len(guessed_tags):
            raise ValueError(f"{len(true_tags)} gold tags but {len(guessed_tags)} predicted tags in one sentence")
        yield set(list_entities(true_tags)), set(list_entities(guessed_tags))


def list_units(documents: Sequence[Document]) -> tuple[str, Sequence[Document]]:
    """What entities are counted by, "document" or "sentence", and the documents, or each sentence as one."""
    if len(documents) >= FEWEST:
        return "document", documents
    return "sentence", [Document([sentence]) for sentence in list_sentences(documents)]


def count_entities(documents: Sequence[Document], predicted: Sequence[Sequence[str]]) -> Counts:
    """Count the entities by document, or by sentence if there are fewer than `FEWEST` documents.

    predicted: the predicted IOB2 tags of each sentence of all documents.
    """
    unit, groups = list_units(documents)
    owners = [number for number, group in enumerate(groups) for _ in group.sentences]
    pairs = list(pair_entities(list_tags(documents), predicted))
    types = sorted({name for pair in pairs for entities in pair for _, _, name in entities})
    rows = {name: row for row, name in enumerate(types)}
    values = np.zeros((len(groups), len(types), len(KINDS)), int)
    for owner, (true, guessed) in zip(owners, pairs, strict=True):
        for kind, entities in enumerate((true & guessed, guessed, true)):
            for _, _, name in entities:
                values[owner, rows[name], kind] += 1
    return Counts(unit, types, values)

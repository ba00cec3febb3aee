"""Positions in rows of token ids, and log-probabilities of tokens there: on torch, or in NumPy's arrays."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np


class Row(NamedTuple):
    """Token ids, and the positions at which tokens are predicted.

    position_ids, visible: of a row with copies of a text; `visible[i, j]` says whether token i sees token j.
    """

    ids: list[int]
    positions: list[int]
    position_ids: list[int] | None = None
    visible: np.ndarray | None = None


def find_places(batch: Sequence[Row], width: int) -> np.ndarray:
    """The positions of all rows, counted over the whole batch, whose rows have `width` tokens."""
    return np.array([number * width + place for number, row in enumerate(batch) for place in row.positions], np.int64)


class Scores(Protocol):
    """Log-probabilities (nats, float32) of the whole vocabulary at some positions."""

    def restrict(self, allowed: np.ndarray, kinds: Sequence[int]) -> "Scores":
        """The same with -inf for tokens that may not stand at a position.

        allowed: boolean, (kinds, vocabulary). kinds: the kind of each position.
        """
        ...

    def rank(self, count: int) -> tuple[list[list[int]], list[list[float]]]:
        """The best tokens of each position, from best to worst, and their log-probabilities."""
        ...

    def find(self, tokens: Sequence[int]) -> list[float]:
        """The log-probability of one token at each position."""
        ...

    def row(self, position: int) -> np.ndarray:
        """The log-probabilities at one position, (vocabulary,)."""
        ...


class ArrayScores:
    """`Scores` in an array, (positions, vocabulary)."""

    def __init__(self, values: np.ndarray):
        self._values = values

    @classmethod
    def normalize(cls, logits: np.ndarray) -> "ArrayScores":
        """Logits as log-probabilities."""
        shifted = logits - logits.max(-1, keepdims=True)
        return cls(shifted - np.log(np.exp(shifted).sum(-1, keepdims=True)))

    def restrict(self, allowed: np.ndarray, kinds: Sequence[int]) -> "ArrayScores":
        """See `Scores`."""
        return ArrayScores(np.where(allowed[kinds], self._values, np.float32(-np.inf)))

    def rank(self, count: int) -> tuple[list[list[int]], list[list[float]]]:
        """See `Scores`."""
        count = min(count, self._values.shape[1])
        best = np.argpartition(-self._values, count - 1, axis=-1)[:, :count]
        values = np.take_along_axis(self._values, best, -1)
        order = np.argsort(-values, axis=-1, kind="stable")
        return np.take_along_axis(best, order, -1).tolist(), np.take_along_axis(values, order, -1).tolist()

    def find(self, tokens: Sequence[int]) -> list[float]:
        """See `Scores`."""
        return self._values[np.arange(len(tokens)), np.asarray(tokens, int)].tolist()

    def row(self, position: int) -> np.ndarray:
        """See `Scores`."""
        return self._values[position]

"""What a tagger needs of whatever computes its logits: a `Backend`, which takes batches of padded token ids."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np

BATCH_TOKENS = 4096  # on a CPU, padding included

Batch = dict[str, np.ndarray]  # input_ids and attention_mask, int64, each (rows, tokens)


class Backend(Protocol):
    """Computes the logits of batches.

    batch_tokens: number of tokens in a batch, padding included, at which it is fast and fits into memory.
    """

    batch_tokens: int

    def run(self, batches: Iterable[Batch]) -> Iterator[np.ndarray]:
        """The logits of each batch, in order: float32, (rows, tokens, labels)."""
        ...


def pad(rows: Sequence[Sequence[int]], pad_id: int) -> Batch:
    """A batch of token ids, padded on the right to the longest row."""
    lengths = np.array([len(row) for row in rows])
    seen = np.arange(lengths.max()) < lengths[:, None]
    ids = np.full(seen.shape, pad_id, np.int64)
    ids[seen] = np.concatenate([np.asarray(row, np.int64) for row in rows])
    return {"input_ids": ids, "attention_mask": seen.astype(np.int64)}

"""Batches of examples of similar length, for little padding, in random order."""

from collections.abc import Iterator, Sequence

import torch
from torch.utils.data import Sampler

POOL = 50  # batches; this many examples are drawn at random and sorted by length together


class LengthGroupedSampler(Sampler[int]):
    """Indices in batches of `batch_size` examples of similar length; the batches are in random order.

    lengths: tokens of each example. generator: random generator for the order; None for torch's global one.
    The sampler of this name in transformers returns each pool from long to short, so training repeatedly goes from long
    to short and ends with the shortest sentences. Here only two batches have a fixed place: the one with the longest
    example is the first, so that a lack of memory shows at once, and an incomplete batch is the last.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, generator: torch.Generator | None = None):
        self.lengths, self.batch_size, self.generator = torch.as_tensor(lengths), batch_size, generator

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        full = len(self) // self.batch_size
        pool = (
            min(POOL, max(1, full // 4)) * self.batch_size
        )  # with few examples, smaller pools, so that batches differ in each epoch
        drawn = torch.randperm(len(self), generator=self.generator).split(pool)
        order = torch.cat([indices[self.lengths[indices].argsort(descending=True)] for indices in drawn])
        batches = order.split(self.batch_size)
        places = torch.randperm(full, generator=self.generator).tolist()
        if full:
            longest = int(self.lengths[order[: full * self.batch_size : self.batch_size]].argmax())
            places.remove(longest)
            places.insert(0, longest)
        return iter(torch.cat([*(batches[place] for place in places), *batches[full:]]).tolist())

"""Batches of examples of like length, so that little is padded, in an order that is random nevertheless."""

from collections.abc import Iterator, Sequence

import torch
from torch.utils.data import Sampler

POOL = 50  # batches' worth of examples, drawn at random, that are sorted by length together


class LengthGroupedSampler(Sampler[int]):
    """Indices whose slices of `batch_size` have like lengths, the slices themselves in random order.

    lengths: tokens of each example. generator: of the order; torch's own if it is None.
    transformers' sampler of this name hands out each pool from long to short, so that training goes from long to short
    again and again and ends on the shortest sentences. Here two slices only have a fixed place: the one with the
    longest example is the first, so that memory that does not suffice fails at once, and an incomplete one the last.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, generator: torch.Generator | None = None):
        self.lengths, self.batch_size, self.generator = torch.as_tensor(lengths), batch_size, generator

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        full = len(self) // self.batch_size
        pool = min(POOL, max(1, full // 4)) * self.batch_size  # few examples: not the same batches in each epoch
        drawn = torch.randperm(len(self), generator=self.generator).split(pool)
        order = torch.cat([indices[self.lengths[indices].argsort(descending=True)] for indices in drawn])
        batches = order.split(self.batch_size)
        places = torch.randperm(full, generator=self.generator).tolist()
        if full:
            longest = int(self.lengths[order[: full * self.batch_size : self.batch_size]].argmax())
            places.remove(longest)
            places.insert(0, longest)
        return iter(torch.cat([*(batches[place] for place in places), *batches[full:]]).tolist())

"""Training windows with a new random amount of context in each epoch, so that a model tags long and short texts well.

A model trained only on whole documents is weak on single sentences, and a model trained only on single sentences does
not benefit from context. Here each window stays whole, or is split before every sentence or before some sentences.
"""

import random
from collections.abc import Sequence

import torch
from torch.utils.data import Dataset

from recipe.inputs.tokens import special_tokens
from recipe.inputs.windows import Window
from recipe.seeds import derive_seed

WHOLE, ALONE, FEW = 0.4, 0.4, 0.2  # shares of windows: not split, split before every sentence, split before some
SPLIT = 1 / 3  # probability of a split before each sentence of the windows that are split before some


class MixedWindows(Dataset):
    """A data set of windows, split into segments that depend on the seed and the epoch.

    An example has `input_ids`, `labels` and `attention_mask`, in which each token has the number of its segment,
    starting at 1. `recipe.model.packing.split_segments` turns a batch of examples into one row for each segment.
    """

    def __init__(self, windows: Sequence[Window], tokenizer, seed: int):
        self.windows, self.seed = windows, seed
        self._prefix, self._suffix = special_tokens(tokenizer)
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # shared with data-loading workers

    def set_epoch(self, epoch: int) -> None:
        """Draw the segments of `epoch` from now on."""
        self._epoch.fill_(epoch)

    @property
    def lengths(self) -> list[int]:
        """The number of tokens in each window before it is split."""
        return [len(window["input_ids"]) for window in self.windows]

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> dict[str, list[int]]:
        window = self.windows[index]
        draw = random.Random(derive_seed(self.seed, int(self._epoch), index))
        kind, starts = draw.random(), window["sentence_starts"]
        if kind < WHOLE:
            starts = []
        elif kind < WHOLE + FEW:
            starts = [start for start in starts if draw.random() < SPLIT]
        ids, labels = window["input_ids"], window["labels"]
        mask = [1] * len(ids)
        for segment, start in enumerate(starts):  # each split puts the special tokens between two sentences
            at = start + segment * (len(self._prefix) + len(self._suffix))
            between = [*self._suffix, *self._prefix]
            ids = [*ids[:at], *between, *ids[at:]]
            labels = [*labels[:at], *[-100] * len(between), *labels[at:]]
            numbers = [segment + 1] * len(self._suffix) + [segment + 2] * (len(self._prefix) + len(mask) - at)
            mask = [*mask[:at], *numbers]
        return {"input_ids": ids, "labels": labels, "attention_mask": mask}

"""Windows of documents whose context is drawn again in each epoch, so that one model tags both long and short texts.

A model that always saw whole documents is weak on single sentences, and one that saw single sentences gains nothing
from context. Here each window of an epoch is left whole, or split before every sentence, or before some of them.
"""

import random
from collections.abc import Sequence

import torch
from torch.utils.data import Dataset

from recipe.inputs.tokens import special_tokens
from recipe.inputs.windows import Window
from recipe.seeds import derive_seed

WHOLE, ALONE, FEW = 0.4, 0.4, 0.2  # share of the windows that are left whole, split everywhere, split in places
SPLIT = 1 / 3  # probability of a split before each sentence of a window that is split in places


class MixedWindows(Dataset):
    """Examples of windows, each split into segments as the seed and the epoch decide.

    An example is {"input_ids", "labels", "attention_mask"}: the mask holds the number of each token's segment, from 1
    on. `recipe.model.packing.split_segments` turns a batch of them into one row for each segment.
    """

    def __init__(self, windows: Sequence[Window], tokenizer, seed: int):
        self.windows, self.seed = windows, seed
        self._prefix, self._suffix = special_tokens(tokenizer)
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # data-loading workers see it change

    def set_epoch(self, epoch: int) -> None:
        """Draw the segments of this epoch from here on."""
        self._epoch.fill_(epoch)

    @property
    def lengths(self) -> list[int]:
        """Tokens of each window, before it is split."""
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

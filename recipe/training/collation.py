"""Training batches, prepared on the CPU in data-loading workers, so that no step waits for a GPU to count something.

A batch is split into segments (`recipe.inputs.mixing`), packed (`recipe.model.packing`), freed of a mask that masks
nothing, so that fused attention can be used, and gets the positions of its labels.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from transformers import PreTrainedModel

from recipe.inputs.tokens import IGNORED
from recipe.model.architectures import ARCHITECTURES
from recipe.model.packing import Packer, split_segments
from recipe.model.sparse_head import find_positions

POSITIONS, OWNERS = "label_positions", "label_owners"


class BatchPreparer:
    """Prepares the batches of one model.

    packer: packs batches; None for padded batches. splits: the examples are `MixedWindows`.
    owners: also give the number of the example of each label, for `drop_labels`.
    """

    def __init__(self, model: PreTrainedModel, packer: Packer | None, splits: bool, owners: bool):
        self._packer, self._splits, self._owners = packer, splits, owners
        # your own model may need the mask
        own = not type(model).__module__.startswith("transformers.")
        self._drops_mask = not own and model.config.model_type in ARCHITECTURES

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Prepare a batch of (examples, length) tensors; other values, such as a stream's position, are kept."""
        other = {name: value for name, value in batch.items() if not torch.is_tensor(value)}
        batch = {name: value for name, value in batch.items() if name not in other}
        if self._owners:
            batch[OWNERS] = torch.arange(len(batch["labels"]))[:, None].expand_as(batch["labels"])
        if self._splits:
            batch = split_segments(batch)
        if self._drops_mask and bool(batch["attention_mask"].all()):
            del batch["attention_mask"]
        elif self._packer:
            batch = self._packer(batch)
        batch[POSITIONS] = find_positions(batch["labels"])
        if self._owners:
            batch[OWNERS] = batch[OWNERS].flatten()[batch[POSITIONS]]
        return batch | other

    def wrap(self, collate: Callable[[list], dict]) -> Callable[[list], dict]:
        """The collator `collate`, with its batches prepared."""
        return partial(_collate, collate, self)  # not a closure: it is pickled for workers that are not forks


def _collate(collate: Callable[[list], dict], prepare: BatchPreparer, examples: list) -> dict:
    return prepare(collate(examples))


def drop_labels(batch: dict[str, Any], kept: int) -> None:
    """Remove the labels of all examples of a prepared batch but the first `kept`, in place."""
    lost = batch[POSITIONS][batch[OWNERS] >= kept]
    batch["labels"].view(-1)[lost] = IGNORED
    batch[POSITIONS] = batch[POSITIONS][batch[OWNERS] < kept]

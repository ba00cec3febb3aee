"""Packing the examples of a training batch into a few rows instead of padding each to the longest: same result, faster.

An example attends only to itself, through a mask of (rows, 1, length, length), and its positions start at its own first
token. So loss and gradients are the same as for the padded batch. The other way to avoid padding, batches of examples
of similar length, trains worse on single sentences (docs/speed.md).

Batches are packed on the CPU, before they are moved to a GPU, and have the number of each token's segment instead of
the mask, which is much larger; `Packer.mask` makes it where the model is.
"""

import heapq
import logging

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel

from recipe.inputs.tokens import IGNORED
from recipe.model.architectures import find_architecture, find_first_position
from recipe.model.attention import ATTENTION

MASK_DTYPES = {  # type of the mask that each attention expects
    "eager": torch.float32,
    ATTENTION: torch.float32,
    "sdpa": torch.bool,
}
ROW = 64  # tokens in a row, at least: shorter rows need more padding, longer rows more time for attention
WORTH = 0.9  # a batch is packed only if that makes it smaller than this share of the padded size
ALIGNED = 8  # on a GPU, the length of rows is a multiple of this: kernels for other lengths are slower

logger = logging.getLogger(__name__)


def split_segments(batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Turn a batch of (rows, length) tensors into one padded row for each segment.

    `attention_mask` has the segment number of each token, and 0 for padding. A batch with one segment in each row is
    returned unchanged.
    """
    segments = batch["attention_mask"]
    count = int(segments.max())
    if count == 1:
        return batch
    places = [
        (segments.flatten() == number).view_as(segments).flatten().nonzero()[:, 0] for number in range(1, count + 1)
    ]
    length = segments.shape[1]
    rows = [part for place in places for part in place.split((place // length).bincount().tolist()) if len(part)]
    source = pad_sequence(rows, True, -1)
    empty = source < 0
    split = {
        name: values.flatten()[source.clamp(min=0)].masked_fill(empty, IGNORED if name == "labels" else 0)
        for name, values in batch.items()
    }
    return split | {"attention_mask": (~empty).to(segments.dtype)}


class Packer:
    """Packs the batches of one model. Batches do not change if the model or its attention does not support packing.

    align: make the length of rows a multiple of `ALIGNED`.
    """

    def __init__(self, model: PreTrainedModel, align: bool = False):
        self._multiple = ALIGNED if align else 1
        config = model.config
        known = find_architecture(config.model_type).packing
        self._mask_dtype = MASK_DTYPES.get(config._attn_implementation) if known else None
        self._first_position = find_first_position(config)
        if self._mask_dtype is None:
            logger.warning(
                "pack_batches: not supported for %s with %s attention: batches are padded",
                config.model_type,
                config._attn_implementation,
            )

    def __call__(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Pack tensors of (examples, length), padded on either side, with an `attention_mask`, to (rows, length).

        A packed batch has `position_ids`, and `segments` for `mask` instead of the `attention_mask`.
        """
        if self._mask_dtype is None:
            return batch
        mask = batch["attention_mask"]
        lengths = mask.sum(1).tolist()
        rows, width = plan_rows(lengths)
        if len(rows) * width > WORTH * mask.numel():
            if self._multiple == 1:
                return batch
            # transformers looks for padding in a mask of two dimensions, and waits for the GPU to find it
            return {name: values for name, values in batch.items() if name != "attention_mask"} | {"segments": mask}
        length = mask.shape[1]
        places = [number * length + tokens.nonzero()[:, 0] for number, tokens in enumerate(mask)]
        # For each place in the rows, the index of its token in the flattened padded batch; -1 after the end of a row.
        source = pad_sequence([torch.cat([places[number] for number in row]) for row in rows], True, -1)
        source = torch.nn.functional.pad(source, (0, -width % self._multiple), value=-1)
        empty, example, source = source < 0, source // length, source.clamp(min=0)
        packed = {
            name: values.flatten()[source].masked_fill(empty, IGNORED if name == "labels" else 0)
            for name, values in batch.items()
            if name != "attention_mask"
        }
        first = mask.cumsum(1) - 1  # the position of each token in its own example
        packed["position_ids"] = first.flatten()[source].masked_fill(empty, 0) + self._first_position
        packed["segments"] = example
        return packed

    def mask(self, segments: torch.Tensor) -> torch.Tensor:
        """The attention mask, (rows, 1, length, length), of rows in which tokens of equal `segments` see each other."""
        return convert_mask(segments[:, None, :, None] == segments[:, None, None, :], self._mask_dtype)


def convert_mask(visible: torch.Tensor, dtype: torch.dtype | None) -> torch.Tensor:
    """A boolean mask as an attention expects it (`MASK_DTYPES`): boolean, or numbers that are added to the scores."""
    if dtype is None or dtype == torch.bool:
        return visible
    hidden = torch.zeros(visible.shape, dtype=dtype, device=visible.device)
    return hidden.masked_fill(~visible, torch.finfo(dtype).min)


def plan_rows(lengths: list[int]) -> tuple[list[list[int]], int]:
    """Spread examples of `lengths` tokens over rows of similar length: that of the longest example, at least `ROW`.

    Returns the numbers of the examples in each row, and the number of tokens in the longest row.
    """
    count = -(-sum(lengths) // max(*lengths, ROW))
    rows = [(0, row, []) for row in range(count)]
    for number in sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True):
        filled, row, numbers = heapq.heappop(rows)
        heapq.heappush(rows, (filled + lengths[number], row, [*numbers, number]))
    return [numbers for _, _, numbers in rows], max(filled for filled, _, _ in rows)

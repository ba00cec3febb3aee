"""The examples of a training batch packed into few rows instead of padded to the longest: less work, the same result.

An example of a row attends to itself alone, by a mask of (rows, 1, length, length), and counts its positions from its
own start, so that loss and gradients are those of the padded batch, whose examples may therefore be any: batches of
like length, the other way to pad little, train worse on single sentences (docs/speed.md).
"""

import heapq
import logging

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel

from recipe.inputs.tokens import IGNORED
from recipe.model.architectures import find_architecture, find_first_position
from recipe.model.attention import ATTENTION

MASK_DTYPES = {"eager": torch.float32, ATTENTION: torch.float32, "sdpa": torch.bool}  # what attention expects
ROW = 64  # tokens: shorter rows leave more padding, longer ones cost more attention
WORTH = 0.9  # of the padded size: a batch that packing makes no smaller than this stays as it is

logger = logging.getLogger(__name__)


class Packer:
    """Packs the batches of one model; those of a model or an attention that cannot take them stay as they are."""

    def __init__(self, model: PreTrainedModel):
        config = model.config
        self._mask_dtype = MASK_DTYPES.get(config._attn_implementation)
        self._first_position = find_first_position(config)
        self._possible = self._mask_dtype is not None and find_architecture(config.model_type).packing
        if not self._possible:
            logger.warning(
                "pack_batches: not possible for %s with %s attention: batches are padded",
                config.model_type,
                config._attn_implementation,
            )

    def __call__(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """(examples, length) each, `attention_mask` among them, padded on either side -> (rows, length)."""
        if not self._possible:
            return batch
        mask = batch["attention_mask"]
        lengths = mask.sum(1).tolist()
        rows, width = plan_rows(lengths)
        if len(rows) * width > WORTH * mask.numel():
            return batch
        length = mask.shape[1]
        places = [number * length + tokens.nonzero()[:, 0] for number, tokens in enumerate(mask)]
        # Where in the padded batch the token of each place stands; -1 behind the end of a row.
        source = pad_sequence([torch.cat([places[number] for number in row]) for row in rows], True, -1)
        empty, example, source = source < 0, source // length, source.clamp(min=0)
        packed = {
            name: values.flatten()[source].masked_fill(empty, IGNORED if name == "labels" else 0)
            for name, values in batch.items()
        }
        positions = [torch.cat([torch.arange(lengths[number]) for number in row]) for row in rows]
        packed["position_ids"] = pad_sequence(positions, True).to(mask.device) + self._first_position
        attended = example[:, None, :, None] == example[:, None, None, :]
        if self._mask_dtype != torch.bool:
            lowest = torch.finfo(self._mask_dtype).min
            attended = torch.zeros(attended.shape, dtype=self._mask_dtype, device=mask.device).masked_fill(
                ~attended, lowest
            )
        packed["attention_mask"] = attended
        return packed


def plan_rows(lengths: list[int]) -> tuple[list[list[int]], int]:
    """Spread examples of `lengths` tokens over rows of about equal size, the longest example's or `ROW`, if larger.

    Returns the examples' numbers for each row, and the tokens of the fullest.
    """
    count = -(-sum(lengths) // max(*lengths, ROW))
    rows = [(0, row, []) for row in range(count)]
    for number in sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True):
        filled, row, numbers = heapq.heappop(rows)
        heapq.heappush(rows, (filled + lengths[number], row, [*numbers, number]))
    return [numbers for _, _, numbers in rows], max(filled for filled, _, _ in rows)

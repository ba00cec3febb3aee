"""Masked-language-model logits at the predicted positions only.

With a vocabulary of 30,000, the head takes half of the training step of a small encoder, and 85 % of its logits are not
used. Here a hook passes only the encoder's output at the masked positions to the head. The model's class, weights and
files do not change. (ModernBERT has a switch for this, `sparse_prediction`, which works only if the model computes the
loss itself.)

Positions are numbers, found by `find_positions` while a batch is still on the CPU: finding them on a GPU would make the
CPU wait for it in each step.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from transformers import PreTrainedModel

from recipe.inputs.tokens import IGNORED
from recipe.model.architectures import find_architecture, list_types

logger = logging.getLogger(__name__)


def find_positions(labels: torch.Tensor) -> torch.Tensor:
    """The positions of the labelled tokens in the flattened `labels`: (batch, length), -100 where none is predicted."""
    return (labels != IGNORED).flatten().nonzero()[:, 0]


class SparseHead:
    """Inside `with head.at(positions)`, logits are (positions, vocabulary) instead of (batch, length, vocabulary)."""

    def __init__(self, model: PreTrainedModel):
        self._positions: torch.Tensor | None = None
        if find_architecture(model.config.model_type).sparse_head:
            model.base_model.register_forward_hook(self._select)
        else:
            logger.warning(
                "sparse_head: not known to work with %s: logits are computed at all positions, which is slower; it "
                "works with %s",
                model.config.model_type,
                ", ".join(list_types("sparse_head")),
            )

    @contextmanager
    def at(self, positions: torch.Tensor) -> Iterator[None]:
        """positions: from `find_positions`, where logits are needed. No effect if the model is not supported."""
        self._positions = positions
        try:
            yield
        finally:
            self._positions = None

    def _select(self, encoder: torch.nn.Module, inputs: tuple, output) -> None:
        if self._positions is not None:
            output["last_hidden_state"] = output["last_hidden_state"].flatten(0, 1).index_select(0, self._positions)


def select_labelled(logits: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """The logits (batch, length, classes) at `positions` (from `find_positions`), as (positions, classes).

    Logits of a sparse head already have this shape and are returned as they are.
    """
    return logits if logits.dim() == 2 else logits.flatten(0, 1).index_select(0, positions)

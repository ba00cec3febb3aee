"""Masked-language-model logits at the positions to predict only.

A vocabulary of 30,000 makes the head half of a small encoder's training step, and 85 % of its logits are never looked
at. A hook hands it the encoder's output at the masked positions alone; the model's class, weights and files stay as
they are. (ModernBERT's own switch, `sparse_prediction`, does so only where the model computes the loss itself.)
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from transformers import PreTrainedModel

from recipe.model.architectures import find_architecture, list_types

logger = logging.getLogger(__name__)


class SparseHead:
    """Within `at(positions)`, the model's logits are (positions, vocabulary) instead of (batch, length, vocabulary)."""

    def __init__(self, model: PreTrainedModel):
        self._positions: torch.Tensor | None = None
        if find_architecture(model.config.model_type).sparse_head:
            model.base_model.register_forward_hook(self._select)
        else:
            logger.warning(
                "sparse_head: the head of a %s is not known to work on each position by itself: logits are computed "
                "at all positions, which is slower; known are %s",
                model.config.model_type,
                ", ".join(list_types("sparse_head")),
            )

    @contextmanager
    def at(self, positions: torch.Tensor) -> Iterator[None]:
        """positions: (batch, length), true where logits are wanted. Without effect on a model that is not supported."""
        self._positions = positions
        try:
            yield
        finally:
            self._positions = None

    def _select(self, encoder: torch.nn.Module, inputs: tuple, output) -> None:
        if self._positions is not None:
            output["last_hidden_state"] = output["last_hidden_state"][self._positions]


def select_labelled(logits: torch.Tensor, labelled: torch.Tensor) -> torch.Tensor:
    """The logits at the true positions of `labelled` (batch, length), as (positions, classes): a sparse head's are."""
    return logits if logits.dim() == 2 else logits[labelled]

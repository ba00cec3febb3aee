"""The loss of both stages: the exact mean over the labelled tokens of the whole effective batch."""

from collections.abc import Callable, Sequence
from functools import cache

import torch
from torch.nn.functional import cross_entropy

from recipe.model.sparse_head import find_positions, select_labelled

Loss = Callable[..., torch.Tensor]  # called by Trainer with (outputs, labels, num_items_in_batch=...)


def token_mean_loss(
    outputs,
    labels: torch.Tensor,
    num_items_in_batch: torch.Tensor | None = None,
    label_smoothing: float = 0.0,
    class_weights: Sequence[float] | None = None,
    positions: torch.Tensor | None = None,
) -> torch.Tensor:
    """Cross-entropy summed over the labelled tokens of one batch, divided by `num_items_in_batch`.

    outputs["logits"]: (batch, length, classes), or (labelled tokens, classes) from a sparse head.
    labels: (batch, length), -100 where nothing is predicted.
    num_items_in_batch: number of labelled tokens in the whole effective batch, over accumulation steps and processes,
    as counted by Trainer; default: those of this batch.
    class_weights: weight of each class; the sum is divided by the number of tokens all the same.
    positions: those of `find_positions`, if they are known already.
    The loss that models compute themselves is a mean over the micro-batch: a token would then count more in a
    micro-batch with few labelled tokens, and Trainer does not divide this loss by the accumulation steps.
    """
    if positions is None:
        positions = find_positions(labels)
    count = len(positions) if num_items_in_batch is None else num_items_in_batch
    logits, wanted = select_labelled(outputs["logits"], positions).float(), labels.flatten().index_select(0, positions)
    weight = None if class_weights is None else _to_tensor(tuple(class_weights), logits.device)
    total = cross_entropy(logits, wanted, weight=weight, reduction="sum", label_smoothing=label_smoothing)
    return total / torch.as_tensor(count, device=total.device).clamp(min=1)


@cache
def _to_tensor(values: tuple[float, ...], device: torch.device) -> torch.Tensor:
    """Copying them to a GPU in each step would make the CPU wait for it."""
    return torch.tensor(values, device=device)

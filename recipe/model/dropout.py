"""Dropout that costs a CPU little: the same distribution, its random bits drawn four elements at a time.

torch draws dropout masks on a CPU one element after another, which takes a tenth of a training step, and a third where
attention weights are dropped too. Here one 64-bit draw of torch's generator decides for four elements, so the
probability is a multiple of 2**-16 (0.1 becomes 0.10001); masks still follow from the seed, and resume with it.
"""

import torch
from torch import nn
from transformers import PreTrainedModel

STEPS = 2**16  # probabilities are multiples of 1 / STEPS


class _Drop(torch.autograd.Function):
    @staticmethod
    def forward(ctx, hidden: torch.Tensor, dropped: int) -> torch.Tensor:
        count = hidden.numel()
        bits = torch.empty((count + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
        keep = (bits.view(torch.int16)[:count] >= dropped - STEPS // 2).view(hidden.shape)
        ctx.save_for_backward(keep)
        ctx.scale = STEPS / (STEPS - dropped)
        return hidden.mul(keep).mul_(ctx.scale)

    @staticmethod
    def backward(ctx, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        (keep,) = ctx.saved_tensors
        return gradient.mul(keep).mul_(ctx.scale), None


def drop(hidden: torch.Tensor, p: float, training: bool = True) -> torch.Tensor:
    """`torch.nn.functional.dropout`, by the fast draw on a CPU. p: the share that becomes 0."""
    dropped = round(p * STEPS)
    if not training or dropped in (0, STEPS) or hidden.device.type != "cpu":
        return nn.functional.dropout(hidden, p, training)
    return _Drop.apply(hidden, dropped)


class LightDropout(nn.Dropout):
    """`torch.nn.Dropout` by `drop`."""

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return drop(hidden, self.p, self.training)


def lighten_dropout(model: PreTrainedModel) -> None:
    """Put `LightDropout` in the place of each `torch.nn.Dropout` of `model`; weights and their names stay."""
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.Dropout:
                setattr(parent, name, LightDropout(child.p).train(child.training))

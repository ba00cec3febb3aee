"""Fast dropout on a CPU: the same distribution, with random bits drawn for four elements at a time.

On a CPU, torch draws dropout masks element by element. This takes a tenth of a training step, or a third if attention
weights are dropped too. Here one 64-bit draw of torch's generator is used for four elements, so probabilities are
multiples of 2**-16 (0.1 becomes 0.10001). Masks still depend on the seed, so runs can be repeated and resumed.
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
    def backward(ctx, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        (gradient,), (keep,) = gradients, ctx.saved_tensors
        return gradient.mul(keep).mul_(ctx.scale), None


def drop(hidden: torch.Tensor, p: float, training: bool = True) -> torch.Tensor:
    """`torch.nn.functional.dropout`, faster on a CPU. p: probability of an element to become 0."""
    dropped = round(p * STEPS)
    if not training or dropped in (0, STEPS) or hidden.device.type != "cpu":
        return nn.functional.dropout(hidden, p, training)
    return _Drop.apply(hidden, dropped)


class LightDropout(nn.Dropout):
    """`torch.nn.Dropout` that uses `drop`."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return drop(input, self.p, self.training)


def lighten_dropout(model: PreTrainedModel) -> None:
    """Replace each `torch.nn.Dropout` of `model` by `LightDropout`; weights and their names do not change."""
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.Dropout:
                setattr(parent, name, LightDropout(child.p).train(child.training))

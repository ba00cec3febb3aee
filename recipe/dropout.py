"""Dropout that costs a CPU little: the same distribution, its random bits drawn four elements at a time.

torch draws dropout masks on a CPU one element after another, which takes a tenth of a training step, and a third where
attention weights are dropped too. Here one 64-bit draw of torch's generator decides for four elements, so the
probability is a multiple of 2**-16 (0.1 becomes 0.10001); masks still follow from the seed, and resume with it.
"""

import torch
from torch import nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.masking_utils import eager_mask

ATTENTION = "eager_light_dropout"  # the name of `attend` for `attn_implementation`
# Model types that `attend` computes as their own eager attention does, in bf16 too; a test compares them. Others cap
# scores, share keys among heads, or hand over keys and values of different types.
SUPPORTED = (
    "albert",
    "bert",
    "camembert",
    "deberta-v2",
    "distilbert",
    "electra",
    "ernie",
    "esm",
    "modernbert",
    "mpnet",
    "roberta",
    "xlm-roberta",
)
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


def attend(module, query, key, value, attention_mask, scaling=None, dropout=0.0, **_) -> tuple[torch.Tensor, ...]:
    """transformers' eager attention with `drop`; on a CPU it trains faster than torch's fused kernels.

    query, key, value: (batch, heads, length, head size). Returns the output, (batch, length, heads, head size), and
    the attention weights, (batch, heads, length, length).
    """
    scaling = query.size(-1) ** -0.5 if scaling is None else scaling
    with torch.autocast(query.device.type, enabled=False):  # which would store the weights in fp32: twice the traffic
        scores = torch.matmul(query * scaling, key.transpose(2, 3))
        if attention_mask is not None:
            scores = scores + attention_mask.to(scores.dtype)
        weights = drop(scores.softmax(-1), dropout, module.training)
        return torch.matmul(weights, value).transpose(1, 2).contiguous(), weights


AttentionInterface.register(ATTENTION, attend)
AttentionMaskInterface.register(ATTENTION, eager_mask)

"""The eager attention of transformers with light dropout, which trains faster on a CPU than torch's fused kernels.

Importing this module registers it under the name `ATTENTION`.
"""

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import eager_mask

from recipe.model.dropout import drop

ATTENTION = "eager_light_dropout"  # value of `attn_implementation` for `attend`


def attend(module, query, key, value, attention_mask, scaling=None, dropout=0.0, **_) -> tuple[torch.Tensor, ...]:
    """Attention with `drop` on its weights.

    query, key, value: (batch, heads, length, head size). Returns the output, (batch, length, heads, head size), and
    the attention weights, (batch, heads, length, length).
    """
    scaling = query.size(-1) ** -0.5 if scaling is None else scaling
    with torch.autocast(
        query.device.type, enabled=False
    ):  # it would store the weights in fp32: twice the memory traffic
        scores = torch.matmul(query * scaling, key.transpose(2, 3))
        if attention_mask is not None:
            # Masked positions have the lowest float32, which rounds to -inf in bf16. A fully masked row, such as
            # padding far from the last token with local attention, would then become NaN.
            scores = scores + attention_mask.clamp(min=torch.finfo(scores.dtype).min).to(scores.dtype)
        weights = drop(scores.softmax(-1), dropout, module.training)
        return torch.matmul(weights, value).transpose(1, 2).contiguous(), weights


def allow_cudnn(uniform: bool) -> None:
    """Let `sdpa` on a GPU use cuDNN only for batches of one shape.

    It is the fastest there, but needs milliseconds of the CPU for each layer and new shape of batch.
    """
    torch.backends.cuda.enable_cudnn_sdp(uniform)


AttentionInterface.register(ATTENTION, attend)
AttentionMaskInterface.register(ATTENTION, eager_mask)

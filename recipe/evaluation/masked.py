"""Scores of masked tokens: loss, perplexity and accuracy, averaged over all masked tokens."""

import math

import numpy as np
import torch
from transformers import EvalPrediction

from recipe.inputs.tokens import IGNORED
from recipe.model.sparse_head import find_positions, select_labelled


def score_positions(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Reduce logits to (blocks, length, 2): the loss in nats, and 1 if the best token is correct, else 0.

    logits: (blocks, length, vocabulary), or (masked tokens, vocabulary) from a sparse head.
    Both scores are 0 where `labels` (blocks, length) are -100.
    """
    positions = find_positions(labels)
    scores = torch.zeros(labels.numel(), 2, device=logits.device)
    wanted, found = labels.flatten()[positions], select_labelled(logits, positions).float()
    scores[positions] = torch.stack(
        [torch.nn.functional.cross_entropy(found, wanted, reduction="none"), (found.argmax(-1) == wanted).float()], -1
    )
    return scores.view(*labels.shape, 2)


def summarize_positions(output: EvalPrediction) -> dict[str, float]:
    """Loss (nats), perplexity and accuracy, averaged over all masked tokens.

    output: for each batch, the result of `score_positions` as predictions, and the labels.
    """
    batches = zip(output.predictions, output.label_ids, strict=True)
    scores = np.concatenate([scores[labels != IGNORED] for scores, labels in batches]).astype("float64")
    loss, accuracy = scores.mean(0).tolist()
    perplexity = math.exp(min(loss, 700))  # after a diverged training, exp would overflow
    return {"loss": loss, "perplexity": perplexity, "masked_accuracy": accuracy, "masked_tokens": len(scores)}

"""Scores of masked tokens: loss, perplexity and accuracy, averaged over all masked tokens."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from transformers import EvalPrediction

from recipe.errors import NOT_FINITE, RecipeError
from recipe.evaluation.buckets import name_range
from recipe.inputs.tokens import IGNORED
from recipe.model.sparse_head import find_positions, select_labelled

FREQUENCIES = (0, 1, 10, 100, 1000, 10000)  # lower ends of the groups of tokens by their number in training


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
    Raises RecipeError if the model predicts NaN.
    """
    scores, _ = _collect(output)
    loss, accuracy = scores.mean(0).tolist()
    if len(scores) and math.isnan(loss):
        raise RecipeError(NOT_FINITE)
    perplexity = math.exp(min(loss, 700))  # after a diverged training, exp would overflow
    return {"loss": loss, "perplexity": perplexity, "masked_accuracy": accuracy, "masked_tokens": len(scores)}


def break_down(
    output: EvalPrediction, is_piece: Sequence[bool], counts: np.ndarray | None = None
) -> dict[str, dict[str, Mapping[str, float]]]:
    """Loss, accuracy and number of masked tokens by part of the word, and by how often training has the token.

    output: see `summarize_positions`. is_piece: for each token id, whether it continues a word. counts: (vocabulary,)
    number of each token in training; None if it is not known. Groups without a masked token are left out.
    """
    scores, tokens = _collect(output)
    continues = np.asarray(is_piece)[tokens]
    groups = {"part": {"word starts": ~continues, "pieces": continues}}
    if counts is not None:
        place = np.searchsorted(FREQUENCIES, counts[tokens], side="right") - 1
        groups["times in training"] = {
            name_range(FREQUENCIES, group): place == group for group in range(len(FREQUENCIES))
        }
    return {
        grouping: {name: _average(scores[chosen]) for name, chosen in parts.items() if chosen.any()}
        for grouping, parts in groups.items()
    }


def _average(scores: np.ndarray) -> dict[str, float]:
    loss, accuracy = scores.mean(0).tolist()
    return {"loss": loss, "accuracy": accuracy, "tokens": len(scores)}


def _collect(output: EvalPrediction) -> tuple[np.ndarray, np.ndarray]:
    """The scores of all masked tokens, (tokens, 2), and their ids."""
    batches = list(zip(output.predictions, output.label_ids, strict=True))
    scores = np.concatenate([scores[labels != IGNORED] for scores, labels in batches]).astype("float64")
    return scores, np.concatenate([labels[labels != IGNORED] for _, labels in batches])

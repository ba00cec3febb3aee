"""Distillation: a student learns the soft labels of its teachers, on the training split and on unlabelled text.

Soft labels belong to words, so that student and teachers can have different tokenizers, windows and context.
Sources: Hinton et al. 2015 (temperature, sum of two losses); Sanh et al. 2019 (DistilBERT).
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch.nn.functional import kl_div

from recipe.data.documents import Document, list_tags
from recipe.inference.soft_labels import SoftLabels, join, keep_best
from recipe.inputs.tokens import IGNORED
from recipe.inputs.windows import Window
from recipe.model.sparse_head import find_positions, select_labelled
from recipe.training.loss import token_mean_loss

# How probable `O` is for a case marker. No student could reach 1 at a temperature above 1, and all would strive for it.
CERTAIN = 0.999


class _Table(NamedTuple):
    """For each row, its gold label id, `IGNORED` without one, and its soft labels (`SoftLabels`)."""

    gold: torch.Tensor
    ids: torch.Tensor
    logs: torch.Tensor


class Distillation:
    """What a student is trained on: documents, and for each of their words its gold label and its soft labels.

    The labels of a training batch are rows of a table: row 0 is a case marker, which is an `O`, and row n the word
    n - 1 of the documents. So batches are split, packed and counted as those of other trainings are.
    labels: by label id. train: documents with gold tags. unlabelled: documents whose tags do not count.
    soft: the soft labels of all words. weight, temperature: see `compute_loss`.
    """

    def __init__(
        self,
        labels: Sequence[str],
        train: Sequence[Document],
        unlabelled: Sequence[Document],
        soft: SoftLabels,
        weight: float,
        temperature: float,
    ):
        self.documents = [*train, *unlabelled]
        self._weight, self._temperature = weight, temperature
        numbers = {label: number for number, label in enumerate(labels)}
        tags = [numbers[tag] for tags in list_tags(train) for tag in tags]
        self.unlabelled_words = len(soft.ids) - len(tags)
        gold = [numbers["O"], *tags, *[IGNORED] * self.unlabelled_words]
        others = (1 - CERTAIN) / (len(labels) - 1)
        marker = keep_best(np.array([[CERTAIN if label == "O" else others for label in labels]]))
        ids, logs = join([marker, soft])
        self._table = _Table(
            torch.tensor(gold, dtype=torch.int16), torch.from_numpy(ids.astype(np.int16)), torch.from_numpy(logs)
        )

    def number_words(self, windows: Sequence[Window]) -> list[Window]:
        """Windows of `documents`, with the rows of the table as labels."""
        return [
            Window(
                input_ids=window["input_ids"],
                labels=[
                    IGNORED if label == IGNORED else word + 1
                    for label, word in zip(window["labels"], window["word_ids"], strict=True)
                ],
                word_ids=window["word_ids"],
                sentence_starts=window["sentence_starts"],
            )
            for window in windows
        ]

    def compute_loss(
        self,
        outputs,
        labels: torch.Tensor,
        num_items_in_batch: torch.Tensor | None = None,
        positions: torch.Tensor | None = None,
        exact_loss: Callable[..., torch.Tensor] = token_mean_loss,
    ) -> torch.Tensor:
        """(1 - weight) * cross-entropy + weight * temperature² * KL divergence, summed over the words of a batch.

        The sum is divided by `num_items_in_batch`, for which, and for outputs and positions, see `token_mean_loss`.
        labels: (batch, length), rows of the table, -100 where nothing is predicted.
        exact_loss: `token_mean_loss`, with its settings. It gives the cross-entropy, which unlabelled words lack.
        The divergence is that of the student's distribution from the teachers', both softened by the temperature.
        """
        if positions is None:
            positions = find_positions(labels)
        logits = select_labelled(outputs["logits"], positions).float()
        gold, ids, soft = self._look_up(labels.flatten().index_select(0, positions))
        count = torch.as_tensor(len(positions) if num_items_in_batch is None else num_items_in_batch)
        everywhere = torch.arange(len(gold), device=logits.device)
        hard = exact_loss({"logits": logits}, gold, count, positions=everywhere)
        wanted = (soft.float() / self._temperature).softmax(-1)
        found = (logits / self._temperature).log_softmax(-1).gather(-1, ids)
        distance = kl_div(found, wanted, reduction="sum") / count.to(logits.device).clamp(min=1)
        return (1 - self._weight) * hard + self._weight * self._temperature**2 * distance

    def _look_up(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The gold label ids, (rows,), and the ids and logarithms of the soft labels, (rows, kept)."""
        if self._table[0].device != rows.device:  # moved once: looking up on the CPU would make a GPU wait in each step
            self._table = _Table(*(part.to(rows.device) for part in self._table))
        gold, ids, logs = (part.index_select(0, rows) for part in self._table)
        return gold.long(), ids.long(), logs

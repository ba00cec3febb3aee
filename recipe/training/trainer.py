"""The one Trainer subclass: a loss exact in tokens, logits where they are needed, little padding, order kept."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import cached_property, partial

import numpy as np
from torch.utils.data import SequentialSampler
from transformers.trainer_utils import has_length

from recipe.inputs.tokens import IGNORED
from recipe.model.packing import Packer
from recipe.model.sparse_head import SparseHead
from recipe.training.batching import LengthGroupedSampler
from recipe.training.layer_decay import decay_rates
from recipe.training.loss import Loss, token_mean_loss
from recipe.training.processes import shard_by_layer
from recipe.training.resumption import EpochSampler, ResumableTrainer


class RecipeTrainer(ResumableTrainer):
    """A Trainer that resumes exactly, with `token_mean_loss`, whose predictions come in the order of their data set.

    loss: what is minimised, in place of `token_mean_loss`.
    sparse_head: compute logits at labelled positions only, for heads over a large vocabulary.
    """

    def __init__(self, *, args, loss: Loss = token_mean_loss, sparse_head: bool = False, **options):
        if loss is token_mean_loss:
            loss = partial(token_mean_loss, label_smoothing=args.label_smoothing_factor)
        super().__init__(args=args, compute_loss_func=loss, **options)
        self._sparse_head = SparseHead(self.model) if sparse_head else None

    def compute_loss(self, model, inputs, *args, **options):
        labelled = inputs["labels"] != IGNORED
        with self._sparse_head.at(labelled) if self._sparse_head else nullcontext():
            return super().compute_loss(model, inputs, *args, **options)

    def predict_logits(self, windows: Sequence[Mapping]) -> list[np.ndarray]:
        """The logits of `windows` at all their tokens, (windows, tokens, labels) for each batch, in order."""
        unlabelled = [{"input_ids": window["input_ids"]} for window in windows]  # so that nothing is scored here
        return self.predict(unlabelled).predictions

    def create_optimizer(self, model=None):
        given = self.optimizer is not None
        optimizer = super().create_optimizer(model)
        if self.args.layer_lr_decay != 1 and not given:
            decay_rates(optimizer, self.model if model is None else model, self.model, self.args.layer_lr_decay)
        return optimizer

    def _prepare_for_training(self, *args, **options):
        with shard_by_layer(self.model, getattr(self.accelerator.state, "fsdp_plugin", None)):
            return super()._prepare_for_training(*args, **options)

    @cached_property
    def _packer(self) -> Packer | None:
        return Packer(self.model) if self.args.pack_batches else None

    def training_step(self, model, inputs, num_items_in_batch=None):
        return super().training_step(model, self._packer(inputs) if self._packer else inputs, num_items_in_batch)

    def _get_train_sampler(self, train_dataset=None):
        # Trainer finds the lengths by fetching every example one by one; a column (or a plain list) is at hand at once.
        dataset = self.train_dataset if train_dataset is None else train_dataset
        if not has_length(dataset):
            return None
        if self.args.train_sampling_strategy != "group_by_length":
            return super()._get_train_sampler(dataset)
        batch = self.args.train_batch_size * self.args.gradient_accumulation_steps * self.args.world_size
        return EpochSampler(LengthGroupedSampler(_list_lengths(dataset), batch), self)

    def _get_eval_sampler(self, eval_dataset):
        # Trainer would shuffle here too under group_by_length: predictions written to a file would be misaligned.
        return SequentialSampler(eval_dataset) if has_length(eval_dataset) else None


def _list_lengths(dataset) -> list[int]:
    if isinstance(dataset, list):
        return [len(example["input_ids"]) for example in dataset]
    return [len(ids) for ids in dataset.with_format("arrow")[:]["input_ids"]]

"""The one Trainer subclass: a loss exact in tokens, logits where they are needed, little padding, order kept."""

from contextlib import nullcontext
from functools import cached_property, partial

import torch
from torch.nn.functional import cross_entropy
from torch.utils.data import SequentialSampler
from transformers.trainer_utils import has_length

from recipe.batching import LengthGroupedSampler
from recipe.distributed import shard_by_layer
from recipe.layer_decay import decay_rates
from recipe.packing import Packer
from recipe.resumption import EpochSampler, ResumableTrainer
from recipe.sparse_head import SparseHead, select_labelled
from recipe.tokens import IGNORED


def token_mean_loss(
    outputs, labels: torch.Tensor, num_items_in_batch: torch.Tensor | None = None, label_smoothing: float = 0.0
) -> torch.Tensor:
    """Cross-entropy summed over the labelled tokens of one batch, divided by `num_items_in_batch`.

    outputs["logits"]: (batch, length, classes), or (labelled tokens, classes) from a sparse head.
    labels: (batch, length), -100 where there is nothing to predict.
    num_items_in_batch: labelled tokens of the whole effective batch, over accumulation steps and processes, as Trainer
    counts them; of this batch if not given. Models that average inside would weigh each token by how many labelled
    ones happen to share its micro-batch, and Trainer does not divide what they return by the accumulation steps.
    """
    labelled = labels != IGNORED
    count = labelled.sum() if num_items_in_batch is None else num_items_in_batch
    logits = select_labelled(outputs["logits"], labelled).float()
    total = cross_entropy(logits, labels[labelled], reduction="sum", label_smoothing=label_smoothing)
    return total / torch.as_tensor(count, device=total.device).clamp(min=1)


class RecipeTrainer(ResumableTrainer):
    """A Trainer that resumes exactly, with `token_mean_loss`, whose predictions come in the order of their data set.

    sparse_head: compute logits at labelled positions only, for heads over a large vocabulary.
    """

    def __init__(self, *, args, sparse_head: bool = False, **options):
        loss = partial(token_mean_loss, label_smoothing=args.label_smoothing_factor)
        super().__init__(args=args, compute_loss_func=loss, **options)
        self._sparse_head = SparseHead(self.model) if sparse_head else None

    def compute_loss(self, model, inputs, *args, **options):
        labelled = inputs["labels"] != IGNORED
        with self._sparse_head.at(labelled) if self._sparse_head else nullcontext():
            return super().compute_loss(model, inputs, *args, **options)

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

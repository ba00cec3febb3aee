"""The Trainer of both scripts: exact token-level loss, sparse logits, packed batches, predictions in order."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import cached_property, partial
from typing import Any, cast

import numpy as np
from torch.utils.data import SequentialSampler
from transformers import PrinterCallback
from transformers.trainer_utils import has_length

from recipe.errors import RecipeError
from recipe.inputs.mixing import MixedWindows
from recipe.model.attention import allow_cudnn
from recipe.model.compilation import compile_layers
from recipe.model.packing import Packer
from recipe.model.sparse_head import SparseHead, find_positions
from recipe.training.batching import LengthGroupedSampler
from recipe.training.collation import POSITIONS, BatchPreparer
from recipe.training.distillation import Distillation
from recipe.training.divergence import DivergenceGuard
from recipe.training.layer_decay import decay_rates
from recipe.training.loss import Loss, token_mean_loss
from recipe.training.processes import shard_by_layer
from recipe.training.progress import StepPrinter
from recipe.training.resumption import EpochSampler, ResumableTrainer
from recipe.training.tracking import begin_tensorboard

FEWEST_STEPS = 100
logger = logging.getLogger(__name__)


class RecipeTrainer(ResumableTrainer):
    """A Trainer with exact resumption and `token_mean_loss`; predictions are in the order of their data set.

    loss: your own loss, instead of `token_mean_loss`. class_weights: weight of each class in `token_mean_loss`.
    distillation: what the training batches have been numbered by; its loss is then that of training.
    sparse_head: compute logits at labelled positions only, for heads with a large vocabulary.
    uniform: almost all batches have the same shape.
    """

    def __init__(
        self,
        *,
        args,
        loss: Loss = token_mean_loss,
        class_weights: Sequence[float] | None = None,
        distillation: Distillation | None = None,
        sparse_head: bool = False,
        uniform: bool = False,
        **options,
    ):
        self._exact_loss: Loss | None = None
        if loss is token_mean_loss:
            smoothing = args.label_smoothing_factor
            loss = self._exact_loss = partial(token_mean_loss, label_smoothing=smoothing, class_weights=class_weights)
        elif distillation:
            raise RecipeError("teacher: cannot be combined with a loss of your own: remove one of them")
        super().__init__(args=args, compute_loss_func=loss, **options)
        self._distillation = distillation
        if self.pop_callback(PrinterCallback):  # there are no progress bars
            self.add_callback(StepPrinter())
        self._guard = DivergenceGuard(args.fp16)
        self._sparse_head = SparseHead(self.model) if sparse_head else None
        if args.compile_layers:
            compile_layers(self.model)
        if not args.use_cpu:
            allow_cudnn(uniform)
        if not args.do_train:
            begin_tensorboard(self)

    def compute_loss(self, model, inputs, *args, **options):
        distillation = self._distillation if POSITIONS in inputs else None  # training batches have them
        positions = inputs.pop(POSITIONS, None)
        if positions is None:
            positions = find_positions(inputs["labels"])
        if distillation and self._exact_loss:
            self.compute_loss_func = partial(
                distillation.compute_loss, positions=positions, exact_loss=self._exact_loss
            )
        elif self._exact_loss:
            self.compute_loss_func = partial(self._exact_loss, positions=positions)
        with self._sparse_head.at(positions) if self._sparse_head else nullcontext():
            return super().compute_loss(model, inputs, *args, **options)

    def predict_logits(self, windows: Sequence[Mapping]) -> list[np.ndarray]:
        """The logits of all tokens of `windows`, in order: one array of (windows, tokens, labels) for each batch."""
        unlabelled: Any = [{"input_ids": window["input_ids"]} for window in windows]  # without labels nothing is scored
        return cast("list[np.ndarray]", self.predict(unlabelled).predictions)  # eval_do_concat_batches is off

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
        return Packer(self.model, align=not self.args.use_cpu) if self.args.pack_batches else None

    def get_train_dataloader(self):
        mixed, several = isinstance(self.train_dataset, MixedWindows), self.args.world_size > 1
        self.prepare_batch = BatchPreparer(self.model, self._packer, mixed, several)
        collate = self.data_collator
        self.data_collator = self.prepare_batch.wrap(collate)
        try:
            return super().get_train_dataloader()
        finally:
            self.data_collator = collate

    def training_step(self, model, inputs, num_items_in_batch=None):
        if self._packer and "segments" in inputs:
            inputs["attention_mask"] = self._packer.mask(inputs.pop("segments").to(self.args.device))
        loss = super().training_step(model, inputs, num_items_in_batch)
        self._guard.count(loss)
        if self._guard.is_due(self.state.global_step):
            self.refuse_divergence(weights=False)
        return loss.nan_to_num() if self.args.fp16 else loss  # for the log: fp16 may lose some losses

    def refuse_divergence(self, weights: bool = True) -> None:
        """Raise LocalError if the loss, or with `weights` a weight, is no longer finite."""
        rate = float(self.lr_scheduler.get_last_lr()[-1]) if self.lr_scheduler else self.args.learning_rate
        model = self.model if weights and not self.is_fsdp_enabled else None  # each process has a part
        self._guard.check(self.state.global_step, rate, model)

    def _init_training_state(self, max_steps, *args, **options):
        if self.args.max_steps <= 0 and max_steps < FEWEST_STEPS:
            logger.warning(
                "the training has only %d steps, which is rarely enough: set max_steps, a smaller batch or more epochs",
                max_steps,
            )
        return super()._init_training_state(max_steps, *args, **options)

    def _save_checkpoint(self, model, trial):
        self.refuse_divergence()
        super()._save_checkpoint(model, trial)

    def _get_train_sampler(self, train_dataset=None):
        # Trainer would fetch every example to find its length; reading a column is much faster.
        dataset = self.train_dataset if train_dataset is None else train_dataset
        if not has_length(dataset):
            return None
        if self.args.train_sampling_strategy != "group_by_length":
            return super()._get_train_sampler(dataset)
        batch = self.args.train_batch_size * self.args.gradient_accumulation_steps * self.args.world_size
        return EpochSampler(LengthGroupedSampler(_list_lengths(dataset), batch), self)

    def _get_eval_sampler(self, eval_dataset):
        # With group_by_length, Trainer would shuffle here too, and written predictions would be misaligned.
        return SequentialSampler(eval_dataset) if has_length(eval_dataset) else None


def _list_lengths(dataset) -> list[int]:
    if isinstance(dataset, list):
        return [len(example["input_ids"]) for example in dataset]
    if isinstance(dataset, MixedWindows):
        return dataset.lengths
    return [len(ids) for ids in dataset.with_format("arrow")[:]["input_ids"]]

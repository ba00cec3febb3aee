"""Settings tried before data are read: the Trainer's on a few weights, and those of a new model on a tiny batch."""

import copy
import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint
from transformers import MODEL_MAPPING, PreTrainedConfig, PreTrainedModel, Trainer
from transformers.utils import is_liger_kernel_available
from transformers.utils.logging import disable_progress_bar, enable_progress_bar, is_progress_bar_enabled

from recipe.errors import RecipeError
from recipe.training.settings import TrainingArguments

STEPS = 10  # of the trial's schedule
BATCH = (2, 8)  # rows and tokens of the tiny batch
OWN_OPTIONS = {"every_n_layers", "offload"}  # of activation checkpointing, which transformers does not pass on


def try_trainer(args: TrainingArguments) -> None:
    """Build a Trainer with these settings, and do one step.

    Raises RecipeError, with the reason of the library, if the settings do not work or a package is missing.
    """
    if args.use_liger_kernel and not is_liger_kernel_available():
        raise RecipeError("use_liger_kernel: liger-kernel is not installed: install it with pip, or remove the setting")
    args = copy.copy(args)
    args.push_to_hub = False  # nothing is pushed in a trial
    model = torch.nn.Linear(2, 2)
    model.config = PreTrainedConfig()  # type: ignore[assignment]  # the Trainer looks into it for some settings
    what = "settings of the Trainer"
    try:
        trainer = Trainer(model, args, train_dataset=[{}], eval_dataset=[{}])  # type: ignore[arg-type]
        if args.activation_checkpointing:
            what = "activation_checkpointing_kwargs"
            checkpoint(torch.nn.Identity(), torch.ones(1, requires_grad=True), **_list_options(args))
        what = f"optim {getattr(args.optim, 'value', args.optim)}"
        optimizer = trainer.create_optimizer()
        what = f"lr_scheduler_type {getattr(args.lr_scheduler_type, 'value', args.lr_scheduler_type)}"
        scheduler = trainer.create_scheduler(STEPS)
        model.to(args.device)(torch.ones(1, 2, device=args.device)).sum().backward()
        optimizer.step()
        if args.lr_scheduler_type != "reduce_lr_on_plateau":  # steps at evaluations
            scheduler.step()
    except Exception as error:  # each library has its own
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise RecipeError(f"{what}: {reason}: change or remove the setting") from error


def _list_options(args: TrainingArguments) -> dict:
    """The options of `torch.utils.checkpoint`: transformers keeps two to itself, and sets one if none is given."""
    given: Any = args.activation_checkpointing_kwargs or {}
    return {key: value for key, value in given.items() if key not in OWN_OPTIONS} or {"use_reentrant": False}


def check_checkpointing(args: TrainingArguments, config: PreTrainedConfig) -> None:
    """Raise RecipeError if activation checkpointing is on, and the architecture does not support it."""
    model: Any = MODEL_MAPPING.get(type(config), None)  # None for an architecture that transformers does not have
    if args.activation_checkpointing and model and not model.supports_gradient_checkpointing:
        raise RecipeError(f"activation_checkpointing: not supported for {config.model_type}: remove the setting")


def try_model(
    build: Callable[[PreTrainedConfig], PreTrainedModel], config: PreTrainedConfig, args: TrainingArguments, source: str
) -> None:
    """Build a new model, and do a forward pass, a backward pass and a save. The state of random generators is kept.

    source: the settings that the configuration comes from, for the error.
    Raises RecipeError if the parts of the configuration do not fit together.
    """
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(args.mixed_precision)
    config = copy.deepcopy(config)
    size = getattr(config, "vocab_size", None)
    if not isinstance(size, int):
        raise RecipeError(f"{source}: {config.model_type} has no vocabulary of its own to start from scratch with")
    if (getattr(config, "pad_token_id", None) or 0) >= size:
        config.pad_token_id = 0  # that of the tokenizer, which is not known yet, replaces it
    # Warnings come again when the model is built to be trained.
    with torch.random.fork_rng(), _quietly(), tempfile.TemporaryDirectory() as folder:
        model = build(config).to(args.device)  # type: ignore[arg-type]
        try:
            ids = torch.full(BATCH, min(5, size - 1), device=args.device)
            with torch.autocast(args.device.type, dtype=dtype, enabled=dtype is not None):
                logits = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
            logits.float().mean().backward()
            model.save_pretrained(folder)
        except Exception as error:  # whatever the code of the model raises
            reason = " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__
            raise RecipeError(f"{source}: a model of this configuration cannot be trained: {reason}: fix it") from error


@contextmanager
def _quietly() -> Iterator[None]:
    """A context without warnings and progress bars."""
    before, bars = logging.root.manager.disable, is_progress_bar_enabled()
    logging.disable(max(before, logging.WARNING))
    disable_progress_bar()
    try:
        yield
    finally:
        logging.disable(before)
        if bars:
            enable_progress_bar()

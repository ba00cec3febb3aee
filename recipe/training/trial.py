"""A Trainer, its optimizer and its scheduler, tried on a model of a few weights before anything loads."""

import copy

import torch
from transformers import Trainer
from transformers.utils import is_liger_kernel_available

from recipe.errors import RecipeError
from recipe.training.settings import TrainingArguments

STEPS = 10  # of the trial's schedule


def try_trainer(args: TrainingArguments) -> None:
    """Build a Trainer with these settings, and do one step.

    Raises RecipeError, with the reason of the library, if the settings do not work or a package is missing.
    """
    if args.use_liger_kernel and not is_liger_kernel_available():
        raise RecipeError("use_liger_kernel: liger-kernel is not installed: install it with pip, or remove the setting")
    args = copy.copy(args)
    args.push_to_hub = False  # nothing is pushed in a trial
    model = torch.nn.Linear(2, 2)
    what = "settings of the Trainer"
    try:
        trainer = Trainer(model, args, train_dataset=[{}], eval_dataset=[{}])  # type: ignore[arg-type]
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

"""The range of each number among the Trainer's settings, which transformers does not check."""

import math
from collections.abc import Callable
from typing import Any

LARGEST_SEED = 2**32 - 1  # numpy accepts no larger one
Check = Callable[[Any], bool]
POSITIVE: tuple[Check, str] = (lambda value: value > 0, "above 0")
NOT_NEGATIVE: tuple[Check, str] = (lambda value: value >= 0, "at least 0")
SHARE: tuple[Check, str] = (lambda value: 0 <= value < 1, "at least 0 and below 1")
SEED: tuple[Check, str] = (lambda value: 0 <= value <= LARGEST_SEED, f"a whole number between 0 and {LARGEST_SEED}")
RANGES: dict[str, tuple[Check, str]] = {
    "learning_rate": NOT_NEGATIVE,
    "weight_decay": NOT_NEGATIVE,
    "adam_beta1": SHARE,
    "adam_beta2": SHARE,
    "adam_epsilon": POSITIVE,
    "max_grad_norm": NOT_NEGATIVE,
    "label_smoothing_factor": SHARE,
    "warmup_steps": NOT_NEGATIVE,
    "num_train_epochs": POSITIVE,
    "max_steps": (lambda value: value == -1 or value > 0, "above 0, or -1 to train by epochs"),
    "logging_steps": POSITIVE,
    "eval_steps": POSITIVE,
    "save_steps": POSITIVE,
    "save_total_limit": POSITIVE,
    "dataloader_num_workers": NOT_NEGATIVE,
    "dataloader_prefetch_factor": POSITIVE,
    "eval_accumulation_steps": POSITIVE,
    "ddp_timeout": POSITIVE,
    "seed": SEED,
    "data_seed": SEED,
}


def check_ranges(values: dict[str, Any]) -> None:
    """Raise ValueError for the first setting that is out of its range, or that is no finite number."""
    for name, value in values.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{name}: {value} is not a finite number")
        check, expected = RANGES.get(name, (None, ""))
        if check and value is not None and not check(value):
            raise ValueError(f"{name}: {value} is out of range: it must be {expected}")

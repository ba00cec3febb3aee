"""A loaded model in the precision and on the device that it runs on."""

from typing import TypeVar

import torch
from transformers import PreTrainedModel

from recipe.errors import RecipeError
from recipe.precision import choose_precision

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
Model = TypeVar("Model", bound=PreTrainedModel)


def place_model(model: Model, precision: str = "auto", device: str | None = None) -> Model:
    """Move a model to `device` (default: a GPU if there is one, else the CPU) and convert its weights.

    precision: fp32, bf16, fp16, or "auto", which is bf16 if the hardware supports it, else fp32.
    Raises RecipeError for another precision, and for a device that this machine does not have.
    """
    if precision not in ("auto", *DTYPES):
        hint = ": make an export (docs/export.md)" if precision == "int8" else ""
        raise RecipeError(f"precision: {precision} is not one of auto {' '.join(DTYPES)}{hint}")
    try:
        place = torch.device(device or torch.accelerator.current_accelerator() or "cpu")
        torch.empty(0, device=place)
    except Exception as error:  # each kind of device has errors of its own
        reason = " ".join(str(error).split())[:100]
        raise RecipeError(f"device: {device} cannot be used ({reason}): choose another one, such as cpu") from None
    chosen, _ = choose_precision(precision, on_cpu=place.type == "cpu")
    # pyrefly: ignore[bad-argument-type]  # PreTrainedModel.to is wrapped, and seems to take `self` from the call
    return model.to(place, DTYPES[chosen]).eval()

"""A torch model as a backend: in the precision and on the device that it runs on."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedConfig, PreTrainedModel

from recipe.inference.backends import BATCH_TOKENS, Batch
from recipe.inference.placing import place_model
from recipe.model.attention import allow_cudnn
from recipe.model.compilation import compile_layers, keep_compiled
from recipe.model.loading import load_model, refuse_untrained
from recipe.model.settings import ModelArguments
from recipe.precision import fast_matmul

GPU_TOKENS = 32768  # in a batch, padding included


class TorchBackend:
    """A torch model that is in evaluation mode, on its own device."""

    def __init__(self, model: PreTrainedModel):
        self.model = model
        self.batch_tokens = BATCH_TOKENS if model.device.type == "cpu" else GPU_TOKENS

    def run(self, batches: Iterable[Batch]) -> Iterator[np.ndarray]:
        """The logits of each batch. A GPU computes the next batch while you use one."""
        device, waiting = self.model.device, None
        allow_cudnn(uniform=False)
        for batch in batches:
            with torch.inference_mode(), fast_matmul(self.model.dtype == torch.float32):
                logits = self.model(**_move(batch, device)).logits
            if waiting is not None:
                yield waiting.float().cpu().numpy()
            waiting = logits
        if waiting is not None:
            yield waiting.float().cpu().numpy()


def _move(batch: Batch, device: torch.device) -> dict[str, torch.Tensor]:
    """A batch on `device`; to a GPU, it is copied without waiting for what the GPU is doing."""
    tensors = {name: torch.from_numpy(values) for name, values in batch.items()}
    if device.type != "cuda":
        return {name: values.to(device) for name, values in tensors.items()}
    return {name: values.pin_memory().to(device, non_blocking=True) for name, values in tensors.items()}


def load_torch(
    auto_class: Any,
    arguments: ModelArguments,
    config: PreTrainedConfig,
    precision: str,
    device: str | None,
    compiled: bool = False,
) -> TorchBackend:
    """Load a model with `auto_class` (`AutoModelFor...`); see `place_model` for `precision` and `device`.

    Raises RecipeError if its head has no weights, or if it is to be compiled, and there is no compiler.
    """
    model = load_model(auto_class, arguments, config)
    refuse_untrained(model, arguments.model_name_or_path)
    model = place_model(model, precision, device)
    if compiled:
        keep_compiled()
        compile_layers(model, dynamic=True)
    return TorchBackend(model)

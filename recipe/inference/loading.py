"""Loading what computes the logits of a finished model: a torch model, or an export of it."""

from typing import Any

from transformers import PreTrainedConfig

from recipe.errors import RecipeError
from recipe.inference.backends import Backend
from recipe.inference.exports import GRAPHS, load_graph, read_export
from recipe.model.settings import ModelArguments


def load_backend(
    auto_class: Any,
    arguments: ModelArguments,
    config: PreTrainedConfig,
    precision: str = "auto",
    device: str | None = None,
    threads: int | None = None,
) -> Backend:
    """Load the model `model_name_or_path`, or an export, as `Tagger.load` describes.

    auto_class: the `AutoModelFor...` of a torch model. config: its configuration.
    Raises RecipeError if it cannot be loaded, or not in this precision, on this device or with these threads.
    """
    if threads is not None and not (isinstance(threads, int) and threads >= 1):
        raise RecipeError(f"threads: {threads!r} is not valid: expected a whole number of at least 1")
    name, export = arguments.model_name_or_path, read_export(config)
    if export and precision not in ("auto", export.precision):
        raise RecipeError(f"{name}: is an export in {export.precision}: leave precision at auto")
    if export and export.backend in GRAPHS:
        if device not in (None, "cpu"):
            raise RecipeError(f"{name}: is an export that runs on the CPU: leave out the device {device}")
        return load_graph(export, arguments, threads)
    try:
        from recipe.inference.torch_backend import load_torch
    except ImportError as error:
        raise RecipeError(f"{name}: {error.name} is not installed: install it, or use an export for onnx") from None
    return load_torch(auto_class, arguments, config, export.precision if export else precision, device)

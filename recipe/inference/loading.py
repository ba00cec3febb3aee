"""Loading what computes the logits of a finished model: a torch model, or an export of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from transformers import PreTrainedConfig

from recipe.command_line import VerbParser
from recipe.errors import RecipeError
from recipe.inference.backends import Backend
from recipe.inference.exports import (
    EXPORTS,
    GRAPHS,
    Export,
    check_threads,
    check_whole,
    find_folder,
    is_export,
    list_exports,
    load_graph,
    read_export,
)
from recipe.model.settings import ModelArguments


def add_loading(parser: VerbParser, auto: str = "bf16 if the hardware supports it, else fp32") -> None:
    """The options of verbs that load a finished model. auto: what the precision `auto` is, of one on torch."""
    parser.add_argument(
        "--precision",
        choices=("auto", "fp32", "bf16", "fp16"),
        default="auto",
        help=f"precision of the weights; auto (default) is that of an export, else {auto}",
    )
    parser.add_argument("--export", help="an export of the model, such as onnx-int8")


def name_model(name: str | Path, export: str | None, **options: Any) -> ModelArguments:
    """The settings that load a model, or with `export`, such as `onnx-int8`, that export of the model.

    name: folder of a run, checkpoint or export, or a Hub id. options: other fields of `ModelArguments`.
    Raises RecipeError for other options and other kinds of names, if there is no such export, and if it is damaged.
    """
    if unknown := set(options) - {field.name for field in fields(ModelArguments)}:
        raise RecipeError(f"{name}: unknown options: {' '.join(sorted(unknown))}: leave them out")
    if not isinstance(name, str | Path):
        raise RecipeError(f"{name}: expected the folder or Hub id of a model, as text or path")
    arguments = ModelArguments(model_name_or_path=str(name), **options)
    if export is not None:
        return replace(arguments, model_name_or_path=str(find_folder(export, arguments)))
    if is_export(Path(name)):
        check_whole(Path(name))
    return arguments


def load_backend(
    auto_class: Any,
    arguments: ModelArguments,
    config: PreTrainedConfig,
    precision: str = "auto",
    device: str | None = None,
    threads: int | None = None,
    compiled: bool = False,
) -> Backend:
    """Load the tagger `model_name_or_path`, or an export, as `Tagger.load` describes.

    auto_class: the `AutoModelFor...` of a torch model. config: its configuration.
    Raises RecipeError if it cannot be loaded, or not in this precision, on this device or with these threads.
    """
    name = str(arguments.model_name_or_path)
    export = find_export("TokenClassification", name, config, precision, device, threads)
    if export and export.backend in GRAPHS:
        if compiled:
            raise RecipeError(f"{name}: is an export, which torch.compile does not know: leave out compiled")
        return load_graph(export, arguments, threads)
    with needing_torch(name):
        from recipe.inference.torch_backend import load_torch
    return load_torch(auto_class, arguments, config, export.precision if export else precision, device, compiled)


def find_export(
    head: str, name: str, config: PreTrainedConfig, precision: str, device: str | None, threads: int | None
) -> Export | None:
    """The export that `config`, the configuration of the model `name`, is of; None for a model that is not exported.

    head: part of the name of the architectures that can be used.
    Raises RecipeError for an export of another kind of model, and if it does not run in this precision, on this device
    or with a number of threads of its own.
    """
    check_threads(threads)
    export = read_export(config)
    if threads is not None and (export is None or export.backend not in GRAPHS):
        raise RecipeError(f"{name}: runs on torch, whose threads OMP_NUM_THREADS sets: leave out threads")
    if export is None:
        return None
    if not any(head in architecture for architecture in config.architectures or ()):
        raise RecipeError(f"{name}: is an export of {' '.join(config.architectures or ())}: choose one of a {head}")
    if precision not in ("auto", export.precision):
        raise RecipeError(f"{name}: is an export in {export.precision}: leave precision at auto")
    if export.backend in GRAPHS and device not in (None, "cpu"):
        raise RecipeError(f"{name}: is an export that runs on the CPU: leave out the device {device}")
    return export


@contextmanager
def needing_torch(name: str) -> Iterator[None]:
    """A context of imports. Raises RecipeError if torch, which the model `name` runs on, is not installed."""
    try:
        yield
    except ImportError as error:
        made = [one.name for one in list_exports() if one.backend in GRAPHS and Path(name, EXPORTS, one.name).exists()]
        other = f"the export {made[0]}" if made else "an export for ONNX Runtime or OpenVINO (docs/export.md)"
        raise RecipeError(f"{name}: {error.name} is not installed: install it, or use {other}") from None

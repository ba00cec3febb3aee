"""A torch model -> an export, by the exporters of transformers; in int8 by the quantizers of ONNX Runtime and NNCF."""

import copy
import inspect
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from transformers import PreTrainedModel
from transformers.modeling_outputs import MaskedLMOutput

from recipe.errors import RecipeError
from recipe.inference.backends import Batch
from recipe.inference.exports import GRAPHS, Export
from recipe.inference.placing import place_model
from recipe.model.causality import make_causal
from recipe.model.objective import read_pretraining
from recipe.model.sparse_head import SparseHead, select_labelled

Item = TypeVar("Item")
SAMPLE = (2, 12)  # rows and tokens of the input that the model is traced with: both dimensions must be at least 2


def convert(
    model: PreTrainedModel, export: Export, folder: Path, batches: Sequence[Batch] = (), kept: Sequence[int] = ()
) -> None:
    """Write the weights of an export to `folder`: a graph whose numbers of rows and tokens are free, or a torch model.

    model: in float32, on the CPU, with the attention `eager` or `sdpa`; a masked language model after `take_positions`.
    batches: int8: inputs to calibrate with. kept: int8: numbers of linear layers that stay in fp32; see `rank_layers`.
    Raises RecipeError if a package is missing or the model cannot be converted.
    """
    try:
        if export.backend == "torch":
            place_model(copy.deepcopy(model), export.precision, "cpu").save_pretrained(folder)
            return
        with _quiet():
            sample = _make_sample(model)
            exporter, config = _choose_exporter(export, sample)
            program = exporter.export(model, sample, config).program
            if export.precision == "int8":
                program = _quantize(export, program, [to_torch(batch) for batch in batches], kept)
            folder.mkdir(parents=True, exist_ok=True)
            exporter.save_program(program, folder / GRAPHS[export.backend])
    except ImportError as error:
        raise RecipeError(f"{export.name}: {error}: run pip install -e '.[export]'") from None
    except Exception as error:  # exporters and quantizers raise anything for a model that they do not know
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise RecipeError(f"{export.name}: {model.config.model_type} cannot be exported ({reason})") from error


def take_positions(model: PreTrainedModel) -> None:
    """Give a masked language model a third input, in place: `positions`, see `find_places`; its logits are of these.

    A causal model stays causal.
    """
    if read_pretraining(model.config).is_causal:
        make_causal(model)
    head, forward = SparseHead(model), model.forward

    def predict(input_ids: torch.Tensor, attention_mask: torch.Tensor, positions: torch.Tensor) -> MaskedLMOutput:
        with head.at(positions):
            logits = forward(input_ids=input_ids, attention_mask=attention_mask).logits
        return MaskedLMOutput(logits=select_labelled(logits, positions))

    model.forward = predict


def _choose_exporter(export: Export, sample: dict[str, torch.Tensor]) -> tuple[Any, Any]:
    from transformers import exporters

    shapes = {name: dict.fromkeys(range(values.dim()), torch.export.Dim.AUTO) for name, values in sample.items()}
    if export.backend == "onnx":
        return exporters.OnnxExporter(), exporters.OnnxConfig(dynamic_shapes=shapes)
    return exporters.OpenVINOExporter(), exporters.OpenVINOConfig(dynamic_shapes=shapes)


def _make_sample(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """An input of `SAMPLE` tokens, none of which is padding; of a masked language model, some positions too."""
    padding = model.config.pad_token_id
    ids = torch.arange(model.config.vocab_size)
    ids = ids[ids != (-1 if padding is None else padding)][: SAMPLE[0] * SAMPLE[1]]
    inputs = {"input_ids": ids.resize_(SAMPLE), "attention_mask": torch.ones(SAMPLE, dtype=torch.long)}
    return inputs | ({"positions": torch.tensor([1, 3, 14])} if takes_positions(model) else {})


def takes_positions(model: PreTrainedModel) -> bool:
    """Whether `take_positions` was called for a model."""
    return "positions" in inspect.signature(model.forward).parameters


def to_torch(batch: Batch) -> dict[str, torch.Tensor]:
    """The inputs of a torch model on the CPU."""
    return {name: torch.from_numpy(values) for name, values in batch.items()}


def _quantize(export: Export, program: Any, batches: list[dict[str, torch.Tensor]], kept: Sequence[int]) -> Any:
    """A graph whose linear layers compute in int8, except those whose numbers are in `kept`."""
    from transformers import exporters

    if export.backend == "onnx":
        names = _name_layers(_list_onnx_layers(program), kept)
        options = exporters.OnnxRuntimeDynamicConfig(
            per_channel=True, op_types_to_quantize=["MatMul", "Gemm"], nodes_to_exclude=names
        )
        quantizer: Any = exporters.OnnxRuntimeQuantizer(options)
    else:
        import nncf

        names = _name_layers(_list_openvino_layers(program), kept)
        scope = nncf.IgnoredScope(names=names) if names else None
        options = exporters.NNCFQuantizationConfig(ignored_scope=scope, subset_size=len(batches))
        quantizer = exporters.NNCFOpenVINOQuantizer(options, calibration_dataset=batches)
    return quantizer.quantize(program, batches[0], exporters.ExportFormat(export.backend))


def _name_layers(names: list[str], kept: Sequence[int]) -> list[str]:
    return [names[number] for number in kept if number < len(names)]


def _list_onnx_layers(program: Any) -> list[str]:
    """The nodes of an ONNX graph that multiply by a weight, in the order of computation."""
    nodes = [node for node in program.graph if node.op_type in ("MatMul", "Gemm")]
    return [node.name for node in nodes if node.inputs[1].const_value is not None]


def _list_openvino_layers(program: Any) -> list[str]:
    """The same for an OpenVINO graph."""
    nodes = [node for node in program.get_ordered_ops() if node.get_type_name() == "MatMul"]
    return [node.get_friendly_name() for node in nodes if _is_constant(node.input_value(1).get_node())]


def _is_constant(node: Any) -> bool:
    """Whether a node of OpenVINO is a constant, or one that is only converted or turned."""
    while node.get_type_name() in ("Convert", "Transpose"):
        node = node.input_value(0).get_node()
    return node.get_type_name() == "Constant"


@contextmanager
def _quiet() -> Iterator[None]:
    """A context without the progress and warnings of exporters, which do not concern the user of a model."""
    before = logging.root.manager.disable
    with warnings.catch_warnings(), redirect_stdout(StringIO()):
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(before)


def take_sample(items: Sequence[Item], count: int) -> list[Item]:
    """About `count` items at even distances."""
    places = np.linspace(0, len(items) - 1, min(count, len(items))).round().astype(int)
    return [items[place] for place in places]

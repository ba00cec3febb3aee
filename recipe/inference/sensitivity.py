"""Which layers of a model suffer most from int8: each alone is rounded, and the change of the logits measured."""

from collections.abc import Sequence

import torch
from transformers import PreTrainedModel

from recipe.precision import fast_matmul


def rank_layers(model: PreTrainedModel, batches: Sequence[dict[str, torch.Tensor]]) -> list[int]:
    """The numbers of the linear layers, in the order in which they are computed, from the most sensitive to the least.

    batches: inputs of the model. Weights are rounded per output channel, activations per tensor, as the quantizers of
    ONNX Runtime and OpenVINO do.
    """
    layers = list_layers(model, batches[0])
    with torch.inference_mode(), fast_matmul(True):
        exact = [model(**batch).logits for batch in batches]
        changes = []
        for layer in layers:
            weight, layer.weight.data = layer.weight.data, round_channels(layer.weight.data)
            hook = layer.register_forward_pre_hook(lambda _, inputs: (round_tensor(inputs[0]), *inputs[1:]))
            changes.append(sum(_measure(model, batch, one) for batch, one in zip(batches, exact, strict=True)))
            hook.remove()
            layer.weight.data = weight
    return sorted(range(len(layers)), key=lambda number: -changes[number])


def list_layers(model: PreTrainedModel, batch: dict[str, torch.Tensor]) -> list[torch.nn.Linear]:
    """The linear layers of a model, in the order in which they are computed."""
    layers: list[torch.nn.Linear] = []
    hooks = [
        module.register_forward_pre_hook(lambda layer, _: layers.append(layer))
        for module in model.modules()
        if isinstance(module, torch.nn.Linear)
    ]
    with torch.inference_mode():
        model(**batch)
    for hook in hooks:
        hook.remove()
    return layers


def _measure(model: PreTrainedModel, batch: dict[str, torch.Tensor], exact: torch.Tensor) -> float:
    """The sum of squared changes of the logits, padding left out."""
    changes = (model(**batch).logits - exact).square().sum(-1)
    return float((changes * (1 if "positions" in batch else batch["attention_mask"])).sum())


def round_channels(weight: torch.Tensor) -> torch.Tensor:
    """A weight (outputs, inputs) rounded to 255 values, symmetric around 0, for each output."""
    scale = weight.abs().amax(1, keepdim=True).clamp(min=torch.finfo(weight.dtype).tiny) / 127
    return (weight / scale).round() * scale


def round_tensor(values: torch.Tensor) -> torch.Tensor:
    """Values rounded to 256 steps between the lowest and the highest of them."""
    low, high = values.min().clamp(max=0), values.max().clamp(min=0)
    scale = (high - low).clamp(min=torch.finfo(values.dtype).tiny) / 255
    return (values / scale).round() * scale

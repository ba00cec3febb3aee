"""Compiling the layers of a model with torch.compile.

Each layer is compiled for itself, in place: all layers share one compiled graph, so start-up takes seconds rather than
minutes, and weights and their names do not change.
"""

from torch import nn


def compile_layers(model: nn.Module) -> None:
    """Compile the repeated layers of `model` in place. The first step at each new kind of batch takes longer."""
    for module in model.modules():
        if isinstance(module, nn.ModuleList) and len({type(layer) for layer in module}) == 1:
            for layer in module:
                layer.compile()

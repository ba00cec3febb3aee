"""Learning rates that fall from the head to the embeddings: the layer-wise decay of ELECTRA (Clark et al. 2020).

What lies near the task must change most, and what much text has taught least: a new head may learn fast above an
encoder that learns slowly.
"""

import re

import torch
from torch import nn
from transformers import PreTrainedModel

from recipe.errors import RecipeError

WRAPPER = "_fsdp_wrapped_module."  # in the names of what FSDP 1 has wrapped


def decay_rates(optimizer: torch.optim.Optimizer, model: nn.Module, encoder: PreTrainedModel, decay: float) -> None:
    """Split the groups of `optimizer` by depth: what lies `depth` layers below the head learns at lr * decay ** depth.

    model: what the optimizer was made for, `encoder` or a wrapper of it. The head has depth 0, the topmost layer 1, the
    embeddings, and what else the encoder keeps outside its layers, one more than the lowest layer.
    Raises RecipeError if the encoder has no list of its layers.
    """
    layers = find_layers(encoder)
    if layers is None:
        kind = encoder.config.model_type
        raise RecipeError(f"layer_lr_decay: {kind} has no list of its layers to lower the rates of: leave it at 1")
    count = encoder.config.num_hidden_layers
    pattern = re.compile(rf"(?:^|\.)(?:{re.escape(layers)}\.(?P<layer>\d+)\.|{encoder.base_model_prefix}\.)")

    def find_depth(name: str) -> int:
        found = pattern.search(name.replace(WRAPPER, ""))
        if not found:
            return 0
        return count + 1 if found["layer"] is None else count - int(found["layer"])

    depths = {parameter: find_depth(name) for name, parameter in model.named_parameters()}
    groups = []
    for group in optimizer.param_groups:
        for depth in {depths[parameter] for parameter in group["params"]}:
            members = [parameter for parameter in group["params"] if depths[parameter] == depth]
            groups.append(group | {"params": members, "lr": group["lr"] * decay**depth})
    # Trainer logs the rate of the first group: the head's, which is the one that was asked for.
    optimizer.param_groups[:] = sorted(groups, key=lambda group: -group["lr"])


def find_layers(encoder: PreTrainedModel) -> str | None:
    """Where the list of layers stands in the encoder, as bert.encoder.layer; None if it has no such list."""
    for name, module in encoder.named_modules():
        if isinstance(module, nn.ModuleList) and len(module) == encoder.config.num_hidden_layers:
            return name.replace(WRAPPER, "")
    return None

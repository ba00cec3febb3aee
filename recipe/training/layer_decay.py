"""Layer-wise learning rate decay from the head down to the embeddings, as in ELECTRA (Clark et al. 2020).

A new head can then learn fast, while the pretrained layers change slowly.
"""

import re

import torch
from torch import nn
from transformers import PreTrainedModel

from recipe.errors import RecipeError
from recipe.model.depth import WRAPPER, find_layers


def decay_rates(optimizer: torch.optim.Optimizer, model: nn.Module, encoder: PreTrainedModel, decay: float) -> None:
    """Split the parameter groups of `optimizer` by depth, with learning rate lr * decay ** depth.

    The head has depth 0 and the top layer depth 1. The embeddings, and other parameters of the encoder outside its
    layers, have the depth of the lowest layer plus 1.
    model: the model of the optimizer, which is `encoder` or a wrapper of it.
    Raises RecipeError if the encoder has no list of layers.
    """
    layers = find_layers(encoder)
    if layers is None:
        kind = encoder.config.model_type
        raise RecipeError(f"layer_lr_decay: not possible for {kind}, no list of layers found: set it to 1")
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
    # Trainer logs the learning rate of the first group; this way it is that of the head, as set by the user.
    optimizer.param_groups[:] = sorted(groups, key=lambda group: -group["lr"])

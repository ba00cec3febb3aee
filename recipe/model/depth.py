"""The depth of an encoder: where its layers are, and encoders with fewer of them, which smaller students start from."""

from torch import nn
from transformers import PreTrainedModel

WRAPPER = "_fsdp_wrapped_module."  # in parameter names under FSDP 1


def find_layers(encoder: PreTrainedModel) -> str | None:
    """The name of the module list of layers, such as bert.encoder.layer; None without one."""
    for name, module in encoder.named_modules():
        if isinstance(module, nn.ModuleList) and len(module) == encoder.config.num_hidden_layers:
            return name.replace(WRAPPER, "")
    return None


def choose_layers(count: int, kept: int) -> list[int]:
    """The numbers of `kept` of `count` layers, evenly spread from the first to the last; the first if one is kept.

    Of 12 layers, 6 are 0 2 4 7 9 11, those that DistilBERT starts from (Sanh et al. 2019). Of 6 layers, 3 are 0 2 5.
    """
    return [round(number * (count - 1) / max(kept - 1, 1)) for number in range(kept)]


def keep_layers(model: PreTrainedModel, kept: int) -> None:
    """Leave out all layers but those of `choose_layers`, in place; the configuration of the model then says so.

    The model has to be of an `Architecture` with `fewer_layers`, and has to have at least `kept` layers.
    """
    name = find_layers(model)
    assert name is not None  # all architectures with `fewer_layers` have a list of layers
    layers = list(model.get_submodule(name).children())
    chosen = choose_layers(len(layers), kept)
    parent, _, attribute = name.rpartition(".")
    setattr(model.get_submodule(parent), attribute, nn.ModuleList(layers[number] for number in chosen))
    config = model.config
    config.num_hidden_layers = kept
    if types := getattr(config, "layer_types", None):  # local or global attention, in ModernBERT
        config.layer_types = [types[number] for number in chosen]

"""Each parameter learns at the rate of its depth, whatever the model and its wrapper, and a resumed run goes on so."""

import pytest
import torch
from transformers import AutoModelForTokenClassification

from conftest import make_config, make_config_of
from recipe.errors import RecipeError
from recipe.training.layer_decay import decay_rates
from recipe.training.settings import TrainingArguments
from recipe.training.trainer import RecipeTrainer


def make_model(model_type):
    return AutoModelForTokenClassification.from_config(make_config_of(model_type, pad_token_id=0))


def list_rates(optimizer, model):
    """Learning rate and weight decay of every parameter by its name."""
    names = {parameter: name for name, parameter in model.named_parameters()}
    return {
        names[parameter]: (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for parameter in group["params"]
    }


@pytest.mark.parametrize(
    "model_type", ["bert", "distilbert", "electra", "mpnet", "roberta", "deberta-v2", "modernbert"]
)
def test_rates_fall_from_head_to_embeddings(model_type, tmp_path):
    model = make_model(model_type)
    plain, decayed = (
        RecipeTrainer(
            model=model,
            args=TrainingArguments(str(tmp_path), learning_rate=1.0, weight_decay=0.1, layer_lr_decay=decay),
        ).create_optimizer()
        for decay in (1.0, 0.5)
    )
    old, new = list_rates(plain, model), list_rates(decayed, model)
    assert new.keys() == old.keys() == dict(model.named_parameters()).keys()  # none lost, none twice
    assert sum(len(group["params"]) for group in decayed.param_groups) == len(new)
    for name, (rate, weight_decay) in new.items():
        # classifier 1; layer 1 of 2: 0.5; layer 0: 0.25; embeddings: 0.125
        layer = next((int(part) for part in name.split(".") if part.isdigit()), None)
        head = not name.startswith(f"{model.base_model_prefix}.")
        assert rate == (1 if head else 0.125 if layer is None else 0.25 if layer == 0 else 0.5), name
        assert weight_decay == old[name][1]
    assert decayed.param_groups[0]["lr"] == 1  # the one that Trainer logs


@pytest.mark.parametrize("wrapped", ["layer", "encoder"])
def test_a_wrapped_model_has_the_same_rates(wrapped):
    model = make_model("bert")
    layer = model.bert.encoder.layer
    if wrapped == "layer":
        layer[0] = torch.nn.ModuleDict({"_fsdp_wrapped_module": layer[0]})
    else:
        model.bert.encoder = torch.nn.ModuleDict({"_fsdp_wrapped_module": model.bert.encoder})
    wrapper = torch.nn.ModuleDict({"_fsdp_wrapped_module": model})
    optimizer = torch.optim.AdamW(wrapper.parameters(), lr=1.0)
    decay_rates(optimizer, wrapper, model, 0.5)
    rates = {rate for name, (rate, _) in list_rates(optimizer, model).items() if ".layer.0." in name}
    assert rates == {0.25}
    assert [group["lr"] for group in optimizer.param_groups] == [1, 0.5, 0.25, 0.125]


def test_an_encoder_without_a_list_of_layers_is_refused():
    model = make_model("albert")
    with pytest.raises(RecipeError, match="layer_lr_decay: not possible for albert, no list of layers found"):
        decay_rates(torch.optim.SGD(model.parameters()), model, model, 0.9)


@pytest.mark.parametrize("decay", [0, -1, 1.5])
def test_a_senseless_decay_is_refused(tmp_path, decay):
    with pytest.raises(ValueError, match="layer_lr_decay"):
        TrainingArguments(str(tmp_path), layer_lr_decay=decay)


def test_no_decay_leaves_the_groups(tmp_path):
    model = AutoModelForTokenClassification.from_config(make_config())
    optimizer = RecipeTrainer(model=model, args=TrainingArguments(str(tmp_path))).create_optimizer()
    assert len(optimizer.param_groups) == 2

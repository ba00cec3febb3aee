"""A student starts from some layers of an encoder, and is a model like any other afterwards."""

import json

import pytest
import torch
from transformers import AutoModel, AutoModelForTokenClassification

from conftest import make_config_of
from recipe.errors import RecipeError
from recipe.model.architectures import list_types
from recipe.model.configuration import load_config
from recipe.model.depth import choose_layers, find_layers, keep_layers
from recipe.model.loading import load_model
from recipe.model.settings import ModelArguments

IDS = torch.tensor([[5, 9, 17, 30, 8, 41, 60]])
LAYERS = {"distilbert": "n_layers"}  # the name in the configuration, if not num_hidden_layers


@pytest.mark.parametrize(
    ("count", "kept", "chosen"),
    [
        (12, 6, [0, 2, 4, 7, 9, 11]),  # DistilBERT
        (6, 3, [0, 2, 5]),
        (12, 3, [0, 6, 11]),
        (6, 2, [0, 5]),
        (6, 1, [0]),
        (1, 1, [0]),
        (6, 6, [0, 1, 2, 3, 4, 5]),
    ],
)
def test_layers_are_chosen_evenly_from_the_first_to_the_last(count, kept, chosen):
    assert choose_layers(count, kept) == chosen


def make_model(model_type, layers=5):
    torch.manual_seed(0)
    sizes = {LAYERS.get(model_type, "num_hidden_layers"): layers}
    extra = {"global_attn_every_n_layers": 2, "local_attention": 4} if model_type == "modernbert" else {}
    config = make_config_of(model_type, **extra)
    config = type(config)(**config.to_dict() | sizes | {"layer_types": None})
    config.pad_token_id = 1
    return AutoModel.from_config(config).eval()


@pytest.mark.parametrize("model_type", list_types("fewer_layers"))
def test_a_student_keeps_the_weights_of_its_layers_and_loads_without_the_recipe(model_type, tmp_path):
    model = make_model(model_type)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    place = find_layers(model)
    keep_layers(model, 3)
    model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config[LAYERS.get(model_type, "num_hidden_layers")] == 3
    after, report = AutoModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    for name, weight in after.state_dict().items():
        inside, _, rest = name.removeprefix(f"{place}.").partition(".")
        old = f"{place}.{[0, 2, 4][int(inside)]}.{rest}" if name.startswith(f"{place}.") else name
        assert torch.equal(weight, before[old]), name
    with torch.no_grad():
        found, expected = (one.eval()(input_ids=IDS).last_hidden_state for one in (after, model))
    torch.testing.assert_close(found, expected)


def test_a_loaded_student_has_the_wanted_layers_and_a_whole_head(encoder):
    arguments = ModelArguments(model_name_or_path=encoder, student_layers=1)
    model = load_model(AutoModelForTokenClassification, arguments, load_config(arguments))
    assert len(model.bert.encoder.layer) == model.config.num_hidden_layers == 1
    assert model(input_ids=IDS).logits.shape == (1, 7, 2)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"student_layers": 3}, "3 is more than the 2 layers of "),
        ({"student_layers": 1, "model_name_or_path": None, "model_type": "bert"}, "a model from scratch has no layers"),
    ],
)
def test_layers_that_do_not_exist_are_refused(encoder, settings, message):
    with pytest.raises(RecipeError, match=f"^student_layers: {message}"):
        load_config(ModelArguments(**{"model_name_or_path": encoder} | settings))


def test_an_architecture_that_shares_its_layer_is_refused(tmp_path):
    make_config_of("albert").save_pretrained(tmp_path)
    with pytest.raises(RecipeError, match="not known to work with albert: choose one of bert, "):
        load_config(ModelArguments(model_name_or_path=str(tmp_path), student_layers=1))

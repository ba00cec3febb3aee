"""The layers that suffer most from int8 are found."""

import torch
from transformers import BertForTokenClassification

from conftest import make_config
from recipe.inference.sensitivity import list_layers, rank_layers, round_channels, round_tensor


def make_model():
    torch.manual_seed(0)
    return BertForTokenClassification(make_config()).eval()


def make_batch():
    ids = torch.randint(5, 60, (3, 12), generator=torch.Generator().manual_seed(0))
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def test_layers_are_listed_as_they_are_computed():
    model = make_model()
    names = {layer: name for name, layer in model.named_modules()}
    found = [names[layer] for layer in list_layers(model, make_batch())]
    assert found[0] == "bert.encoder.layer.0.attention.self.query"
    assert found[-1] == "classifier"
    assert len(found) == sum(isinstance(layer, torch.nn.Linear) for layer in model.modules())


def test_a_layer_with_an_outlier_among_its_inputs_comes_first():
    model = make_model()
    layers = list_layers(model, make_batch())
    spoilt = next(number for number, layer in enumerate(layers) if layer is model.bert.encoder.layer[1].output.dense)
    with torch.no_grad():
        model.bert.encoder.layer[1].intermediate.dense.bias[0] = 2000.0  # the other inputs all round to one value
        layers[spoilt].weight[:, 0] = 0.0
    assert rank_layers(model, [make_batch()])[0] == spoilt


def test_the_model_is_as_before():
    model, batch = make_model(), make_batch()
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    logits = model(**batch).logits
    assert sorted(rank_layers(model, [batch])) == list(range(len(list_layers(model, batch))))
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
    assert torch.equal(model(**batch).logits, logits)


def test_values_are_rounded_to_int8():
    weight = torch.tensor([[127.0, 0.4, -1.2], [0.0, 0.0, 0.0]])
    assert torch.equal(round_channels(weight), torch.tensor([[127.0, 0.0, -1.0], [0.0, 0.0, 0.0]]))
    assert torch.equal(round_tensor(torch.tensor([-55.0, 0.3, 200.0])), torch.tensor([-55.0, 0.0, 200.0]))
    assert torch.equal(round_tensor(torch.zeros(2)), torch.zeros(2))

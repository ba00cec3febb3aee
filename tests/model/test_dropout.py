import pytest
import torch
from transformers import BertForMaskedLM

from conftest import make_config
from recipe.model.dropout import LightDropout, drop, lighten_dropout


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_each_element_is_dropped_alike_often_and_the_rest_scaled(p, dtype):
    torch.manual_seed(0)
    result = drop(torch.ones(400_003, dtype=dtype), p)
    assert result.dtype == dtype
    for lane in range(4):  # of one 64-bit draw
        assert float((result[lane::4] == 0).float().mean()) == pytest.approx(p, abs=0.006)
    kept = result[result != 0]
    assert torch.allclose(kept.float(), torch.tensor(1 / (1 - p)), rtol=1e-2 if dtype == torch.bfloat16 else 2e-4)


def test_neighbours_are_dropped_independently():
    torch.manual_seed(0)
    gone = (drop(torch.ones(100_000, 4), 0.5) == 0).float()
    correlation = torch.corrcoef(gone.T)
    assert float((correlation - torch.eye(4)).abs().max()) < 0.02


def test_the_gradient_passes_where_the_value_did():
    torch.manual_seed(0)
    hidden = torch.randn(50, 7, requires_grad=True)
    result = drop(hidden, 0.3)
    result.sum().backward()
    torch.testing.assert_close(hidden.grad * hidden.detach(), result.detach())


def test_the_seed_decides_the_mask():
    draws = []
    for _ in range(2):
        torch.manual_seed(5)
        draws.append(drop(torch.ones(1000), 0.1))
    assert torch.equal(*draws)
    assert not torch.equal(draws[0], drop(torch.ones(1000), 0.1))


def test_nothing_is_dropped_in_evaluation_or_at_0_and_all_at_1():
    hidden = torch.randn(100)
    layer = LightDropout(0.4).eval()
    assert torch.equal(layer(hidden), hidden)
    assert torch.equal(drop(hidden, 0.0), hidden)
    assert torch.equal(drop(hidden, 1.0), torch.zeros(100))


def test_a_lightened_model_keeps_its_weights_and_drops_in_training_only():
    torch.manual_seed(0)
    model = BertForMaskedLM(make_config(hidden_dropout_prob=0.5)).eval()
    ids, names = torch.arange(5, 25)[None], list(model.state_dict())
    before = model(ids).logits
    lighten_dropout(model)
    assert list(model.state_dict()) == names
    assert not any(type(module) is torch.nn.Dropout for module in model.modules())
    assert torch.equal(model(ids).logits, before)
    model.train()
    assert not torch.allclose(model(ids).logits, before, atol=1e-3)

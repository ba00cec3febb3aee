import math

import pytest
import torch

from recipe.training.loss import token_mean_loss


def test_token_mean_loss_by_hand():
    logits = torch.tensor([[[2.0, 0.0], [0.0, 0.0]], [[0.0, 1.0], [5.0, 5.0]]])
    labels = torch.tensor([[0, -100], [0, -100]])
    losses = [math.log(1 + math.exp(-2)), math.log(1 + math.exp(1))]
    assert float(token_mean_loss({"logits": logits}, labels)) == pytest.approx(sum(losses) / 2)
    assert float(token_mean_loss({"logits": logits}, labels, torch.tensor(8))) == pytest.approx(sum(losses) / 8)


def test_a_batch_without_labels_costs_nothing():
    logits = torch.zeros(1, 2, 3, requires_grad=True)
    loss = token_mean_loss({"logits": logits}, torch.full((1, 2), -100), torch.tensor(0))
    loss.backward()
    assert loss.item() == 0.0
    assert not logits.grad.isnan().any()


def test_class_weights_by_hand():
    logits = torch.tensor([[[2.0, 0.0], [0.0, 1.0]]])
    losses = [math.log(1 + math.exp(-2)), math.log(1 + math.exp(-1))]
    found = token_mean_loss({"logits": logits}, torch.tensor([[0, 1]]), class_weights=[0.5, 3.0])
    assert found.item() == pytest.approx((0.5 * losses[0] + 3 * losses[1]) / 2)

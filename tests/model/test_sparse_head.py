"""The sparse head against the dense one: same masks, same loss, same gradients."""

import pytest
import torch
from transformers import AutoModelForMaskedLM

from conftest import assert_same_gradients, compute_gradients, make_config_of
from recipe.evaluation.masked import score_positions
from recipe.model.architectures import list_types
from recipe.model.sparse_head import SparseHead, find_positions
from recipe.training.loss import token_mean_loss

VOCABULARY = 97
OTHERS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2}


def make_model(model_type):
    config = make_config_of(model_type, max_position_embeddings=40, **OTHERS)
    torch.manual_seed(0)
    return AutoModelForMaskedLM.from_config(config).eval()  # without dropout, so that both draw nothing


def make_batch():
    draw = torch.Generator().manual_seed(1)
    ids = torch.randint(3, VOCABULARY, (4, 20), generator=draw)
    labels = torch.where(torch.rand(4, 20, generator=draw) < 0.15, ids, -100)
    attention = torch.ones_like(ids)
    ids[1, 14:], labels[1, 14:], attention[1, 14:] = 0, -100, 0
    return {"input_ids": ids, "attention_mask": attention}, labels


def compute(model, head=None, dtype=None):
    """Logits, loss, and the gradients by name, of one batch."""
    inputs, labels = make_batch()
    with torch.autocast("cpu", dtype=dtype or torch.bfloat16, enabled=dtype is not None):
        if head:
            with head.at(find_positions(labels)):
                logits = model(**inputs).logits
        else:
            logits = model(**inputs).logits
    loss = token_mean_loss({"logits": logits}, labels)
    return logits, loss.detach(), compute_gradients(model, loss)


@pytest.mark.parametrize("model_type", list_types("sparse_head"))
def test_loss_and_gradients_are_those_of_the_dense_head(model_type):
    model = make_model(model_type)
    _, dense_loss, dense = compute(model)
    logits, loss, sparse = compute(model, SparseHead(model))
    assert logits.shape == (int((make_batch()[1] != -100).sum()), VOCABULARY)
    assert float(loss) == pytest.approx(float(dense_loss), rel=1e-5)
    assert_same_gradients(sparse, dense, rtol=1e-5)


def test_autocast_is_obeyed():
    model = make_model("bert")
    _, dense_loss, _ = compute(model, dtype=torch.bfloat16)
    logits, loss, _ = compute(model, SparseHead(model), dtype=torch.bfloat16)
    assert logits.dtype == torch.bfloat16
    assert float(loss) == pytest.approx(float(dense_loss), rel=1e-2)


def test_the_model_stays_as_it_is():
    model = make_model("bert")
    kind, names = type(model), list(model.state_dict())
    head = SparseHead(model)
    inputs, labels = make_batch()
    with head.at(find_positions(labels)):
        model(**inputs)
    assert model(**inputs).logits.shape == (4, 20, VOCABULARY)  # outside of `at`, all positions
    assert type(model) is kind
    assert list(model.state_dict()) == names


def test_a_batch_without_masks_costs_nothing():
    model = make_model("bert")
    inputs, labels = make_batch()
    labels[:] = -100
    with SparseHead(model).at(find_positions(labels)):
        loss = token_mean_loss({"logits": model(**inputs).logits}, labels, torch.tensor(0))
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert not any(weight.grad.isnan().any() for weight in model.parameters() if weight.grad is not None)


def test_another_model_keeps_its_dense_head_and_says_so(caplog):
    model = make_model("albert")
    head = SparseHead(model)
    assert "albert" in caplog.text
    inputs, labels = make_batch()
    with head.at(find_positions(labels)):
        assert model(**inputs).logits.shape == (4, 20, VOCABULARY)


def test_evaluation_scores_are_those_of_the_dense_head():
    model = make_model("bert")
    inputs, labels = make_batch()
    with torch.no_grad():
        dense = model(**inputs).logits
        with SparseHead(model).at(find_positions(labels)):
            sparse = model(**inputs).logits
    torch.testing.assert_close(score_positions(sparse, labels), score_positions(dense, labels))

"""Packed batches against padded ones: same loss, same gradients, less padding."""

import random

import pytest
import torch
from transformers import AutoModelForTokenClassification

from conftest import assert_same_gradients, compute_gradients, make_config_of
from recipe.model.architectures import list_types
from recipe.model.packing import MASK_DTYPES, ROW, Packer, plan_rows
from recipe.training.loss import token_mean_loss

PADDING = 1


def make_model(model_type, attention="eager"):
    config = make_config_of(model_type, max_position_embeddings=90, pad_token_id=PADDING)
    torch.manual_seed(0)
    return AutoModelForTokenClassification.from_config(config, attn_implementation=attention).eval()  # no dropout


def make_batch(lengths=(70, 3, 20, 9, 1, 33, 12, 2), side="right"):
    draw = torch.Generator().manual_seed(1)
    batch = {
        "input_ids": torch.full((len(lengths), max(lengths)), PADDING),
        "attention_mask": torch.zeros(len(lengths), max(lengths), dtype=torch.int64),
        "labels": torch.full((len(lengths), max(lengths)), -100),
    }
    for row, length in enumerate(lengths):
        here = slice(0, length) if side == "right" else slice(max(lengths) - length, None)
        batch["input_ids"][row, here] = torch.randint(2, 97, (length,), generator=draw)
        batch["labels"][row, here] = torch.randint(0, 2, (length,), generator=draw)
        batch["attention_mask"][row, here] = 1
    return batch


def compute(model, batch):
    """The loss, and the gradients by name."""
    if "segments" in batch:
        batch = batch | {"attention_mask": Packer(model).mask(batch["segments"])}
    inputs = {name: values for name, values in batch.items() if name not in ("labels", "segments")}
    loss = token_mean_loss({"logits": model(**inputs).logits}, batch["labels"])
    return loss.detach(), compute_gradients(model, loss)


@pytest.mark.parametrize(
    ("model_type", "attention"),
    [
        (kind, attention)
        for kind in list_types("packing")
        for attention in MASK_DTYPES
        if (kind, attention) != ("mpnet", "sdpa")
    ],
)
def test_loss_and_gradients_are_those_of_padded_batches(model_type, attention):
    model, batch = make_model(model_type, attention), make_batch()
    packed = Packer(model)(batch)
    assert packed["input_ids"].numel() < 0.5 * batch["input_ids"].numel()
    padded_loss, padded = compute(model, batch)
    loss, gradients = compute(model, packed)
    assert float(loss) == pytest.approx(float(padded_loss), rel=1e-5)
    assert_same_gradients(gradients, padded, rtol=1e-4)


def test_the_side_of_the_padding_does_not_matter():
    pack = Packer(make_model("bert"))
    right, left = pack(make_batch()), pack(make_batch(side="left"))
    assert all(torch.equal(right[name], left[name]) for name in right)


def test_a_batch_that_packing_makes_no_smaller_stays_as_it_is():
    pack, batch = Packer(make_model("bert")), make_batch([70, 69, 70, 66])
    assert pack(batch) is batch


@pytest.mark.parametrize(("model_type", "attention"), [("modernbert", "eager"), ("bert", "flex_attention")])
def test_what_cannot_be_packed_is_said_and_stays_as_it_is(model_type, attention, caplog):
    model = make_model("bert")
    model.config.model_type, model.config._attn_implementation = model_type, attention
    batch = make_batch()
    assert Packer(model)(batch) is batch
    assert f"not supported for {model_type} with {attention} attention" in caplog.text


@pytest.mark.parametrize("seed", range(50))
def test_rows_hold_each_example_once(seed):
    draw = random.Random(seed)
    lengths = [draw.randint(1, 100) for _ in range(draw.randint(1, 40))]
    rows, width = plan_rows(lengths)
    assert sorted(number for row in rows for number in row) == list(range(len(lengths)))
    assert width == max(sum(lengths[number] for number in row) for row in rows)
    assert width <= 2 * max(*lengths, ROW)

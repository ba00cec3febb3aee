"""Prepared training batches: what they hold, and that no label is lost or found twice."""

import pytest
import torch
from transformers import AutoModelForTokenClassification

from conftest import make_config, make_config_of
from recipe.inputs.tokens import IGNORED
from recipe.model.architectures import ARCHITECTURES
from recipe.model.packing import ALIGNED, Packer
from recipe.training.collation import OWNERS, POSITIONS, BatchPreparer, drop_labels


def make_model(model_type="bert"):
    config = make_config_of(model_type, max_position_embeddings=90, pad_token_id=1)
    return AutoModelForTokenClassification.from_config(config, attn_implementation="eager").eval()


def make_batch(*lengths):
    mask = torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]
    numbers = torch.arange(mask.numel()).view_as(mask)
    return {
        "input_ids": (numbers % 90 + 3).masked_fill(~mask, 1),
        "labels": (numbers % 2).masked_fill(~mask, IGNORED),
        "attention_mask": mask.long(),
    }


def prepare(batch, align=False, splits=False, owners=True, packs=True, model=None):
    model = model or make_model()
    return BatchPreparer(model, Packer(model, align) if packs else None, splits, owners)(batch)


@pytest.mark.parametrize("lengths", [(9, 9), (40, 3, 2, 20), (9, 8)])
def test_positions_are_those_of_the_labels(lengths):
    batch = prepare(make_batch(*lengths))
    assert len(batch[POSITIONS]) == len(batch[OWNERS]) == sum(lengths)
    assert batch["labels"].flatten()[batch[POSITIONS]].min() >= 0
    assert torch.bincount(batch[OWNERS]).tolist() == list(lengths)


@pytest.mark.parametrize("lengths", [(9, 9, 9), (40, 3, 2, 20), (9, 8, 9)])
@pytest.mark.parametrize("kept", [0, 1, 3])
def test_labels_of_examples_that_only_fill_up_a_batch_are_dropped_also_from_packed_rows(lengths, kept):
    batch = prepare(make_batch(*lengths))
    drop_labels(batch, kept)
    expected = sum(lengths[:kept])
    assert int((batch["labels"] != IGNORED).sum()) == len(batch[POSITIONS]) == expected


@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_a_mask_that_masks_nothing_is_left_out_at_no_change_of_the_result(model_type):
    model, batch = make_model(model_type), make_batch(9, 9)
    prepared = prepare(dict(batch), model=model)
    assert "attention_mask" not in prepared
    with torch.no_grad():
        expected = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        torch.testing.assert_close(model(input_ids=prepared["input_ids"]).logits, expected)


def test_a_model_of_your_own_gets_its_mask():
    class Own(type(make_model())):
        pass

    Own.__module__ = "own"
    model = Own(make_config(num_labels=2))
    assert "attention_mask" in prepare(make_batch(9, 9), model=model, packs=False)


def test_rows_for_a_gpu_are_aligned_and_need_no_mask_of_two_dimensions():
    packed = prepare(make_batch(67, 3, 2, 20), align=True)
    assert packed["input_ids"].shape == (2, 72)
    assert packed["input_ids"].shape[1] % ALIGNED == 0
    unpacked = prepare(make_batch(9, 8), align=True)
    assert "attention_mask" not in unpacked
    assert unpacked["segments"].tolist() == make_batch(9, 8)["attention_mask"].tolist()


def test_other_values_of_a_batch_are_kept():
    position = {"pass": 0, "block": 3}
    assert prepare(make_batch(9, 9) | {"position": position})["position"] == position

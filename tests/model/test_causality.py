"""The causal mask: no prediction depends on what is at its place or to its right."""

import pytest
import torch
from transformers import AutoModelForMaskedLM

from conftest import make_config_of
from recipe.errors import RecipeError
from recipe.model.architectures import list_types
from recipe.model.attention import ATTENTION
from recipe.model.causality import at_positions, make_causal
from recipe.model.packing import Packer

PADDING, MASK = 1, 96
LENGTH = 24
CASES = [
    (kind, attention)
    for kind in list_types("causal")
    for attention in ("eager", "sdpa", ATTENTION)
    if (kind, attention) != ("mpnet", "sdpa")
]


def make_model(model_type, attention="eager"):
    options = {"global_attn_every_n_layers": 2, "local_attention": 8} if model_type == "modernbert" else {}
    config = make_config_of(model_type, max_position_embeddings=90, pad_token_id=PADDING, **options)
    torch.manual_seed(0)
    return AutoModelForMaskedLM.from_config(config, attn_implementation=attention).eval()


def draw_ids(rows=3):
    return torch.randint(2, MASK, (rows, LENGTH), generator=torch.Generator().manual_seed(1))


@torch.no_grad()
@pytest.mark.parametrize(("model_type", "attention"), CASES)
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_nothing_at_or_behind_a_masked_token_changes_its_logits_by_a_bit(model_type, attention, padded, dtype):
    model = make_model(model_type, attention).to(dtype)
    make_causal(model)
    ids = draw_ids()
    mask = torch.ones_like(ids)
    if padded:
        ids[1, 18:], mask[1, 18:] = PADDING, 0
    for place in (1, 7, 16):
        before = ids.clone()
        before[:, place] = MASK
        after = before.clone()
        after[:, place + 1 : 18] = draw_ids().flip(1)[:, place + 1 : 18]
        assert not torch.equal(before, after)
        one, other = (model(input_ids=given, attention_mask=mask).logits for given in (before, after))
        assert torch.equal(one[:, : place + 1], other[:, : place + 1])
        assert not torch.equal(one[:, place + 1 : 18], other[:, place + 1 : 18])
        left = before.clone()
        left[:, place - 1] = MASK - left[:, place - 1]
        assert not torch.equal(model(input_ids=left, attention_mask=mask).logits[:, place], one[:, place])


@torch.no_grad()
@pytest.mark.parametrize("model_type", list_types("causal"))
def test_a_prefix_alone_has_the_same_logits(model_type):
    model = make_model(model_type)
    make_causal(model)
    ids = draw_ids()
    torch.testing.assert_close(model(input_ids=ids[:, :9]).logits, model(input_ids=ids).logits[:, :9])


@torch.no_grad()
@pytest.mark.parametrize("model_type", list_types("packing"))
def test_packed_examples_have_the_logits_of_padded_ones(model_type):
    model = make_model(model_type)
    make_causal(model)
    lengths = (24, 3, 9, 11, 5, 20)
    ids = torch.full((len(lengths), LENGTH), PADDING)
    mask = torch.zeros_like(ids)
    for row, length in enumerate(lengths):
        ids[row, :length], mask[row, :length] = draw_ids(len(lengths))[row, :length], 1
    packer = Packer(model)
    packed = packer({"input_ids": ids, "attention_mask": mask, "labels": ids * mask})
    assert "segments" in packed
    inputs = {"input_ids": packed["input_ids"], "position_ids": packed["position_ids"]}
    found = model(**inputs, attention_mask=packer.mask(packed["segments"])).logits
    expected = model(input_ids=ids, attention_mask=mask).logits
    order = {int(label): place for place, label in enumerate(packed["labels"].flatten()) if label > 0}
    assert len(order) > 40
    for place, label in enumerate((ids * mask).flatten().tolist()):
        same = (ids * mask == label).sum() == 1  # a token that occurs once names its place
        if label and same:
            torch.testing.assert_close(found.flatten(0, 1)[order[label]], expected.flatten(0, 1)[place])


@torch.no_grad()
def test_local_attention_keeps_its_reach():
    """ModernBERT's own mask, made causal, is the same as that of the hook."""
    model = make_model("modernbert")
    masks = []
    for layer in model.model.layers:
        layer.register_forward_pre_hook(
            lambda layer, inputs, options: masks.append(options["attention_mask"]), with_kwargs=True
        )
    ids, mask = draw_ids(), torch.ones(3, LENGTH)
    mask[:, -1] = 0
    model(input_ids=ids, attention_mask=mask)
    make_causal(model)
    model(input_ids=ids, attention_mask=mask)
    own, made = masks[:2], masks[2:]
    causal = torch.ones(LENGTH, LENGTH).tril().bool()
    for before, after in zip(own, made, strict=True):
        assert torch.equal((before == 0) & causal, after == 0)
    assert not torch.equal(own[0], own[1])


@torch.no_grad()
@pytest.mark.parametrize("model_type", list_types("causal"))
def test_a_copy_at_the_same_positions_has_the_same_logits(model_type):
    """Two copies of a text in one row, each seeing only itself: the second copy's relative positions are its own."""
    model = make_model(model_type)
    ids = draw_ids(1)
    alone = model(input_ids=ids).logits
    first = PADDING + 1 if model_type in list_types("positions_after_padding") else 0
    places = (torch.arange(LENGTH) + first).repeat(2)[None]
    visible = torch.block_diag(torch.ones(LENGTH, LENGTH), torch.ones(LENGTH, LENGTH)).bool()[None, None]
    mask = torch.zeros(visible.shape).masked_fill(~visible, torch.finfo(torch.float32).min)
    if model_type == "modernbert":  # has no local attention here that spans both copies
        pytest.skip("its masks are those of `make_causal`")
    with at_positions(model, places):
        both = model(input_ids=ids.repeat(1, 2), attention_mask=mask, position_ids=places).logits
    torch.testing.assert_close(both, alone.repeat(1, 2, 1))
    torch.testing.assert_close(model(input_ids=ids).logits, alone)


def test_attention_without_masks_is_refused():
    model = make_model("bert")
    model.config._attn_implementation = "flash_attention_2"
    with pytest.raises(
        RecipeError, match="masked_autoregressive: not supported by attn_implementation flash_attention_2"
    ):
        make_causal(model)


@torch.no_grad()
@pytest.mark.parametrize("model_type", ["bert", "modernbert"])
def test_a_causal_model_can_be_made_causal_again(model_type):
    model = make_model(model_type)
    make_causal(model)
    once = model(input_ids=draw_ids()).logits
    make_causal(model)
    assert torch.equal(model(input_ids=draw_ids()).logits, once)

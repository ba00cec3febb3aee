"""The recipe's attention is the model's own, of every type that it is chosen for, and drops weights in training."""

import pytest
import torch
from transformers import AutoModelForMaskedLM

from conftest import make_config, make_config_of
from recipe.model.architectures import list_types
from recipe.model.attention import ATTENTION


@pytest.mark.parametrize("model_type", list_types("light_attention"))
def test_its_attention_is_the_eager_one(model_type):
    inputs = {"input_ids": torch.arange(5, 45).view(2, 20), "attention_mask": torch.ones(2, 20, dtype=torch.long)}
    inputs["attention_mask"][1, 8:] = 0
    real = inputs["attention_mask"] == 1
    special = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "cls_token_id": 0, "sep_token_id": 2}
    special |= {"mask_token_id": 3} if model_type == "esm" else {}
    special |= {"local_attention": 8} if model_type == "modernbert" else {}  # the last padding sees nothing but padding
    logits, rounded = [], []
    for name in ("eager", ATTENTION):
        torch.manual_seed(0)
        config = make_config_of(model_type, **special)
        model = AutoModelForMaskedLM.from_config(config, attn_implementation=name)
        assert model.config._attn_implementation == name
        logits.append(model.eval()(**inputs).logits[real])
        with torch.autocast("cpu", torch.bfloat16):
            rounded.append(model(**inputs).logits[real].float())
            model.train()(**inputs).logits[real].float().sum().backward()
        assert all(weight.grad.isfinite().all() for weight in model.parameters() if weight.grad is not None)
    torch.testing.assert_close(*logits, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(*rounded, rtol=1e-2, atol=1e-2)


def test_its_attention_drops_weights_in_training():
    torch.manual_seed(0)
    model = AutoModelForMaskedLM.from_config(
        make_config(attention_probs_dropout_prob=0.5), attn_implementation=ATTENTION
    )
    ids = torch.arange(5, 25)[None]
    weights = model.train()(ids, output_attentions=True).attentions[0]
    assert float((weights == 0).float().mean()) == pytest.approx(0.5, abs=0.1)
    assert float((model.eval()(ids, output_attentions=True).attentions[0] == 0).float().mean()) == 0

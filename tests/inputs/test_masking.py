import datasets
import pytest
import torch

from recipe.arguments import MlmArguments
from recipe.errors import RecipeError
from recipe.inputs.masking import build_collator, draw_masks


def mask_many(tokenizer, **rates):
    """Mask 2,000 blocks of 30 tokens between [CLS] and [SEP]; letters only, so that [MASK] and others stand out."""
    torch.manual_seed(0)
    ids = torch.randint(5, 31, (2000, 32))
    ids[:, 0], ids[:, -1] = tokenizer.cls_token_id, tokenizer.sep_token_id
    batch = build_collator(tokenizer, MlmArguments(**rates))([{"input_ids": row} for row in ids.tolist()])
    return ids, batch["input_ids"], batch["labels"]


@pytest.mark.parametrize(
    ("rates", "chosen", "masked", "kept"),
    [
        ({}, 0.15, 0.8, 0.1),
        ({"mlm_probability": 0.4, "mask_replace_prob": 0.5, "random_replace_prob": 0.3}, 0.4, 0.5, 0.2),
        ({"mask_replace_prob": 1.0, "random_replace_prob": 0.0}, 0.15, 1.0, 0.0),
    ],
)
def test_masking_rates(tokenizer, rates, chosen, masked, kept):
    ids, inputs, labels = mask_many(tokenizer, **rates)
    predicted = labels != -100
    count = int(predicted.sum())
    sd = 3 * (0.25 / count) ** 0.5
    assert count / (2000 * 30) == pytest.approx(chosen, abs=0.01)
    assert float((inputs[predicted] == tokenizer.mask_token_id).float().mean()) == pytest.approx(masked, abs=sd)
    # a random token is by chance the old one once in len(tokenizer) draws
    chance = (1 - masked - kept) / len(tokenizer)
    assert float((inputs[predicted] == ids[predicted]).float().mean()) == pytest.approx(kept + chance, abs=sd)
    assert torch.equal(labels[predicted], ids[predicted])
    assert torch.equal(inputs[~predicted], ids[~predicted])


def test_special_tokens_and_padding_are_never_predicted(tokenizer):
    collator = build_collator(tokenizer, MlmArguments(mlm_probability=1.0))
    batch = collator([{"input_ids": [2, 7, 3, 8, 3]}, {"input_ids": [2, 7, 3]}])
    assert (batch["labels"] != -100).tolist() == [[False, True, False, True, False], [False, True, False, False, False]]


def test_training_masks_change_and_evaluation_masks_do_not(tokenizer):
    blocks = datasets.Dataset.from_dict({"input_ids": [[2, *range(5, 31), 3], [2, *range(5, 20), 3]]})
    arguments = MlmArguments()
    collator = build_collator(tokenizer, arguments)
    first, second = draw_masks(blocks, tokenizer, arguments), draw_masks(blocks, tokenizer, arguments)
    assert first[:] == second[:]
    other = draw_masks(blocks, tokenizer, MlmArguments(eval_mask_seed=1))
    assert first[:] != other[:]
    batch = collator(list(first))
    assert batch["input_ids"][1, :17].tolist() == first[1]["input_ids"]
    assert batch["labels"][1].tolist() == first[1]["labels"] + [-100] * 11
    assert batch["attention_mask"].sum(1).tolist() == [28, 17]
    draws = set()
    for epoch in range(10):
        collator.set_epoch(epoch)
        draws.add(tuple(collator([blocks[0]])["labels"][0].tolist()))
    assert len(draws) > 5


def test_a_block_is_masked_alike_whatever_batch_it_is_in(tokenizer):
    blocks = [{"input_ids": [2, *range(5, 5 + n), 3]} for n in (30, 12, 25)]
    collator, other = (build_collator(tokenizer, MlmArguments(), seed) for seed in (1, 2))
    together, alone = collator(blocks), collator(blocks[1:2])
    assert torch.equal(together["labels"][1, :14], alone["labels"][0])
    assert torch.equal(together["input_ids"][1, :14], alone["input_ids"][0])
    assert not torch.equal(other(blocks)["labels"], together["labels"])


def test_an_evaluation_of_nothing_is_refused(tokenizer):
    blocks = datasets.Dataset.from_dict({"input_ids": [[2, 5, 3]]})
    with pytest.raises(RecipeError, match="too little text, no token is masked"):
        draw_masks(blocks, tokenizer, MlmArguments(mlm_probability=0.0001))


def test_rates_out_of_range_and_tokenizers_without_a_mask_are_refused(tokenizer):
    with pytest.raises(RecipeError, match="mlm_probability"):
        build_collator(tokenizer, MlmArguments(mlm_probability=1.5))
    with pytest.raises(RecipeError, match="should not exceed 1"):
        build_collator(tokenizer, MlmArguments(random_replace_prob=0.3))

"""Masked tokens of held-out blocks: which are drawn, how they are written, and the model's own probabilities."""

import datasets
import pytest
import torch
from tokenizers import decoders
from transformers import BertForMaskedLM

from conftest import make_config, make_tokenizer
from recipe.inference import recovery
from recipe.inference.recovery import EXAMPLES, fill_examples, try_examples
from recipe.inputs.case_markers import MARKERS, add_case_markers
from recipe.inputs.tokens import IGNORED
from recipe.model.objective import Pretraining, note_pretraining

WORDS = ("mara", "left", "oslo", "port", *MARKERS)


@pytest.fixture(scope="module")
def tokenizer():
    tokenizer = make_tokenizer(words=WORDS)
    tokenizer.backend_tokenizer.decoder = decoders.WordPiece()
    return tokenizer


@pytest.fixture
def model(tokenizer):
    torch.manual_seed(0)
    return BertForMaskedLM(make_config(vocab_size=len(tokenizer)))


def make_blocks(tokenizer, texts, masked):
    """A block of each text; of its tokens, those at `masked` are masked."""
    rows = []
    for text in texts:
        ids = tokenizer(text).input_ids
        labels = [ids[place] if place in masked else IGNORED for place in range(len(ids))]
        rows.append({"input_ids": [tokenizer.mask_token_id if place in masked else t for place, t in enumerate(ids)]})
        rows[-1]["labels"] = labels
    return datasets.Dataset.from_list(rows)


def show(pieces):
    return [(piece.text, piece.is_hidden, piece.glued) for piece in pieces]


def test_a_masked_token_is_shown_in_its_context_with_the_model_s_own_probabilities(tokenizer, model):
    blocks = make_blocks(tokenizer, ["mara left oslo ab ."], masked=[2])
    [example] = fill_examples(model, tokenizer, blocks)
    assert (example.block, show([example.original])) == (0, [("left", True, False)])
    assert show(example.before) == [("mara", False, False)]
    assert show(example.after) == [("oslo ab.", False, False)]
    with torch.no_grad():
        chances = model(torch.tensor([blocks[0]["input_ids"]])).logits[0, 2].softmax(-1)
    own = float(chances[tokenizer.convert_tokens_to_ids("left")])
    assert example.probability == pytest.approx(own, abs=1e-4)
    assert example.rank == 1 + int((chances > own).sum())
    best = chances.topk(5)
    assert [chance for _, chance in example.candidates] == pytest.approx(best.values.tolist(), abs=1e-4)
    assert [name for name, _ in example.candidates] == tokenizer.convert_ids_to_tokens(best.indices.tolist())


def test_what_the_model_did_not_see_is_marked_and_inner_pieces_are_joined(tokenizer, model):
    blocks = make_blocks(tokenizer, ["mara abc oslo"], masked=[3])  # mara a ##b ##c oslo
    blocks = blocks.map(lambda row: {"input_ids": [9 if place == 4 else t for place, t in enumerate(row["input_ids"])]})
    blocks = blocks.map(lambda row: {"labels": [44 + 3 if place == 4 else t for place, t in enumerate(row["labels"])]})
    [example] = fill_examples(model, tokenizer, blocks)
    assert show(example.before) == [("mara a", False, False)]
    assert show([example.original]) == [("b", True, True)]
    hidden, seen = example.after
    assert (hidden.is_hidden, hidden.glued) == (True, True)
    assert show([seen]) == [("oslo", False, False)]


def test_examples_come_from_as_many_blocks_as_possible_and_are_equal_for_equal_seeds(tokenizer, model):
    few = make_blocks(tokenizer, ["mara left oslo port"] * 5, masked=[1, 2, 3, 4])
    drawn = fill_examples(model, tokenizer, few)
    assert len(drawn) == EXAMPLES
    assert sorted(example.block for example in drawn[:5]) == [0, 1, 2, 3, 4]
    places = [(example.block, example.original.text) for example in drawn]
    assert len(set(places)) == EXAMPLES
    many = make_blocks(tokenizer, ["mara left oslo port"] * 40, masked=[1, 2])
    assert len({example.block for example in fill_examples(model, tokenizer, many)}) == EXAMPLES
    assert fill_examples(model, tokenizer, many, 3) == fill_examples(model, tokenizer, many, 3)
    assert fill_examples(model, tokenizer, many, 3) != fill_examples(model, tokenizer, many, 4)


def test_tokens_that_were_replaced_or_kept_are_not_drawn(tokenizer, model):
    blocks = make_blocks(tokenizer, ["mara left oslo"], masked=[2])
    kept = blocks.map(lambda row: {"input_ids": tokenizer("mara left oslo").input_ids})
    assert fill_examples(model, tokenizer, kept) == []


def test_a_causal_model_sees_nothing_to_the_right(tokenizer, model):
    note_pretraining(model.config, Pretraining("masked_autoregressive"))
    [example] = fill_examples(model, tokenizer, make_blocks(tokenizer, ["mara left oslo port"], masked=[2]))
    assert show(example.after) == [("oslo port", True, False)]
    [other] = fill_examples(model, tokenizer, make_blocks(tokenizer, ["mara left port"], masked=[2]))
    assert other.candidates == example.candidates


def test_case_markers_are_written_as_case_and_never_drawn(model):
    tokenizer = add_case_markers(make_tokenizer(words=WORDS))
    tokenizer.backend_tokenizer.decoder = decoders.WordPiece()
    blocks = make_blocks(tokenizer, ["Mara left OSLO"], masked=[1, 2, 4, 5])  # marker mara left marker oslo
    drawn = {example.original.text: example for example in fill_examples(model, tokenizer, blocks)}
    assert drawn.keys() == {"Mara", "OSLO"}
    assert " ".join(piece.text for piece in drawn["OSLO"].before) == "Mara left"


def test_examples_that_cannot_be_made_end_no_run(tokenizer, model, monkeypatch, caplog):
    monkeypatch.setattr(recovery, "MaskedModel", lambda *_: 1 / 0)
    assert try_examples(model, tokenizer, []) == []
    assert "no filled examples for the page: ZeroDivisionError" in caplog.text

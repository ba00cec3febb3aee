"""Likelihoods of texts, against minicons and against one prediction at a time."""

import json
import math
import re

import pytest
import torch
from transformers import AutoModelForMaskedLM, BertForMaskedLM

from conftest import make_config, make_config_of, make_tokenizer
from recipe.__main__ import main
from recipe.errors import RecipeError
from recipe.inference import scorer as module
from recipe.inference.likelihood import format_likelihood
from recipe.inference.scorer import Likelihood, Scorer
from recipe.inputs.case_markers import MARKERS, add_case_markers
from recipe.model.architectures import list_types
from recipe.model.objective import Pretraining, note_pretraining

# Recorded with minicons 0.3.39 for the model and tokenizer below:
# MaskedLMScorer(folder, "cpu").sequence_score(texts, reduction=lambda x: x.sum().item(), PLL_metric=metric)
MINICONS = {
    "Mara left Oslo.": (-57.59411, -57.55904),
    "She joined the shipyard on Monday.": (-134.35063, -134.20865),
    "No.": (-13.0006, -13.08373),
    "Lima, Quito and Oslo.": (-81.63318, -81.64055),
    "a b c d": (-18.72533, -18.72533),
    "The 2nd vote, at 10 - 3.": (-85.24607, -85.20929),
    "it was cold in the north": (-88.3889, -88.16221),
    "Norvik": (-29.81839, -30.28391),
    "ferries sail at dawn": (-78.48406, -77.87157),
    "Who, me.": (-31.85584, -31.39649),
}


def make_model():
    """A model whose weights do not depend on the version of a random generator."""
    model = BertForMaskedLM(make_config())
    with torch.no_grad():
        for number, weight in enumerate(model.parameters()):
            values = torch.arange(weight.numel(), dtype=torch.float64).mul(0.7 + number).sin().mul(1.5)
            weight.copy_(values.view_as(weight))
    return model


def make_causal_scorer(tokenizer, model_type="bert"):
    pad = 1 if model_type == "mpnet" else tokenizer.pad_token_id  # MPNet's code has 1 built in
    options = {"max_position_embeddings": 90, "pad_token_id": pad}
    torch.manual_seed(0)
    model = AutoModelForMaskedLM.from_config(make_config_of(model_type, **options), attn_implementation="eager")
    note_pretraining(model.config, Pretraining("masked_autoregressive"))
    return Scorer(model, tokenizer)


@pytest.mark.parametrize(("metric", "column"), [("original", 0), ("within_word_l2r", 1), (None, 1)])
def test_pseudo_log_likelihoods_are_those_of_minicons(tokenizer, metric, column):
    found = Scorer(make_model(), tokenizer)(MINICONS, metric)
    assert [item.log_probability for item in found] == pytest.approx(
        [values[column] for values in MINICONS.values()], abs=1e-4
    )


def test_tokens_words_and_bits_add_up(tokenizer):
    found = Scorer(make_model(), tokenizer)("Mara left Oslo.")
    assert [word for word, _ in found.words] == ["Mara", "left", "Oslo", "."]
    assert [token for token, _ in found.tokens][:5] == ["m", "##a", "##r", "##a", "l"]
    assert found.words[0][1] == pytest.approx(sum(value for _, value in found.tokens[:4]))
    assert found.log_probability == pytest.approx(sum(value for _, value in found.words))
    assert found.bits_per_character == pytest.approx(-found.log_probability / math.log(2) / 15)
    assert found.bits_per_token == pytest.approx(-found.log_probability / math.log(2) / 13)


@torch.no_grad()
@pytest.mark.parametrize("model_type", list_types("causal"))
def test_log_likelihoods_are_those_of_one_prediction_at_a_time(tokenizer, model_type):
    """Each token at a mask behind its true left context, and nothing else in the row."""
    scorer = make_causal_scorer(tokenizer, model_type)
    texts = ["Mara left Oslo.", "No.", "It was cold in the north, at 10 - 3."]
    for text, found in zip(texts, scorer(texts), strict=True):
        ids = tokenizer(text).input_ids
        for place in range(1, len(ids) - 1):
            row = torch.tensor([[*ids[:place], tokenizer.mask_token_id]])
            expected = scorer.model(input_ids=row).logits[0, -1].log_softmax(-1)[ids[place]]
            assert found.tokens[place - 1][1] == pytest.approx(float(expected), abs=1e-4)


@pytest.mark.parametrize("causal", [False, True])
def test_small_batches_and_buffers_give_the_same_figures(tokenizer, monkeypatch, causal):
    texts = [*MINICONS, "m" * 40]
    scorer = make_causal_scorer(tokenizer) if causal else Scorer(make_model(), tokenizer)
    whole = scorer(texts)
    monkeypatch.setattr(module, "BUFFER_ROWS", 5)
    monkeypatch.setattr(scorer.predictor, "batch_tokens", 50)
    for one, other in zip(scorer(texts), whole, strict=True):
        assert one.log_probability == pytest.approx(other.log_probability, abs=1e-4)


def test_case_markers_are_scored_with_the_word_behind_them():
    tokenizer = add_case_markers(make_tokenizer(words=MARKERS))
    torch.manual_seed(0)
    scorer = Scorer(BertForMaskedLM(make_config(vocab_size=len(tokenizer))), tokenizer)
    found = scorer("Oslo to NATO")
    assert [word for word, _ in found.words] == ["Oslo", "to", "NATO"]
    assert [token for token, _ in found.tokens] == [
        *(MARKERS[0], "o", "##s", "##l", "##o", "t", "##o"),
        *(MARKERS[1], "n", "##a", "##t", "##o"),
    ]
    rows = scorer._mask_each(scorer._encode("Oslo to"), None)
    assert rows[0].ids[1:6] == [tokenizer.mask_token_id] * 5  # the marker is the first piece of its word


def test_what_cannot_be_scored_is_refused(tokenizer):
    scorer = Scorer(make_model(), tokenizer)
    with pytest.raises(RecipeError, match="has 82 tokens, but the model accepts 64: shorten it"):
        scorer("m" * 80)
    for text, reason in [("", "has no words"), ("m [MASK]", "contains [MASK], which is not")]:
        with pytest.raises(RecipeError, match=re.escape(f"{text!r} {reason}")):
            scorer(text)
    with pytest.raises(RecipeError, match="metric: other is not one of original within_word_l2r"):
        scorer("m", "other")
    with pytest.raises(RecipeError, match="metric: a masked autoregressive model has a log-likelihood of its own"):
        make_causal_scorer(tokenizer)("m", "original")


def test_nothing_is_printed_before_a_refusal_and_no_figure_is_minus_zero(encoder, capsys):
    with pytest.raises(RecipeError, match="text 1: '' has no words"):
        main(["likelihood", "--model", encoder, ""])
    assert capsys.readouterr().out == ""
    assert "-0.000" not in format_likelihood(Likelihood("m", [("m", -1e-9)], [("m", -1e-9)]))


def test_the_verb_prints_compares_and_writes(encoder, tmp_path, capsys):
    (tmp_path / "a.jsonl").write_text('{"text": "Mara left.", "id": 7}\n{"text": "Lima", "id": 8}\n')
    main(["likelihood", "--model", encoder, "--precision", "fp32", "--compare", "Mara left Oslo.", "No."])
    lines = capsys.readouterr().out.splitlines()[1:]
    assert [line.split("  ")[-1] for line in lines] == ["No.", "Mara left Oslo."]
    assert float(lines[0].split()[0]) > float(lines[1].split()[0])
    main(["likelihood", "--model", encoder, str(tmp_path / "a.jsonl"), "--output", str(tmp_path / "b.jsonl")])
    rows = [json.loads(line) for line in (tmp_path / "b.jsonl").read_text().splitlines()]
    assert [row["id"] for row in rows] == [7, 8]
    assert rows[0]["log_probability"] == pytest.approx(sum(value for _, value in rows[0]["words"]), abs=1e-4)


def test_texts_that_cannot_be_scored_are_named_or_counted(encoder, tmp_path, capsys):
    (tmp_path / "a.txt").write_text(f"a\n{'m' * 80}\nc\n")
    command = ["likelihood", "--model", encoder, str(tmp_path / "a.txt"), "--lines", "--precision", "fp32"]
    with pytest.raises(RecipeError, match=r"a\.txt:2: 'm+ ...' has 82 tokens, but the model accepts 64"):
        main(command)
    capsys.readouterr()
    main([*command, "--skip_bad"])
    shown = capsys.readouterr()
    assert [line.split()[-1] for line in shown.out.splitlines()] == ["text", "a", "c"]
    assert "1 text(s) or line(s) could not be used" in shown.err

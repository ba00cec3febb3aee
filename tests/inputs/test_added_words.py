"""Words that become single tokens, and their embeddings."""

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForMaskedLM, PreTrainedTokenizerFast

from conftest import make_config, make_config_of, make_tokenizer
from recipe.errors import RecipeError
from recipe.inputs.added_words import NEW, add_words, find_new_words
from recipe.inputs.case_markers import add_case_markers
from recipe.model.configuration import check_vocabulary
from recipe.model.loading import grow_embeddings


@pytest.fixture
def words(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("naproxen\n\nTachycardia\na\nnaproxen\r\n")
    return str(path)


def encode(tokenizer, *words):
    return tokenizer(list(words), is_split_into_words=True, add_special_tokens=False).input_ids


def test_a_word_becomes_one_token_also_within_text_and_in_other_case(words):
    tokenizer = make_tokenizer()
    before, cut = len(tokenizer), encode(tokenizer, "naproxen")
    new = add_words(tokenizer, words)
    assert sorted(new) == [before, before + 1]  # `a` is a token already
    assert new[before] == cut
    assert encode(tokenizer, "took", "Naproxen")[-1:] == encode(tokenizer, "naproxen") == [before]
    assert before in tokenizer("took naproxen, twice").input_ids
    assert before not in tokenizer("naproxens").input_ids
    assert add_words(tokenizer, words) == {}


def test_a_byte_level_word_takes_its_space_with_it(words):
    alphabet = {letter: number for number, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    backend = Tokenizer(models.BPE(alphabet, []))
    backend.pre_tokenizer, backend.decoder = pre_tokenizers.ByteLevel(add_prefix_space=True), decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, add_prefix_space=True)
    (new, *_) = add_words(tokenizer, words)
    assert encode(tokenizer, "naproxen") == [new]
    assert encode(tokenizer, "naproxen", "naproxen") == [new, new]


def test_case_markers_stay_before_added_words(words):
    tokenizer = make_tokenizer()
    tokenizer.add_tokens(["[unused1]", "[unused2]"], special_tokens=True)
    (new, *_) = add_words(tokenizer, words)
    marked = add_case_markers(tokenizer)
    marker = marked.convert_tokens_to_ids("[unused1]")
    assert encode(marked, "Naproxen") == [marker, new]
    assert encode(marked, "naproxen") == [new]


@pytest.mark.parametrize(
    ("content", "message"), [("two words\n", ":1: 2 words"), ("\n", "no words"), (None, "no such")]
)
def test_a_bad_file_is_refused(tmp_path, content, message):
    path = tmp_path / "words.txt"
    if content is not None:
        path.write_text(content)
    with pytest.raises(RecipeError, match=message):
        add_words(make_tokenizer(), str(path))


@pytest.mark.parametrize(
    "model_type", ["bert", "distilbert", "electra", "roberta", "mpnet", "modernbert", "deberta-v2"]
)
@pytest.mark.parametrize("spare", [0, 8])
def test_embeddings_start_at_the_mean_of_the_pieces_and_nothing_else_changes(model_type, spare):
    tokenizer = make_tokenizer()
    others = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 2, "sep_token_id": 3}
    config = make_config_of(model_type, max_position_embeddings=40, **others)
    config.vocab_size = len(tokenizer) + spare
    model = AutoModelForMaskedLM.from_config(config)
    before = model.get_input_embeddings().weight.detach().clone()
    setattr(tokenizer, NEW, {len(tokenizer): [5, 6, 7], len(tokenizer) + 1: [8, 9]})
    tokenizer.add_tokens(["naproxen", "tachycardia"])
    check_vocabulary(tokenizer, config) if model_type != "mpnet" else None
    state = torch.get_rng_state()
    grow_embeddings(model, tokenizer)
    assert torch.equal(torch.get_rng_state(), state)
    found = model.get_input_embeddings().weight
    first = len(tokenizer) - 2
    torch.testing.assert_close(found[first], before[[5, 6, 7]].mean(0))
    torch.testing.assert_close(found[first + 1], before[[8, 9]].mean(0))
    assert torch.equal(found[:first], before[:first])
    assert model.config.vocab_size == max(len(tokenizer), first + spare)
    logits = model(torch.tensor([[5, first, 6]])).logits
    assert logits.shape[-1] == model.config.vocab_size
    assert logits.isfinite().all()


def test_a_tokenizer_without_new_words_changes_nothing(tokenizer):
    assert find_new_words(tokenizer) == {}
    model = AutoModelForMaskedLM.from_config(make_config())
    grow_embeddings(model, tokenizer)
    assert model.config.vocab_size == make_config().vocab_size

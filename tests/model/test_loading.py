import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForMaskedLM,
    AutoModelForTokenClassification,
    MPNetConfig,
    RobertaConfig,
    XLNetConfig,
)

from conftest import make_config_of, make_tokenizer
from recipe.errors import RecipeError
from recipe.model.attention import ATTENTION
from recipe.model.configuration import (
    check_length,
    check_vocabulary,
    load_config,
    name_labels,
    read_class_weights,
    set_labels,
)
from recipe.model.loading import load_model, replace_head
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


def test_the_first_layers_keep_their_attention():
    arguments = ModelArguments(model_type="modernbert", config_overrides="num_hidden_layers=4")
    whole = load_config(ModelArguments(model_type="modernbert"))
    assert load_config(arguments).layer_types == whole.layer_types[:4]
    assert set(whole.layer_types[:4]) == {"full_attention", "sliding_attention"}


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


def test_a_folder_of_models_names_one_of_them(encoder, tmp_path):
    with pytest.raises(RecipeError, match=r"has no model \(config.json\): give the folder of one$"):
        load_config(ModelArguments(model_name_or_path=str(tmp_path)))
    shutil.copytree(encoder, tmp_path / "name")
    with pytest.raises(RecipeError, match=f"give the folder of one, such as {tmp_path}/name$"):
        load_config(ModelArguments(model_name_or_path=str(tmp_path)))


def test_architectures_that_are_no_list_are_refused(encoder, tmp_path):
    shutil.copytree(encoder, tmp_path, dirs_exist_ok=True)
    config = json.loads((tmp_path / "config.json").read_text()) | {"architectures": "BertForMaskedLM"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(RecipeError, match=f"^{tmp_path}: config.json: architectures: is not a list"):
        load_config(ModelArguments(model_name_or_path=str(tmp_path)))


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
    with pytest.raises(RecipeError, match="do not match: set only one"):
        check_vocabulary(tokenizer, config)


def test_a_model_without_a_limit_reads_any_length(tokenizer):
    check_length("max_seq_length", 64, tokenizer, XLNetConfig())  # whose limit is -1


def test_a_tokenizer_that_cannot_pad_is_refused():
    tokenizer = make_tokenizer()
    tokenizer.pad_token = None
    with pytest.raises(RecipeError, match="has no padding token"):
        check_vocabulary(tokenizer, MPNetConfig())


def test_mpnet_wants_its_own_padding_id(tokenizer):
    with pytest.raises(RecipeError, match="mpnet: always pads with the id 1"):
        check_vocabulary(tokenizer, MPNetConfig())


def test_attention_is_the_models_own_where_ours_is_not_known_to_fit(caplog):
    sizes = "vocab_size=50,hidden_size=16,num_hidden_layers=1,num_attention_heads=2,intermediate_size=8"
    for model_type, expected in (("bert", ATTENTION), ("eurobert", "eager")):
        arguments = ModelArguments(model_type=model_type, config_overrides=sizes, attn_implementation=ATTENTION)
        config = load_config(arguments)
        config.pad_token_id = config.bos_token_id = config.eos_token_id = 0
        assert load_model(AutoModelForMaskedLM, arguments, config).config._attn_implementation == expected
    assert "is not known to work with eurobert" in caplog.text


@pytest.mark.parametrize("kind", ["bert", "roberta", "distilbert", "mpnet", "modernbert"])
def test_a_new_head_keeps_the_weights_of_labels_with_the_same_name(kind):
    model = AutoModelForTokenClassification.from_config(make_config_of(kind, num_labels=3, pad_token_id=0))
    name_labels(model.config, ["O", "B-X", "I-X"])
    before = {label: row.clone() for label, row in zip(["O", "B-X", "I-X"], _find_head(model).weight, strict=True)}
    labels = ["O", "B-NEW", "I-NEW", "B-X", "I-X"]
    replace_head(model, labels)
    head = _find_head(model)
    assert head.out_features == model.num_labels == model.config.num_labels == 5
    for label, row in zip(labels, head.weight, strict=True):
        assert (label in before and torch.equal(row, before[label])) == (label in before)
    assert head.weight[1].abs().sum() > 0
    assert model(torch.tensor([[5, 6, 7]])).logits.shape == (1, 3, 5)


def _find_head(model):
    labels = model.config.num_labels
    [head] = [layer for layer in model.modules() if isinstance(layer, torch.nn.Linear) and layer.out_features == labels]
    return head


def test_class_weights_are_given_by_type_or_label():
    labels = ["O", "B-X", "I-X", "B-Y", "I-Y"]
    assert read_class_weights(None, labels) is None
    assert read_class_weights("X=2, O=0.5,I-Y=3", labels) == [0.5, 2, 2, 1, 3]
    assert read_class_weights("B-X=3,X=2", labels) == read_class_weights("X=2,B-X=3", labels) == [1, 3, 2, 1, 1]
    for odd in ("Z=2", "X", "X=0", "X=-1", "X=nan", "X=two", "=2", ",", "X=1e38", "X=2,X=3"):
        with pytest.raises(RecipeError, match=r"class_weights: .*such as PER=2; labels: O B-X"):
            read_class_weights(odd, labels)


def test_weights_that_an_encoder_lacks_are_warned_about_and_a_new_head_is_not(encoder, tmp_path, caplog):
    arguments = ModelArguments(model_name_or_path=encoder)
    load_model(AutoModelForTokenClassification, arguments, load_labelled(arguments))
    assert "LOAD REPORT" not in caplog.text
    assert "not sharded" not in caplog.text  # transformers' warning about tensor parallelism
    assert "has no weights" not in caplog.text
    copy = shutil.copytree(encoder, tmp_path / "copy")
    weights = load_file(copy / "model.safetensors")
    lost = [key for key in weights if "layer.0" in key]
    save_file(
        {key: weight for key, weight in weights.items() if key not in lost},
        copy / "model.safetensors",
        {"format": "pt"},
    )
    arguments = ModelArguments(model_name_or_path=str(copy))
    load_model(AutoModelForTokenClassification, arguments, load_labelled(arguments))
    assert f"has no weights for {len(lost)} parts of the encoder, such as bert.encoder.layer.0." in caplog.text


def cut(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def leave_out(folder):
    (folder / "model.safetensors").unlink()
    (folder / "training_args.bin").write_bytes(b"pickled, but no weights")


def widen(folder):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"intermediate_size": 7}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (cut, r"restore its files, or choose another folder"),
        (leave_out, r"no file named model\.safetensors.*: restore its files, or choose another folder"),
        (widen, r"its weights have other sizes than its config\.json says: restore the one that was changed"),
    ],
)
def test_damaged_weights_are_refused_with_what_to_do(encoder, tmp_path, change, message):
    folder = shutil.copytree(encoder, tmp_path / "model")
    change(folder)
    arguments = ModelArguments(model_name_or_path=str(folder))
    with pytest.raises(RecipeError, match=f"{folder}: .*{message}"):
        load_model(AutoModelForMaskedLM, arguments, load_config(arguments))

"""The configuration of an encoder: labels, lengths, and whether tokenizer and model match. Needs no torch."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import yaml
from transformers import CONFIG_MAPPING, AutoConfig, PreTrainedConfig, PreTrainedTokenizerBase

from recipe.errors import RecipeError
from recipe.inputs.added_words import find_new_words
from recipe.inputs.pretrained import load_pretrained
from recipe.model.architectures import find_architecture, find_first_position, list_types
from recipe.model.settings import ModelArguments

LARGEST_WEIGHT = 1000  # of a class in the loss


def load_config(arguments: ModelArguments) -> PreTrainedConfig:
    """The configuration from `config_name`, else the model, else the default of `model_type`, with `config_overrides`.

    Raises RecipeError if none of them is set, if the configuration cannot be loaded or changed, or if the model cannot
    start from `student_layers` layers.
    """
    name = arguments.config_name or arguments.model_name_or_path
    if name:
        _check_folder(Path(name))
        config = load_pretrained(AutoConfig, name, arguments)
        if not isinstance(config.architectures, list | None):
            raise RecipeError(f"{name}: config.json: architectures: is not a list: restore the file")
    elif arguments.model_type in CONFIG_MAPPING:
        config = AutoConfig.for_model(arguments.model_type)
    else:
        raise RecipeError("no model: set model_name_or_path or, from scratch, config_name or a known model_type")
    if arguments.config_overrides:
        try:
            _override(config, arguments.config_overrides)
        except (ValueError, TypeError, AttributeError) as error:
            raise RecipeError(f"config_overrides {arguments.config_overrides}: {error}: fix the value") from None
    config.output_attentions = config.output_hidden_states = False  # predictions must be logits only
    if arguments.student_layers:
        _check_layers(arguments.student_layers, config, arguments.model_name_or_path)
    return config


def _check_folder(folder: Path) -> None:
    """Raise RecipeError if a folder has no model; it names one inside, because people give the folder of all runs."""
    if folder.is_dir() and not (folder / "config.json").exists():
        inside = sorted(file.parent for file in folder.glob("*/config.json"))
        such = f", such as {inside[0]}" if inside else ""
        raise RecipeError(f"{folder}: has no model (config.json): give the folder of one{such}")


def _check_layers(wanted: int, config: PreTrainedConfig, name: str | None) -> None:
    """Raise RecipeError unless so many layers can be chosen from the checkpoint `name`; `config` is that of it."""
    if name is None:
        raise RecipeError(
            "student_layers: a model from scratch has no layers to choose from: set num_hidden_layers in "
            "config_overrides instead"
        )
    if not find_architecture(config.model_type).fewer_layers:
        known = ", ".join(list_types("fewer_layers"))
        raise RecipeError(f"student_layers: not known to work with {config.model_type}: choose one of {known}")
    if wanted > config.num_hidden_layers:
        raise RecipeError(
            f"student_layers: {wanted} is more than the {config.num_hidden_layers} layers of {name}: set a lower value"
        )


def _override(config: PreTrainedConfig, changes: str) -> None:
    """Like `update_from_string`, which cannot change attributes that are None, such as BERT's classifier_dropout.

    With fewer layers, the first ones keep their kind of attention.
    """
    pairs = [pair.partition("=") for pair in changes.split(",")]
    unset = {key for key, equals, _ in pairs if equals and getattr(config, key, "") is None}
    config.update({key: yaml.safe_load(value) for key, _, value in pairs if key in unset})
    others = ",".join("".join(pair) for pair in pairs if pair[0] not in unset)
    if others:
        config.update_from_string(others)
    if types := getattr(config, "layer_types", None):  # local or global attention, in ModernBERT
        config.layer_types = types[: config.num_hidden_layers]


def is_tagger(config: PreTrainedConfig) -> bool:
    """Whether a checkpoint has a head that tags."""
    return any("TokenClassification" in name for name in config.architectures or ())


def read_labels(config: PreTrainedConfig) -> list[str]:
    """The labels of a classification head, by label id. Raises RecipeError if ids are missing."""
    labels = cast("dict[int, str]", config.id2label)  # transformers turns the keys into numbers
    if sorted(labels) != list(range(len(labels))):
        raise RecipeError("config.json of the model: id2label: its ids are not 0, 1, 2 ...: restore the file")
    return [labels[label_id] for label_id in range(len(labels))]


def set_labels(config: PreTrainedConfig, labels: Sequence[str], name: str | None, new_head: bool = False) -> list[str]:
    """Set the labels of a new classification head; returns the labels to train, by label id.

    An existing head must have the same labels and keeps its order. With `new_head` it can have others: then `config`
    stays as it is, and the model needs `replace_head` after loading.
    name: name of the model in error messages. Raises RecipeError if an existing head has other labels.
    """
    own = list((config.id2label or {}).values())
    if not is_tagger(config):
        name_labels(config, labels)
    elif sorted(own) != sorted(labels):
        if new_head:
            return list(labels)
        raise RecipeError(
            f"{name}: was trained on the labels {' '.join(own)}, but the training data have {' '.join(labels)}: "
            "set new_head to true, start from the encoder it was fine-tuned from, or fix the tags"
        )
    return read_labels(config)


def name_labels(config: PreTrainedConfig, labels: Sequence[str]) -> None:
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: number for number, label in enumerate(labels)}


def read_class_weights(text: str | None, labels: Sequence[str]) -> list[float] | None:
    """The weight of each label in the loss, from text such as `PER=2,B-LOC=3,O=0.5`; 1 for labels it does not name.

    The weight of a label takes precedence over that of its type. None if there is no text.
    Raises RecipeError for a name that is no type or label or is given twice, and for a weight that is not above 0 and
    at most `LARGEST_WEIGHT`.
    """
    if not text:
        return None
    named: dict[str, float] = {}
    for pair in text.split(","):
        name, _, value = (part.strip() for part in pair.rpartition("="))
        try:
            weight = float(value)
        except ValueError:
            weight = math.nan
        reason = "is given twice" if name in named else None
        if not 0 < weight <= LARGEST_WEIGHT:
            reason = f"expected a number above 0 and at most {LARGEST_WEIGHT:,}"
        if not any(name and name in (label, label[2:]) for label in labels):
            reason = "expected a type or label"
        if reason:
            raise RecipeError(f"class_weights: {pair}: {reason}, such as PER=2; labels: {' '.join(labels)}")
        named[name] = weight
    return [named.get(label, named.get(label[2:], 1.0)) for label in labels]


def name_config(arguments: ModelArguments) -> str:
    """The setting that the configuration of a new model comes from, for error messages."""
    changed = f"config_overrides {arguments.config_overrides}" if arguments.config_overrides else None
    return changed or arguments.config_name or f"model_type {arguments.model_type}"


def refuse_decoder(config: PreTrainedConfig) -> None:
    """Raise RecipeError for an encoder-decoder, in which masks cannot be predicted token by token."""
    if config.is_encoder_decoder:
        raise RecipeError(
            f"{config.model_type}: is an encoder-decoder, and masked pretraining is for encoders: choose one, such as "
            "bert"
        )


def find_longest(tokenizer: PreTrainedTokenizerBase, config: PreTrainedConfig) -> int:
    """The number of tokens that the model accepts, special tokens included. Raises RecipeError if that is no number."""
    if not isinstance(tokenizer.model_max_length, int):
        raise RecipeError(
            "tokenizer_config.json of the model: model_max_length: is not a whole number: restore the file"
        )
    positions = getattr(config, "max_position_embeddings", -1)
    if positions <= 0:  # XLNet's -1 is no limit
        return tokenizer.model_max_length
    return min(tokenizer.model_max_length, positions - find_first_position(config))


def check_length(key: str, length: int, tokenizer: PreTrainedTokenizerBase, config: PreTrainedConfig) -> None:
    """Raise RecipeError if `length` (tokens), the value of setting `key`, is longer than the input of the model."""
    longest = find_longest(tokenizer, config)
    if length > longest:
        raise RecipeError(
            f"{key}: {length} is more than the {longest} tokens that the model accepts: set a lower value"
        )


def check_vocabulary(tokenizer: PreTrainedTokenizerBase, config: PreTrainedConfig) -> None:
    """Raise RecipeError if the model has no embedding for some ids of the tokenizer, or expects other padding."""
    if tokenizer.pad_token_id is None:
        raise RecipeError("the tokenizer has no padding token: choose an encoder with one, such as BERT")
    if config.model_type == "mpnet" and tokenizer.pad_token_id != 1:
        raise RecipeError("mpnet: always pads with the id 1, but the tokenizer does not: set tokenizer_type to bpe")
    if len(tokenizer) - len(find_new_words(tokenizer)) > config.vocab_size:
        raise RecipeError(
            f"the tokenizer has {len(tokenizer)} entries, but the model has embeddings for {config.vocab_size}: "
            "tokenizer_name and model_name_or_path do not match: set only one of them"
        )

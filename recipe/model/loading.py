"""Loading encoders: a name or folder -> configuration and model."""

import logging
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeGuard, cast

import torch
import yaml
from transformers import CONFIG_MAPPING, AutoConfig, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from recipe.errors import RecipeError
from recipe.inputs.added_words import find_new_words
from recipe.inputs.pretrained import load_pretrained
from recipe.model.architectures import find_architecture, find_first_position
from recipe.model.attention import ATTENTION
from recipe.model.dropout import lighten_dropout
from recipe.model.settings import ModelArguments

BUILD_ERRORS = (ImportError, ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError)
BUILD_ERRORS += (TypeError, ValueError)
LARGEST_WEIGHT = 1000  # of a class in the loss
logger = logging.getLogger(__name__)


def load_config(arguments: ModelArguments) -> PreTrainedConfig:
    """The configuration from `config_name`, else the model, else the default of `model_type`, with `config_overrides`.

    Raises RecipeError if none of them is set, or if the configuration cannot be loaded or changed.
    """
    name = arguments.config_name or arguments.model_name_or_path
    if name:
        config = load_pretrained(AutoConfig, name, arguments)
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
    return config


def _override(config: PreTrainedConfig, changes: str) -> None:
    """Like `update_from_string`, which cannot change attributes that are None, such as BERT's classifier_dropout."""
    pairs = [pair.partition("=") for pair in changes.split(",")]
    unset = {key for key, equals, _ in pairs if equals and getattr(config, key, "") is None}
    config.update({key: yaml.safe_load(value) for key, _, value in pairs if key in unset})
    others = ",".join("".join(pair) for pair in pairs if pair[0] not in unset)
    if others:
        config.update_from_string(others)


def read_labels(config: PreTrainedConfig) -> list[str]:
    """The labels of a classification head, by label id."""
    labels = cast("dict[int, str]", config.id2label)  # transformers turns the keys into numbers
    return [labels[label_id] for label_id in range(len(labels))]


def set_labels(config: PreTrainedConfig, labels: Sequence[str], name: str | None, new_head: bool = False) -> list[str]:
    """Set the labels of a new classification head; returns the labels to train, by label id.

    An existing head must have the same labels and keeps its order. With `new_head` it can have others: then `config`
    stays as it is, and the model needs `replace_head` after loading.
    name: name of the model in error messages. Raises RecipeError if an existing head has other labels.
    """
    own = list((config.id2label or {}).values())
    if not any("TokenClassification" in architecture for architecture in config.architectures or ()):
        _name_labels(config, labels)
    elif sorted(own) != sorted(labels):
        if new_head:
            return list(labels)
        raise RecipeError(
            f"{name}: was trained on the labels {' '.join(own)}, but the training data have {' '.join(labels)}: "
            "set new_head to true, start from the encoder it was fine-tuned from, or fix the tags"
        )
    return read_labels(config)


def _name_labels(config: PreTrainedConfig, labels: Sequence[str]) -> None:
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


def replace_head(model: PreTrainedModel, labels: Sequence[str]) -> PreTrainedModel:
    """Give a tagger a head for other labels, in place. Labels with the same name keep their weights.

    Raises RecipeError if the head of the model is not a single linear layer.
    """
    own = read_labels(model.config)
    found = [(name, layer) for name, layer in model.named_modules() if _is_head(layer, len(own))]
    if len(found) != 1:
        raise RecipeError(f"new_head: the head of {type(model).__name__} is not known: start from its encoder")
    name, old = found[0]
    new = torch.nn.Linear(old.in_features, len(labels), bias=old.bias is not None)
    torch.nn.init.normal_(new.weight, std=getattr(model.config, "initializer_range", 0.02))
    with torch.no_grad():
        if new.bias is not None:
            new.bias.zero_()
        for number, label in enumerate(labels):
            if label in own:
                new.weight[number] = old.weight[own.index(label)]
                if new.bias is not None:
                    new.bias[number] = old.bias[own.index(label)]
    parent, _, attribute = name.rpartition(".")
    setattr(model.get_submodule(parent), attribute, new)
    _name_labels(model.config, labels)
    model.num_labels = len(labels)  # pyrefly: ignore[bad-argument-type]  # models set it in the same way
    return model


def _is_head(layer: torch.nn.Module, labels: int) -> TypeGuard[torch.nn.Linear]:
    return isinstance(layer, torch.nn.Linear) and layer.out_features == labels


def load_model(auto_class: Any, arguments: ModelArguments, config: PreTrainedConfig) -> PreTrainedModel:
    """Load `model_name_or_path` with `auto_class` (`AutoModelFor...`), or without it build a new model from `config`.

    Weights are always loaded in float32: the Trainer handles mixed precision, and weights loaded in half precision
    would also be updated in half precision. The attribute `new_head` of the model says whether its head has no trained
    weights yet. If the recipe's own attention is not known to work for the model, "eager"
    is used. Raises RecipeError if the model cannot be loaded or built.
    """
    attention = arguments.attn_implementation
    if attention == ATTENTION and not find_architecture(config.model_type).light_attention:
        logger.warning("attention eager: %s is not known to work with %s", ATTENTION, config.model_type)
        attention = "eager"
    options: dict[str, Any] = {"dtype": "float32", "attn_implementation": attention}
    name = arguments.model_name_or_path
    if name:
        pickled = [path.name for path in Path(name).glob("*.bin") if not list(Path(name).glob("*.safetensors"))]
        if pickled:
            raise RecipeError(f"{name}: {pickled[0]} is pickled and can run code: convert it to safetensors")
        options |= {"config": config, "use_safetensors": True, "output_loading_info": True}
        with _without_report():
            model, found = load_pretrained(auto_class, name, arguments, **options)
        _check_encoder(name, model, found["missing_keys"])
        new_head = any(not key.startswith(f"{model.base_model_prefix}.") for key in found["missing_keys"])
    else:
        try:
            model = auto_class.from_config(config, **options)
        except BUILD_ERRORS as error:  # sizes that do not fit together, or a model type without this head
            source = name_config(arguments)
            if arguments.attn_implementation and "attn" in str(error).lower() + type(error).__name__.lower():
                source = f"attn_implementation {arguments.attn_implementation}"
            raise RecipeError(f"{source}: {' '.join(str(error).split())[:200]}: change the setting") from None
        new_head = True
    if arguments.light_dropout:
        lighten_dropout(model)
    model.new_head = new_head
    return model


def grow_embeddings(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Give a model embeddings for the tokenizer's new words, in place: each starts at the mean of its pieces."""
    new = find_new_words(tokenizer)
    if len(tokenizer) > model.config.vocab_size:
        with torch.random.fork_rng():  # random values, which are replaced here
            model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    layers: list[Any] = [model.get_input_embeddings(), model.get_output_embeddings()]
    found = [getattr(layer, name, None) for layer in layers for name in ("weight", "bias")]
    tables = {id(table): table for table in found if table is not None}.values()  # input and output are often the same
    with torch.no_grad():
        for table in tables:
            for token_id, pieces in new.items():
                table[token_id] = table[pieces].mean(0)


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


@contextmanager
def _without_report() -> Iterator[None]:
    """A context without transformers' report on loading, which shows a new head as if it were a fault.

    A filter, because a higher level of this logger makes transformers warn about something else.
    """
    reporter = logging.getLogger("transformers.modeling_utils")

    def is_error(record: logging.LogRecord) -> bool:
        return record.levelno >= logging.ERROR

    reporter.addFilter(is_error)
    try:
        yield
    finally:
        reporter.removeFilter(is_error)


def _check_encoder(name: str, model: PreTrainedModel, missing: Iterable[str]) -> None:
    """Warn about weights of the encoder that a checkpoint does not have; those of a new head are expected."""
    lost = sorted(key for key in missing if key.startswith(f"{model.base_model_prefix}."))
    if lost:
        logger.warning(
            "%s: has no weights for %d parts of the encoder, such as %s: they start at random", name, len(lost), lost[0]
        )


def find_longest(tokenizer: PreTrainedTokenizerBase, config: PreTrainedConfig) -> int:
    """The number of tokens that the model accepts, special tokens included."""
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

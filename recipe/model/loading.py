"""Pretrained encoders: a name or folder -> configuration and model, ready for the recipe."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from transformers import CONFIG_MAPPING, AutoConfig, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from recipe.errors import RecipeError
from recipe.inputs.pretrained import load_pretrained
from recipe.model.architectures import find_architecture, find_first_position
from recipe.model.attention import ATTENTION
from recipe.model.dropout import lighten_dropout
from recipe.model.settings import ModelArguments

logger = logging.getLogger(__name__)


def load_config(arguments: ModelArguments) -> PreTrainedConfig:
    """The configuration of `config_name`, or of the model, or the default of `model_type`; with `config_overrides`."""
    name = arguments.config_name or arguments.model_name_or_path
    if name:
        config = load_pretrained(AutoConfig, name, arguments)
    elif arguments.model_type in CONFIG_MAPPING:
        config = AutoConfig.for_model(arguments.model_type)
    else:
        raise RecipeError("no model: set model_name_or_path, or (from scratch) config_name or a known model_type")
    if arguments.config_overrides:
        try:
            _override(config, arguments.config_overrides)
        except (ValueError, TypeError, AttributeError) as error:
            raise RecipeError(f"config_overrides {arguments.config_overrides}: {error}") from None
    config.output_attentions = config.output_hidden_states = False  # predictions are the logits alone
    return config


def _override(config: PreTrainedConfig, changes: str) -> None:
    """As `update_from_string`, which cannot change what is None, as the classifier_dropout of BERT."""
    pairs = [pair.partition("=") for pair in changes.split(",")]
    unset = {key for key, equals, _ in pairs if equals and getattr(config, key, "") is None}
    config.update({key: yaml.safe_load(value) for key, _, value in pairs if key in unset})
    others = ",".join("".join(pair) for pair in pairs if pair[0] not in unset)
    if others:
        config.update_from_string(others)


def read_labels(config: PreTrainedConfig) -> list[str]:
    """What a classification head predicts, by label id."""
    return [config.id2label[label_id] for label_id in range(config.num_labels)]


def set_labels(config: PreTrainedConfig, labels: Sequence[str], name: str | None) -> None:
    """Have a new head predict `labels`. One that is there already must predict the same ones, and keeps its order.

    name: what error messages call the model.
    """
    own = list(config.id2label.values())
    if not any("TokenClassification" in architecture for architecture in config.architectures or ()):
        config.id2label = dict(enumerate(labels))
        config.label2id = {label: number for number, label in enumerate(labels)}
    elif sorted(own) != sorted(labels):
        raise RecipeError(
            f"{name}: has learnt the labels {' '.join(own)}, but the training data hold {' '.join(labels)}: "
            "start from its encoder, or mend the tags"
        )


def load_model(auto_class: Any, arguments: ModelArguments, config: PreTrainedConfig) -> PreTrainedModel:
    """Load `model_name_or_path` by `auto_class` (`AutoModelFor...`), or make a new model of `config` without one.

    In float32, whatever the checkpoint is stored in: mixed precision is the Trainer's affair, and weights loaded in
    half precision would also be updated in it. Where the recipe's own attention is not known to fit, it is "eager".
    Raises RecipeError for what cannot be loaded, or made.
    """
    attention = arguments.attn_implementation
    if attention == ATTENTION and not find_architecture(config.model_type).light_attention:
        logger.warning("attention eager: %s is not known to fit a %s", ATTENTION, config.model_type)
        attention = "eager"
    options = {"dtype": "float32", "attn_implementation": attention}
    name = arguments.model_name_or_path
    if name:
        pickled = [path.name for path in Path(name).glob("*.bin") if not list(Path(name).glob("*.safetensors"))]
        if pickled:
            raise RecipeError(f"{name}: {pickled[0]} is pickled and may run code: convert it to safetensors")
        model = load_pretrained(auto_class, name, arguments, config=config, use_safetensors=True, **options)
    else:
        try:
            model = auto_class.from_config(config, **options)
        except ValueError as error:  # sizes that do not fit together, or a type without such a head
            key = arguments.config_overrides or arguments.config_name or f"model_type {arguments.model_type}"
            raise RecipeError(f"{key}: {str(error).splitlines()[0]}") from None
    if arguments.light_dropout:
        lighten_dropout(model)
    return model


def check_length(key: str, length: int, tokenizer: PreTrainedTokenizerBase, config: PreTrainedConfig) -> None:
    """Raise RecipeError if `length`, the value of setting `key`, is more tokens than the model reads at once."""
    positions = getattr(config, "max_position_embeddings", -1)
    longest = tokenizer.model_max_length
    if positions > 0:  # XLNet's -1 is no limit
        longest = min(longest, positions - find_first_position(config))
    if length > longest:
        raise RecipeError(f"{key}: {length} is more than the {longest} tokens that the model reads at once: lower it")


def check_vocabulary(tokenizer: PreTrainedTokenizerBase, config: PreTrainedConfig) -> None:
    """Raise RecipeError if the tokenizer makes ids for which the model has no embedding, or cannot pad as it does."""
    if tokenizer.pad_token_id is None:
        raise RecipeError("the tokenizer has no padding token: name an encoder with one, as BERT and its kin")
    if config.model_type == "mpnet" and tokenizer.pad_token_id != 1:
        raise RecipeError("mpnet: pads with the id 1, whatever its configuration says: set tokenizer_type bpe")
    if len(tokenizer) > config.vocab_size:
        raise RecipeError(
            f"the tokenizer has {len(tokenizer)} entries, the model embeddings for {config.vocab_size}: "
            "tokenizer_name and model_name_or_path do not belong together: name one of the two alone"
        )

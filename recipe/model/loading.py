"""Loading encoders: a name or folder -> model; new heads and embeddings."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeGuard

import torch
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from recipe.errors import RecipeError
from recipe.inputs.added_words import find_new_words
from recipe.inputs.pretrained import load_pretrained
from recipe.model.architectures import find_architecture
from recipe.model.attention import ATTENTION
from recipe.model.configuration import name_config, name_labels, read_labels
from recipe.model.depth import keep_layers
from recipe.model.dropout import lighten_dropout
from recipe.model.settings import ModelArguments

BUILD_ERRORS = (ImportError, ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError)
BUILD_ERRORS += (TypeError, ValueError)
logger = logging.getLogger(__name__)


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
    name_labels(model.config, labels)
    model.num_labels = len(labels)  # pyrefly: ignore[bad-argument-type]  # models set it in the same way
    return model


def _is_head(layer: torch.nn.Module, labels: int) -> TypeGuard[torch.nn.Linear]:
    return isinstance(layer, torch.nn.Linear) and layer.out_features == labels


def load_model(auto_class: Any, arguments: ModelArguments, config: PreTrainedConfig) -> PreTrainedModel:
    """Load `model_name_or_path` with `auto_class` (`AutoModelFor...`), or without it build a new model from `config`.

    Weights are always loaded in float32: the Trainer handles mixed precision, and weights loaded in half precision
    would also be updated in half precision. The attributes `new_head` and `missing` of the model say whether its head
    has no trained weights yet, and which weights of the encoder start at random. If the recipe's own attention is not
    known to work for the model, "eager" is used. Raises RecipeError if the model cannot be loaded or built.
    """
    attention = arguments.attn_implementation
    if attention == ATTENTION and not find_architecture(config.model_type).light_attention:
        logger.warning("attention eager: %s is not known to work with %s", ATTENTION, config.model_type)
        attention = "eager"
    options: dict[str, Any] = {"dtype": "float32", "attn_implementation": attention}
    name = arguments.model_name_or_path
    if name:
        pickled = sorted(Path(name).glob("pytorch_model*.bin"))
        if pickled and not list(Path(name).glob("*.safetensors")):
            raise RecipeError(f"{name}: {pickled[0].name} is pickled and can run code: convert it to safetensors")
        options |= {"config": config, "use_safetensors": True, "output_loading_info": True}
        with _without_report():
            model, found = load_pretrained(auto_class, name, arguments, **options)
        missing = _check_encoder(name, model, found["missing_keys"])
        new_head = any(not key.startswith(f"{model.base_model_prefix}.") for key in found["missing_keys"])
        if arguments.student_layers:
            keep_layers(model, arguments.student_layers)
    else:
        try:
            model = auto_class.from_config(config, **options)
        except BUILD_ERRORS as error:  # sizes that do not fit together, or a model type without this head
            source = name_config(arguments)
            if arguments.attn_implementation and "attn" in str(error).lower() + type(error).__name__.lower():
                source = f"attn_implementation {arguments.attn_implementation}"
            raise RecipeError(f"{source}: {' '.join(str(error).split())[:200]}: change the setting") from None
        new_head, missing = True, []
    if arguments.light_dropout:
        lighten_dropout(model)
    model.new_head, model.missing = new_head, missing
    return model


def refuse_untrained(model: PreTrainedModel, name: str | None, with_head: bool = True) -> None:
    """Raise RecipeError if the model `name`, which is to be used as it is, has parts without trained weights.

    with_head: whether its head must have them too.
    """
    missing = getattr(model, "missing", ())
    if getattr(model, "new_head", False) and with_head:
        raise RecipeError(f"{name}: has no weights for its head: restore the file, or choose a finished model")
    if missing:
        raise RecipeError(
            f"{name}: has no weights for {len(missing)} parts of the encoder, such as {missing[0]}: restore the file"
        )


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


def _check_encoder(name: str, model: PreTrainedModel, missing: Iterable[str]) -> list[str]:
    """The weights of the encoder that a checkpoint does not have, with a warning; those of a new head are expected."""
    lost = sorted(key for key in missing if key.startswith(f"{model.base_model_prefix}."))
    if lost:
        logger.warning(
            "%s: has no weights for %d parts of the encoder, such as %s: they start at random", name, len(lost), lost[0]
        )
    return lost

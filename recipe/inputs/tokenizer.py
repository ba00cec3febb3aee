"""Loading the tokenizer of an encoder, set up for lists of words."""

import json
import logging
from pathlib import Path

from tokenizers import normalizers, pre_tokenizers, processors
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from recipe.errors import RecipeError
from recipe.inputs.added_words import NEW, add_words
from recipe.inputs.case_markers import CAPITALISED, add_case_markers
from recipe.inputs.pretrained import load_pretrained, resolve_name
from recipe.inputs.settings import PretrainedArguments

VOCABULARIES = ("tokenizer.json", "vocab.*", "*.model")  # files with the vocabulary of a tokenizer
logger = logging.getLogger(__name__)


class _PortableTokenizer(PreTrainedTokenizerFast):
    """A tokenizer without a model-specific class, saved under a class name that transformers 4 can load too."""


_PortableTokenizer.__name__ = "PreTrainedTokenizerFast"  # transformers 5 would save another name, unknown to version 4


def load_tokenizer(arguments: PretrainedArguments, training: bool = True) -> PreTrainedTokenizerBase:
    """Load the tokenizer of `tokenizer_name`, or else of the model, set up for lists of words and padding on the right.

    training: whether the model will be trained. A model that is only scored gets no case markers, because it was not
    trained with them.
    Raises RecipeError if the tokenizer cannot be loaded, is not fast, or does not match the model.
    """
    name = arguments.tokenizer_name or arguments.model_name_or_path
    if name is None:
        raise RecipeError("no tokenizer: set tokenizer_name or model_name_or_path")
    tokenizer = _load_vocabulary(name, arguments)
    if not tokenizer.is_fast:
        raise RecipeError(f"{name}: no fast tokenizer (tokenizer.json), which the recipe needs: set tokenizer_name")
    if arguments.tokenizer_name and arguments.model_name_or_path:
        _refuse_foreign(tokenizer, arguments.model_name_or_path, arguments)
    try:
        _prefix_space(tokenizer)
    except Exception as error:  # what `tokenizers` raises has no class of its own
        raise RecipeError(f"{name}: its tokenizer does not work ({error}): fetch it again") from error
    tokenizer.padding_side = "right"
    new = add_words(tokenizer, arguments.added_words) if arguments.added_words and training else {}
    if new:
        logger.warning("added_words: %d words became single tokens, such as %s", len(new), tokenizer.decode(min(new)))
    if arguments.case_markers and training:
        tokenizer = add_case_markers(tokenizer)
    if new:
        setattr(tokenizer, NEW, new)
    if type(tokenizer) is PreTrainedTokenizerFast:
        tokenizer.__class__ = _PortableTokenizer
    return tokenizer


def _load_vocabulary(name: str, arguments: PretrainedArguments) -> PreTrainedTokenizerBase:
    """The tokenizer of a folder or Hub id.

    Raises RecipeError if it has no vocabulary: transformers then builds one without words, which turns all text into
    unknown tokens.
    """
    missing = RecipeError(
        f"{name}: has no tokenizer (tokenizer.json): copy it from a checkpoint of the run or from the encoder that it "
        "started from, or set tokenizer_name"
    )
    folder = Path(resolve_name(name))
    has_none = folder.is_dir() and not any(file for pattern in VOCABULARIES for file in folder.glob(pattern))
    try:
        tokenizer = load_pretrained(AutoTokenizer, name, arguments)
    except RecipeError as error:
        raise (missing if has_none else error) from None
    if not tokenizer.is_fast:  # it can do without files, and is refused later
        return tokenizer
    if (
        has_none
        or len(tokenizer.get_vocab().keys() - {*tokenizer.all_special_tokens} - tokenizer.get_added_vocab().keys()) < 2
    ):
        raise missing  # from the Hub; SentencePiece has an entry for spaces
    file = folder / "tokenizer.json"
    if file.is_file() and _has_markers(file) and CAPITALISED not in repr(tokenizer.backend_tokenizer.normalizer):
        raise RecipeError(
            f"{name}: its case markers are lost without the right tokenizer_config.json: copy it from a checkpoint"
        )
    return tokenizer


def _has_markers(file: Path) -> bool:
    """Whether the normalizer in a tokenizer.json sets case markers, which other classes of tokenizers drop."""
    return CAPITALISED in json.dumps(json.loads(file.read_text(encoding="utf-8")).get("normalizer"))


def _prefix_space(tokenizer: PreTrainedTokenizerBase) -> None:
    """Make the tokenizer treat each word of a list, and the first word of a text, as if a space came before it.

    Many tokenizers recognize the start of a word by the space before it (RoBERTa, ModernBERT, mmBERT ...); without a
    space, the word would continue the previous one. `from_pretrained` ignores `add_prefix_space` if tokenizer.json has
    it off, and classes such as RobertaTokenizer rebuild the pre-tokenizer from the attribute, so both are set here. The
    change is saved with the tokenizer.
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
        if hasattr(step, "add_prefix_space"):  # otherwise the offsets of the first word of a text lose its first letter
            step.add_prefix_space = True
    backend.post_processor = processor


def _refuse_foreign(tokenizer: PreTrainedTokenizerBase, model: str, arguments: PretrainedArguments) -> None:
    """Raise RecipeError if the model has its own tokenizer with another vocabulary, which its embeddings belong to."""
    try:
        own = _load_vocabulary(model, arguments)
    except RecipeError:
        return
    if own.get_vocab() != tokenizer.get_vocab():
        raise RecipeError(
            f"tokenizer_name {arguments.tokenizer_name}: its vocabulary differs from that of "
            f"{arguments.model_name_or_path}: remove tokenizer_name"
        )

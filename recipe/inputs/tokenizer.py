"""The tokenizer of an encoder, ready for words that are given one by one."""

from tokenizers import normalizers, pre_tokenizers, processors
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from recipe.errors import RecipeError
from recipe.inputs.case_markers import add_case_markers
from recipe.inputs.pretrained import load_pretrained
from recipe.inputs.settings import PretrainedArguments


class _PortableTokenizer(PreTrainedTokenizerFast):
    """A tokenizer without a class of its own, saved under the name by which transformers 4 knows it too."""


_PortableTokenizer.__name__ = "PreTrainedTokenizerFast"  # in transformers 5 an alias of what it would save


def load_tokenizer(arguments: PretrainedArguments, training: bool = True) -> PreTrainedTokenizerBase:
    """Load the tokenizer of `tokenizer_name`, or else of the model, so that words given one by one stay words.

    Padding is on the right.
    training: whether the model is to be trained; one that is only scored gets no markers that it has not learnt.
    """
    name = arguments.tokenizer_name or arguments.model_name_or_path
    tokenizer = load_pretrained(AutoTokenizer, name, arguments)
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


def _refuse_foreign(tokenizer: PreTrainedTokenizerBase, arguments: PretrainedArguments) -> None:
    """Raise RecipeError if the model came with a tokenizer of other entries: its embeddings would mean other tokens."""
    try:
        own = load_pretrained(AutoTokenizer, arguments.model_name_or_path, arguments)
    except RecipeError:
        return
    if own.get_vocab() != tokenizer.get_vocab():
        raise RecipeError(
            f"tokenizer_name {arguments.tokenizer_name}: has other entries than the tokenizer of "
            f"{arguments.model_name_or_path}: leave tokenizer_name out"
        )

"""Words of a domain that become single tokens of an existing tokenizer.

Their embeddings start at the mean of the pieces that the tokenizer cut them into before, and are trained like all
others; `recipe.model.loading.grow_embeddings` makes them.
"""

from pathlib import Path

from tokenizers import AddedToken, pre_tokenizers
from transformers import PreTrainedTokenizerBase

from recipe.data.text_files import read_lines
from recipe.errors import RecipeError

NEW = "new_words"  # attribute of a tokenizer, which is not saved: the words are new to this run's model only


def add_words(tokenizer: PreTrainedTokenizerBase, path: str) -> dict[int, list[int]]:
    """Add the words of a text file, a word on each line; returns the pieces of each new token, by its id.

    Words that are single tokens already are skipped. Raises RecipeError for a file that cannot be read, a line of
    several words, and a file without words.
    """
    if not Path(path).is_file():
        raise RecipeError(f"added_words: {path}: no such file: set a text file with a word on each line")
    backend = tokenizer.backend_tokenizer
    pieces: dict[str, list[int]] = {}
    count = 0
    for number, line in enumerate(read_lines(path, "utf-8"), 1):
        words = line.split()
        if len(words) > 1:
            raise RecipeError(f"{path}:{number}: {len(words)} words in one line: put each on a line of its own")
        for word in words:
            count += 1
            known = tokenizer([word], is_split_into_words=True, add_special_tokens=False).input_ids
            content = backend.normalizer.normalize_str(word).strip() if backend.normalizer else word
            if len(known) > 1 and tokenizer.unk_token_id not in known:
                pieces.setdefault(content, known)
    if not count:
        raise RecipeError(f"added_words: {path}: no words: put a word on each line")
    splitter = backend.pre_tokenizer
    first = splitter[0] if isinstance(splitter, pre_tokenizers.Sequence) else splitter
    spaced = isinstance(first, pre_tokenizers.ByteLevel | pre_tokenizers.Metaspace)  # a token takes the space before it
    tokenizer.add_tokens([AddedToken(word, single_word=True, lstrip=spaced, normalized=True) for word in pieces])
    ids = tokenizer.get_vocab()
    return {ids[word]: known for word, known in pieces.items()}


def find_new_words(tokenizer: PreTrainedTokenizerBase) -> dict[int, list[int]]:
    """The words that `load_tokenizer` added: the pieces of each, by its id."""
    return getattr(tokenizer, NEW, {})

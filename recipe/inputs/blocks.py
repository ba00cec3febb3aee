"""Articles -> blocks of token ids.

Blocks are cut from `BATCH` articles at a time, in order. The last block of each `BATCH` can be shorter.
"""

import hashlib
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import datasets
from transformers import PreTrainedTokenizerBase

from recipe.data.articles import Articles
from recipe.errors import RecipeError
from recipe.inputs.settings import BlockArguments
from recipe.inputs.tokens import special_tokens

BATCH = 1000  # articles that are tokenized and packed together
CODE = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()  # for the cache, see `recipe.data.articles`


def build_blocks(
    articles: Articles, tokenizer: PreTrainedTokenizerBase, arguments: BlockArguments, source: str = "articles"
) -> Articles:
    """Tokenize articles and pack them into blocks of `block_size` tokens: a data set with the column `input_ids`.

    source: name of the articles in error messages.
    Raises RecipeError if the tokenizer has no separator, `block_size` is too small, or the articles have no tokens.
    """
    prefix, suffix = special_tokens(tokenizer)
    separator = tokenizer.sep_token_id if tokenizer.sep_token_id is not None else tokenizer.eos_token_id
    if separator is None:
        raise RecipeError(
            "the tokenizer has neither a separator nor an end-of-sequence token to put between articles: choose "
            "another model"
        )
    size = arguments.block_size - len(prefix) - len(suffix)
    if size < 1:
        raise RecipeError(
            f"block_size: {arguments.block_size} leaves no room between the special tokens: set a larger value"
        )

    # Not a closure: a stream is pickled for its data-loading worker if that is not a fork of this process.
    pack = partial(
        _tokenize_and_pack, tokenizer=tokenizer, size=size, separator=separator, ends=(prefix, suffix), code=CODE
    )
    options: dict[str, Any] = {"batched": True, "batch_size": BATCH, "remove_columns": ["text"]}
    if isinstance(articles, datasets.Dataset):
        options |= {"num_proc": arguments.preprocessing_num_workers, "desc": "Packing blocks"}
    blocks = articles.map(pack, **options)
    if isinstance(blocks, datasets.Dataset) and not len(blocks):
        raise RecipeError(f"{source}: no tokens to make blocks from: check the content")
    return blocks


def _tokenize_and_pack(
    rows: dict, tokenizer: PreTrainedTokenizerBase, size: int, separator: int, ends: tuple, code: str
) -> dict:
    texts = [text or "" for text in rows["text"]]  # an empty cell of a table is None
    wrong = next((text for text in texts if not isinstance(text, str)), None)
    if wrong is not None:
        raise ValueError(f"found {wrong!r} among the texts")
    ids = tokenizer(texts, add_special_tokens=False, return_attention_mask=False, verbose=False).input_ids
    prefix, suffix = ends
    return {"input_ids": [prefix + block + suffix for block in pack_blocks(ids, size, separator)]}


def digest_blocks(blocks: datasets.Dataset) -> str:
    """A SHA-256 digest of all token ids, and of where blocks begin."""
    digest = hashlib.sha256()
    tables: Any = blocks.with_format("arrow").iter(BATCH)
    for table in tables:
        ids = table.column("input_ids").combine_chunks()
        for values in (ids.value_lengths(), ids.flatten()):
            digest.update(values.to_numpy(zero_copy_only=False))
    return digest.hexdigest()


def pack_blocks(articles: Iterable[list[int]], size: int, separator: int) -> Iterator[list[int]]:
    """Cut token ids into blocks of `size`, with `separator` between two articles that share a block.

    No token is lost or repeated. The last block can be shorter. A block with room for a separator but no token after it
    is one token shorter.
    """
    block: list[int] = []
    for ids in articles:
        start = 0
        if block and ids:
            if len(block) + 1 < size:
                block.append(separator)
            else:
                yield block
                block = []
        while start < len(ids):
            taken = ids[start : start + size - len(block)]
            block += taken
            start += len(taken)
            if len(block) == size:
                yield block
                block = []
    if block:
        yield block

"""What was read for a split, in one line, so that a misread file is noticed before training."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from transformers import PreTrainedTokenizerBase

from recipe.data.articles import Articles
from recipe.data.documents import Document, Notes, list_sentences
from recipe.data.schemes import list_entities
from recipe.inputs.tokens import IGNORED, tokenize_words

FEW = 100  # entities; in smaller data, a type of a single entity is no surprise
FEWEST_MASKED = 200  # a single token changes the accuracy by half a point


def format_overview(split: str, documents: Sequence[Document], notes: Notes, tokenizer: PreTrainedTokenizerBase) -> str:
    """Files, tag scheme, counts, entities by type, skipped comments, unknown words and the longest sentence."""
    sentences = list_sentences(documents)
    words = Counter(word for sentence in sentences for word in sentence.words)
    kinds = Counter(kind for sentence in sentences for _, _, kind in list_entities(sentence.tags))
    types = ", ".join(f"{kind} {count:,}" for kind, count in sorted(kinds.items()))
    longest = max((len(sentence.words) for sentence in sentences), default=0)
    parts = [
        f"{' '.join(Path(file).name for file in notes.files)} ({', '.join(sorted(notes.schemes))})",
        f"{len(documents):,} document(s), {len(sentences):,} sentences, {words.total():,} words",
        f"{kinds.total():,} entities" + (f" ({types})" if types else ""),
        f"{notes.comments:,} comment line(s) skipped",
        f"{count_unknown(words, tokenizer):,} word(s) unknown to the tokenizer",
        f"longest sentence {longest:,} words",
    ]
    remarks = [f"data: {split}: {count:,} x {text} (first: {place})" for text, (place, count) in notes.remarks.items()]
    doubts = [f"data: {split}: {doubt}" for doubt in _list_doubts(kinds)]
    return "\n".join([f"data: {split}: {'; '.join(parts)}", *remarks, *doubts])


def _list_doubts(kinds: Counter[str]) -> list[str]:
    """What can be wrong with entity types: names that are almost equal, and a type that occurs only once."""
    spellings: dict[str, list[str]] = {}
    for kind in sorted(kinds):
        spellings.setdefault(re.sub(r"[\W_]", "", kind).casefold() or kind, []).append(kind)
    alike = [f"types that differ only in case or signs: {', '.join(same)}" for same in spellings.values() if same[1:]]
    once = [kind for kind, count in sorted(kinds.items()) if count == 1 and kinds.total() >= FEW]
    return alike + ([f"types of only one entity, which can be mistakes: {', '.join(once)}"] if once else [])


def format_text_overview(source: str, articles: Articles, blocks: Any, tokenizer: PreTrainedTokenizerBase) -> str:
    """Source, articles, blocks, tokens and unknown tokens of text. Streamed text is not counted.

    blocks: a data set of blocks, or a `recipe.inputs.stream.BlockStream`.
    """
    if not (isinstance(articles, datasets.Dataset) and isinstance(blocks, datasets.Dataset)):
        return f"{source}; streamed"
    ids = list_ids(blocks)
    unknown = 0 if tokenizer.unk_token_id is None else int((ids == tokenizer.unk_token_id).sum())
    return (
        f"{source}; {len(articles):,} article(s); {len(blocks):,} blocks, {len(ids):,} tokens; {unknown:,} of them "
        "unknown to the tokenizer"
    )


def doubt_masks(blocks: datasets.Dataset) -> str | None:
    """Why an evaluation on blocks with labels is in doubt: too few masked tokens. None if they are enough."""
    masked = int((list_ids(blocks, "labels") != IGNORED).sum())
    if masked >= FEWEST_MASKED:
        return None
    advice = "set validation_file, or a higher validation_split_percentage"
    return f"only {masked} masked token(s), whose loss says little: {advice}"


def list_ids(blocks: datasets.Dataset, column: str = "input_ids") -> np.ndarray:
    """The token ids of all blocks, one after another."""
    parts: Any = blocks.with_format("arrow")[:][column].chunks
    return np.concatenate([part.flatten().to_numpy() for part in parts])


def count_unknown(words: Counter[str], tokenizer: PreTrainedTokenizerBase) -> int:
    """The number of words (each as often as it occurs) for which the tokenizer gives its unknown token."""
    unknown = tokenizer.unk_token_id
    if unknown is None or not words:
        return 0
    pieces = tokenize_words(tokenizer, [[word] for word in words])
    return sum(count for count, [ids] in zip(words.values(), pieces, strict=True) if unknown in ids)

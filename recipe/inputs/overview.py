"""One line that says what was read for a split, so that a misread file is noticed before training."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from recipe.data.documents import Document, Notes, list_sentences
from recipe.data.schemes import list_entities
from recipe.inputs.tokens import tokenize_words


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
    return "\n".join([f"data: {split}: {'; '.join(parts)}", *remarks])


def count_unknown(words: Counter[str], tokenizer: PreTrainedTokenizerBase) -> int:
    """The number of words (each as often as it occurs) for which the tokenizer gives its unknown token."""
    unknown = tokenizer.unk_token_id
    if unknown is None or not words:
        return 0
    pieces = tokenize_words(tokenizer, [[word] for word in words])
    return sum(count for count, [ids] in zip(words.values(), pieces, strict=True) if unknown in ids)

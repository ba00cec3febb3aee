"""Documents -> model windows in which every word is labelled exactly once; logits of windows -> logits of words.

The label of a word is on its first sub-word. A window can also contain unlabelled words, as context for the others.
Case markers come before the first sub-word and get the label `O`.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TypedDict

import numpy as np
from transformers import PreTrainedTokenizerBase

from recipe.data.documents import Document, Sentence, list_sentences
from recipe.errors import RecipeError
from recipe.inputs.case_markers import find_markers
from recipe.inputs.tokens import IGNORED, special_tokens, tokenize_words

CONTEXTS = ("none", "document", "mixed")  # values of the setting `context`


class Window(TypedDict):
    """One input of the model: three lists of the same length, in tokens, and the starts of its sentences.

    labels: the label id at the first sub-word of a labelled word, that of `O` at its case markers, `IGNORED` elsewhere.
    word_ids: number of the word in the whole split at the first sub-word of a labelled word, -1 elsewhere.
    sentence_starts: token index of the start of each sentence after the first one.
    """

    input_ids: list[int]
    labels: list[int]
    word_ids: list[int]
    sentence_starts: list[int]


@dataclass(frozen=True)
class Span:
    """Words `start` to `stop - 1` of a text are in a window; `labelled_start` to `labelled_stop - 1` are labelled."""

    start: int
    stop: int
    labelled_start: int
    labelled_stop: int


def plan_spans(sizes: Sequence[int], starts: Iterable[int], capacity: int, context: int) -> list[Span]:
    """Cover a text with spans of at most `capacity` tokens that label each of its words exactly once.

    sizes: number of tokens of each word, between 1 and `capacity`.
    starts: numbers of the words that start a sentence. If lengths allow, spans and their labelled parts start and end
    at these words.
    context: minimum number of tokens on each side of a labelled word, if the text has them; at most a quarter of
    `capacity` is used. With 0, spans do not overlap.
    """
    ends = [0, *accumulate(sizes)]  # ends[i]: tokens before word i
    breaks = sorted({0, len(sizes), *starts})
    context = min(context, capacity // 4)

    def align(word: int, lowest: int) -> int:
        """The last sentence break from `lowest` to `word`; `word` itself without one."""
        last_break = breaks[bisect_right(breaks, word) - 1]
        return last_break if last_break >= lowest else word

    def tokens_before(word: int, tokens: int) -> int:
        """The last word that starts at least `tokens` tokens before `word`, or word 0."""
        return max(bisect_right(ends, ends[word] - tokens) - 1, 0)

    spans, start, first = [], 0, 0
    while first < len(sizes):
        stop = last = bisect_right(ends, ends[start] + capacity) - 1
        if stop < len(sizes):
            last = align(max(tokens_before(stop, context), first + 1), first + 1)
            stop = align(stop, bisect_left(ends, ends[last] + context))
        spans.append(Span(start, stop, first, last))
        first = last
        if first < len(sizes):
            start = align(tokens_before(first, context), bisect_left(ends, ends[first] - 2 * context))
            start = max(start, bisect_left(ends, ends[first + 1] - capacity))  # the next labelled word must fit
    return spans


def build_windows(
    documents: Iterable[Document],
    tokenizer: PreTrainedTokenizerBase,
    labels: Sequence[str],
    max_seq_length: int,
    context: str = "none",
    context_size: int = 0,
) -> list[Window]:
    """Turn a split into windows of at most `max_seq_length` tokens, special tokens included.

    context: "none" puts each sentence into its own windows, "document" and "mixed" join neighbouring sentences of a
    document.
    context_size: see `plan_spans`; use 0 for training, so that each token occurs once.
    A word with more sub-words than fit into a window is cut. Windows are sorted from long to short, so that batches
    need little padding and the first batch shows whether memory is sufficient.
    Raises RecipeError if `max_seq_length` leaves no room for a word.
    """
    prefix, suffix = special_tokens(tokenizer)
    capacity = max_seq_length - len(prefix) - len(suffix)
    if capacity < 1:
        raise RecipeError(
            f"max_seq_length: {max_seq_length} leaves no room between the special tokens: set a larger value"
        )
    label_ids = {label: number for number, label in enumerate(labels)}
    markers, outside = find_markers(tokenizer), label_ids.get("O", IGNORED)
    windows, number = [], 0
    for sentences in _list_texts(documents, context):
        pieces = tokenize_words(tokenizer, [sentence.words for sentence in sentences])
        words = [ids[:capacity] for sentence in pieces for ids in sentence]
        word_labels = [label_ids[tag] for sentence in sentences for tag in sentence.tags]
        starts = set(accumulate(len(sentence.words) for sentence in sentences))
        for span in plan_spans([len(ids) for ids in words], starts, capacity, context_size):
            labelled = range(span.labelled_start, span.labelled_stop)
            parts = [
                (words[word], word_labels[word], number + word) if word in labelled else (words[word], None, -1)
                for word in range(span.start, span.stop)
            ]
            window = _join([(prefix, None, -1), *parts, (suffix, None, -1)], markers, outside)
            ends = accumulate((len(words[word]) for word in range(span.start, span.stop)), initial=len(prefix))
            places = zip(range(span.start, span.stop), ends, strict=False)
            window["sentence_starts"] = [place for word, place in places if word in starts and word > span.start]
            windows.append(window)
        number += len(words)
    return sorted(windows, key=lambda window: len(window["input_ids"]), reverse=True)


def _join(parts: Iterable[tuple[list[int], int | None, int]], markers: frozenset[int], outside: int) -> Window:
    """Build a window from `parts`: for each word its ids, its label id (None if unlabelled), its number in the split.

    The label is on the first sub-word after the case markers, which get the label `outside`.
    """
    window = Window(input_ids=[], labels=[], word_ids=[], sentence_starts=[])
    for ids, label, number in parts:
        labels, word_ids = [IGNORED] * len(ids), [-1] * len(ids)
        if label is not None:
            first = next((at for at, token_id in enumerate(ids) if token_id not in markers), len(ids) - 1)
            labels[: first + 1] = [*[outside] * first, label]
            word_ids[first] = number
        window["input_ids"] += ids
        window["labels"] += labels
        window["word_ids"] += word_ids
    return window


def collect_logits(rows: Iterable[np.ndarray], windows: Iterable[Window]) -> np.ndarray:
    """The logits of each word of a split, (words, labels).

    rows: for each window, the logits at all tokens, (length, labels); padding at the end is ignored.
    """
    word_ids = [np.asarray(window["word_ids"]) for window in windows]
    found = np.concatenate([row[: len(ids)][ids >= 0] for row, ids in zip(rows, word_ids, strict=True)])
    logits = np.empty_like(found)
    logits[np.concatenate([ids[ids >= 0] for ids in word_ids])] = found
    return logits


def _list_texts(documents: Iterable[Document], context: str) -> list[list[Sentence]]:
    """The texts, as lists of sentences; a window contains sentences of one text only."""
    if context != "none":
        return [document.sentences for document in documents if document.sentences]
    return [[sentence] for sentence in list_sentences(documents)]

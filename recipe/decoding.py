"""Scores of the labels at each word -> tags: for each sentence the best sequence that IOB2 allows.

Word by word, the best label can be an I that continues nothing; the whole entity is then lost to strict scoring.
Source: Viterbi 1967, doi:10.1109/TIT.1967.1054010.
"""

from collections.abc import Sequence
from itertools import islice

import numpy as np


def decode(
    scores: np.ndarray, lengths: Sequence[int], labels: Sequence[str], constrained: bool = True
) -> list[list[str]]:
    """The tags of each sentence.

    scores: (words, labels), logits or log probabilities of the words of all sentences.
    lengths: words in each sentence.
    constrained: find the sequence of the highest total that IOB2 allows; otherwise each word's best label.
    """
    if constrained:
        label_ids = find_best_paths(scores, np.asarray(lengths, int), *forbid_transitions(labels))
    else:
        label_ids = scores.argmax(-1)
    tags = (labels[label_id] for label_id in label_ids)
    return [list(islice(tags, length)) for length in lengths]


def forbid_transitions(labels: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """What to add to a label's score: (labels,) where a sentence starts, (labels before, labels) within it.

    That is minus infinity for an I which follows neither B nor I of its type, 0 for all else. A type that has no B
    among `labels` is not constrained.
    """
    start, transitions = np.zeros(len(labels)), np.zeros((len(labels), len(labels)))
    for label_id, label in enumerate(labels):
        prefix, _, kind = label.partition("-")
        if prefix == "I" and f"B-{kind}" in labels:
            start[label_id] = -np.inf
            transitions[:, label_id] = [0 if before in (f"B-{kind}", label) else -np.inf for before in labels]
    return start, transitions


def find_best_paths(scores: np.ndarray, lengths: np.ndarray, start: np.ndarray, transitions: np.ndarray) -> np.ndarray:
    """The label id of each word on the path of the highest total through each sentence, all sentences side by side.

    scores, lengths: as of `decode`. start, transitions: as `forbid_transitions` returns them.
    """
    order = np.argsort(-lengths, kind="stable")  # longest first: those that reach a position come before the others
    firsts = (np.cumsum(lengths) - lengths)[order]
    reaching = [int(np.sum(lengths > position)) for position in range(lengths.max(initial=0))]
    totals = scores[firsts] + start  # (sentences, labels): of the best path that ends so
    backpointers = np.zeros(scores.shape, int)  # on that path, the label id at the word before
    for position, count in enumerate(reaching[1:], 1):
        paths = totals[:count, :, None] + transitions
        words = firsts[:count] + position
        backpointers[words] = paths.argmax(1)
        totals[:count] = paths.max(1) + scores[words]
    label_ids, last = np.zeros(len(scores), int), totals.argmax(-1)
    for position, count in reversed(list(enumerate(reaching))):
        words = firsts[:count] + position
        label_ids[words] = last[:count]
        last[:count] = backpointers[words, last[:count]]
    return label_ids

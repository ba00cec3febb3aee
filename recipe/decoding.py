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
    label_ids = find_best_paths(scores, np.asarray(lengths, int), labels) if constrained else scores.argmax(-1)
    tags = (labels[label_id] for label_id in label_ids)
    return [list(islice(tags, length)) for length in lengths]


def find_best_paths(scores: np.ndarray, lengths: np.ndarray, labels: Sequence[str]) -> np.ndarray:
    """The label id of each word on the path of the highest total through each sentence, all sentences side by side.

    scores, lengths, labels: as of `decode`. Any label may follow any other, but an I only B or I of its type: so the
    label before is the best of all or, for an I, the better of these two. A type without B is not constrained.
    """
    insides = [i for i, label in enumerate(labels) if label[0] == "I" and f"B{label[1:]}" in labels]
    begins = [labels.index(f"B{labels[i][1:]}") for i in insides]
    order = np.argsort(-lengths, kind="stable")  # longest first: those that reach a position come before the others
    firsts = (np.cumsum(lengths) - lengths)[order]
    reaching = [int(np.sum(lengths > position)) for position in range(lengths.max(initial=0))]
    totals = scores[firsts].astype(float)  # (sentences, labels): of the best path that ends so
    totals[:, insides] = -np.inf
    backpointers = np.zeros(scores.shape, int)  # on that path, the label id at the word before
    for position, count in enumerate(reaching[1:], 1):
        before, words = totals[:count], firsts[:count] + position
        best = np.repeat(before.argmax(1)[:, None], len(labels), 1)
        best[:, insides] = np.where(before[:, insides] > before[:, begins], insides, begins)
        backpointers[words] = best
        totals[:count] = np.take_along_axis(before, best, 1) + scores[words]
    label_ids, last = np.zeros(len(scores), int), totals.argmax(-1)
    for position, count in reversed(list(enumerate(reaching))):
        words = firsts[:count] + position
        label_ids[words] = last[:count]
        last[:count] = backpointers[words, last[:count]]
    return label_ids

"""Logits of words -> the best valid IOB2 tag sequence of each sentence, and confidences.

If the best label of each word is chosen separately, it can be an I that continues no entity. Strict scoring then counts
the whole entity as wrong. Here the probability of a valid IOB2 sequence is proportional to the exponential of the sum
of its logits, and that of other sequences is 0.
Sources: Viterbi 1967, doi:10.1109/TIT.1967.1054010; forward-backward: Rabiner 1989, doi:10.1109/5.18626.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice, pairwise

import numpy as np

from recipe.data.schemes import find_continuations


def decode(
    logits: np.ndarray, lengths: Sequence[int], labels: Sequence[str], constrained: bool = True
) -> list[list[str]]:
    """The tags of each sentence.

    logits: (words, labels), for the words of all sentences.
    lengths: number of words in each sentence.
    constrained: find the valid IOB2 sequence with the highest sum of logits, otherwise the best label of each word.
    """
    label_ids = find_best_paths(logits, lengths, labels) if constrained else logits.argmax(-1)
    tags = (labels[label_id] for label_id in label_ids)
    return [list(islice(tags, length)) for length in lengths]


class _SideBySide:
    """An order of the words of all sentences in which each step of a pass through them is one slice.

    order: (words,) the first words of all sentences, then the second words, and so on, longest sentences first.
    first: the slice of the first words.
    links: for each further position, the slices of the words before it and of the words at it, of the same sentences.
    """

    def __init__(self, lengths: Sequence[int]):
        sizes = np.asarray(lengths, int)
        longest_first = np.argsort(-sizes)  # so that the sentences that reach a position are the first ones
        firsts = (np.cumsum(sizes) - sizes)[longest_first]
        reaching = (len(sizes) - np.cumsum(np.bincount(sizes)))[:-1]  # the number of sentences with this position
        ends = np.cumsum(reaching)
        starts = ends - reaching
        positions = np.repeat(np.arange(len(reaching)), reaching)
        self.order = firsts[np.arange(sizes.sum()) - starts[positions]] + positions
        bounds = list(zip(starts.tolist(), ends.tolist(), strict=True))
        self.first = slice(*bounds[0]) if bounds else slice(0)
        self.links = [
            (slice(before, before + end - start), slice(start, end)) for (before, _), (start, end) in pairwise(bounds)
        ]


def find_best_paths(logits: np.ndarray, lengths: Sequence[int], labels: Sequence[str]) -> np.ndarray:
    """The label id of each word on the best path through its sentence; all sentences are processed together.

    logits, lengths, labels: see `decode`. An I can only follow a B or I of its type, and all other labels can follow
    any label. So the best previous label is the best of all, or for an I the better of two. An I whose type has no B is
    not constrained.
    """
    insides, begins = _split_pairs(labels)
    steps = _SideBySide(lengths)
    totals = logits[steps.order].astype(float)  # sum of logits on the best path that ends with the label
    totals[steps.first, insides] = -np.inf
    for before, words in steps.links:
        previous = totals[before]
        best = np.repeat(previous.max(1, keepdims=True), len(labels), 1)
        best[:, insides] = np.maximum(previous[:, insides], previous[:, begins])
        totals[words] += best
    chosen = totals.argmax(1)  # right for the last word of each sentence
    origins = np.repeat(chosen[:, None], len(labels), 1)  # the label on the best path to a label of the next word
    origins[:, insides] = np.where(totals[:, insides] > totals[:, begins], insides, begins)
    rows = np.arange(len(origins))
    for before, words in reversed(steps.links):
        chosen[before] = origins[rows[before], chosen[words]]
    label_ids = np.empty_like(chosen)
    label_ids[steps.order] = chosen
    return label_ids


@dataclass(frozen=True)
class Posteriors:
    """Probabilities of labels and entities, built by `compute_posteriors`. Weights are logarithms.

    words: (words, labels), the marginal probability of each label at each word.
    """

    words: np.ndarray
    _labels: dict[str, int]
    _logits: np.ndarray  # (words, labels)
    _before: np.ndarray  # (words,) weight of all label sequences before the word
    _ahead: np.ndarray  # (words, labels) weight of the label and all label sequences after it
    _total: np.ndarray  # (words,) weight of all label sequences of the sentence
    _constrained: frozenset[int]  # label ids that can only follow a B or I of their type

    def weigh_sentences(self, firsts: np.ndarray) -> np.ndarray:
        """The weight of all label sequences of each sentence. firsts: (sentences,) index of its first word."""
        return self._total[firsts]

    def score_entity(self, start: int, stop: int, kind: str, ends_sentence: bool) -> float:
        """The probability that words `start` to `stop - 1`, and no more, are an entity of type `kind`.

        start, stop: indices into the words of all sentences. ends_sentence: whether word `stop - 1` is the last of its
        sentence.
        """
        weight = self._before[start] + self._logits[start, self._labels[f"B-{kind}"]] - self._total[start]
        inside = self._labels.get(f"I-{kind}")
        weight += self._logits[start + 1 : stop, inside].sum()
        if not ends_sentence:
            closing = [number for number in self._labels.values() if number not in {inside, *self._constrained}]
            weight += _add_logs(self._ahead[stop, closing])
        return float(np.exp(min(weight, 0.0)))  # rounding can give slightly more than 1


def compute_posteriors(
    logits: np.ndarray, lengths: Sequence[int], labels: Sequence[str], constrained: bool = True
) -> Posteriors:
    """The probabilities of labels and entities by forward-backward; logits, lengths, labels: see `decode`.

    constrained: only valid IOB2 sequences have a probability above 0; otherwise each word is predicted separately.
    """
    insides, begins = _split_pairs(labels if constrained else [])
    can_follow = np.ones((len(labels), len(labels)))  # [before, after]: 1 where the label `after` can follow `before`
    can_follow[:, insides] = 0
    can_follow[begins, insides] = can_follow[insides, insides] = 1
    steps = _SideBySide(lengths)
    logits = logits.astype(float)
    forward = logits[steps.order]  # weight of all label sequences up to the word that end with the label
    ahead = forward.copy()
    reached = np.zeros_like(forward)  # weight of all label sequences before the word that the label can follow
    forward[steps.first, insides] = -np.inf
    with np.errstate(divide="ignore"):  # the logarithm of 0 is -inf: no sequence has such a label
        for earlier, words in steps.links:
            reached[words] = _add_products(forward[earlier], can_follow)
            forward[words] += reached[words]
        for earlier, words in reversed(steps.links):
            ahead[earlier] += _add_products(ahead[words], can_follow.T)
    places = np.empty_like(steps.order)
    places[steps.order] = np.arange(len(places))
    forward, ahead = forward[places], ahead[places]
    before = reached[places].max(-1)  # that of a label that can follow any other
    sizes = np.asarray([length for length in lengths if length], int)
    total = np.repeat(_add_logs(forward[np.cumsum(sizes) - 1]), sizes)
    probabilities = np.exp(forward + ahead - logits - total[:, None])
    numbers = {label: number for number, label in enumerate(labels)}
    return Posteriors(probabilities, numbers, logits, before, ahead, total, frozenset(insides.tolist()))


def fit_temperature(
    logits: np.ndarray, lengths: Sequence[int], gold: np.ndarray, labels: Sequence[str], constrained: bool = True
) -> float:
    """The temperature with the highest likelihood of the gold label sequences (Guo et al. 2017, for sequences).

    logits, lengths, labels: see `decode`. gold: (words,) label ids. Logits are divided by the temperature. It is at
    least 0.25 and at most 4, and rounded to 0.01; 1 if there are no words.
    """
    if not len(gold):
        return 1.0
    # the log-likelihood is a concave function of the inverse temperature
    chosen = logits[np.arange(len(gold)), gold].astype(float).sum()
    firsts = np.cumsum(lengths) - np.asarray(lengths, int)

    def measure(temperature: float) -> float:
        totals = compute_posteriors(logits / temperature, lengths, labels, constrained).weigh_sentences(firsts)
        return chosen / temperature - totals.sum()

    low, high = 25, 400  # hundredths
    while high - low > 2:
        left, right = low + (high - low) // 3, high - (high - low) // 3
        low, high = (low, right) if measure(left / 100) >= measure(right / 100) else (left, high)
    return max((step / 100 for step in range(low, high + 1)), key=measure)


def _split_pairs(labels: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The label ids of the constrained I labels and, in the same order, of their B labels."""
    pairs = np.asarray(find_continuations(labels), int).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def _add_logs(weights: np.ndarray) -> np.ndarray:
    """log(sum(exp(weights))) over the last axis."""
    highest = weights.max(-1)
    return highest + np.log(np.exp(weights - highest[..., None]).sum(-1))


def _add_products(weights: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """log(exp(weights) @ factors), (words, labels)."""
    highest = weights.max(-1, keepdims=True)
    return highest + np.log(np.exp(weights - highest) @ factors)

"""Texts -> how likely a masked language model finds them: (pseudo-)log-likelihoods of tokens, words and texts.

A masked model gives a pseudo-log-likelihood (Salazar et al. 2020): each token is masked and predicted from both sides.
With the metric `within_word_l2r` (Kauf and Ivanova 2023), the later pieces of its word are masked too, because they
would give it away. A masked autoregressive model gives a log-likelihood: each token is predicted at a mask from what
lies to its left, in one pass over the text and a masked copy of it.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from recipe.errors import RecipeError
from recipe.inference.masked_model import MaskedModel
from recipe.inference.scores import Row
from recipe.inference.texts import OnBad, check_texts, quote, refuse
from recipe.inputs.case_markers import find_markers

Metric = Literal["original", "within_word_l2r"]
BUFFER_ROWS = 4096  # rows that are prepared together, at most, if a single text does not have more


class Likelihood(NamedTuple):
    """Log-probabilities (nats) of the tokens and words of a text. Special tokens are not scored, case markers are.

    A word is a token of the tokenizer's own first split, with the case marker before it.
    """

    text: str
    tokens: list[tuple[str, float]]
    words: list[tuple[str, float]]

    @property
    def log_probability(self) -> float:
        """Of the text, in nats: the sum over its tokens."""
        return math.fsum(value for _, value in self.tokens)

    @property
    def bits_per_character(self) -> float:
        """Comparable between models with different tokenizers."""
        return -self.log_probability / math.log(2) / len(self.text)

    @property
    def bits_per_token(self) -> float:
        """Comparable between texts, for models with the same tokenizer."""
        return -self.log_probability / math.log(2) / len(self.tokens)


class _Encoded(NamedTuple):
    """A text: its ids, the positions of its scored tokens, the word of each, and where each word is in the text."""

    text: str
    ids: list[int]
    positions: list[int]
    words: list[int]
    places: dict[int, tuple[int, int]]


class Scorer(MaskedModel):
    """Scores texts with a masked language model."""

    auto_precision = "fp32"  # rounding would blur the small differences that likelihoods are compared by

    def __call__(self, texts: str | Iterable[str], metric: Metric | None = None) -> Any:
        """The `Likelihood` of one text, or a list of them for several.

        metric: of a pseudo-log-likelihood, by default `within_word_l2r`.
        Raises RecipeError for a text that is empty, contains a special token or is longer than the model accepts, for
        an unknown metric, and for a metric with a masked autoregressive model.
        """
        if isinstance(texts, str):
            return next(self.stream([texts], metric, lambda _, error: refuse(0, error)))
        return list(self.stream(texts, metric))

    def stream(
        self, texts: Iterable[str], metric: Metric | None = None, on_bad: OnBad = refuse
    ) -> Iterator[Likelihood | None]:
        """Score texts in order, without keeping all of them in memory.

        on_bad: called with the number of a text that cannot be scored, from 1, and its error, unless it raises
        another; the result for this text is then None.
        """
        if metric is not None and metric not in get_args(Metric):
            raise RecipeError(f"metric: {metric} is not one of {' '.join(get_args(Metric))}")
        if metric and self.pretraining.is_causal:
            raise RecipeError("metric: a masked autoregressive model has a log-likelihood of its own: remove it")
        waiting: list[tuple[_Encoded, list[Row]] | None] = []
        count = 0  # rows
        for number, text in enumerate(check_texts(texts), 1):
            try:
                encoded = self._encode(text)
            except RecipeError as error:
                on_bad(number, error)
                waiting.append(None)
                continue
            rows = [self._copy(encoded)] if self.pretraining.is_causal else self._mask_each(encoded, metric)
            waiting.append((encoded, rows))
            count += len(rows)
            if count >= BUFFER_ROWS:
                yield from self._score_buffer(waiting)
                waiting, count = [], 0
        yield from self._score_buffer(waiting)

    def _score_buffer(self, waiting: Sequence[tuple[_Encoded, list[Row]] | None]) -> Iterator[Likelihood | None]:
        scored = self._score([pair for pair in waiting if pair])
        for pair in waiting:
            yield next(scored) if pair else None

    def _encode(self, text: str) -> _Encoded:
        clean = text if text.isascii() else text.encode("utf-8", "replace").decode()
        encoding = self.tokenizer(clean, verbose=False).encodings[0]
        if len(encoding.ids) > self.longest:
            raise RecipeError(
                f"{quote(text)} has {len(encoding.ids)} tokens, but the model accepts {self.longest}: shorten it"
            )
        markers = find_markers(self.tokenizer)
        special = {*self.tokenizer.all_special_ids} - markers - {self.tokenizer.unk_token_id}
        positions = [place for place, token in enumerate(encoding.ids) if token not in special]
        added = encoding.special_tokens_mask
        inside = [place for place, token in enumerate(encoding.ids) if token in special and not added[place]]
        if inside:
            raise RecipeError(f"{quote(text)} contains {encoding.tokens[inside[0]]}, which is not scored: remove it")
        if not positions:
            raise RecipeError(f"{quote(text)} has no words, so it has no likelihood: remove it")
        words: list[int] = []
        places: dict[int, tuple[int, int]] = {}
        opened = -1
        continues_marker = False
        last = None
        for place in positions:
            marked = encoding.ids[place] in markers
            own = encoding.word_ids[place]
            if marked or (not continues_marker and (own is None or own != last)):
                opened += 1
            if not marked:
                start, end = encoding.offsets[place]
                places[opened] = (places.get(opened, (start, end))[0], end)
                last = own
            continues_marker = marked
            words.append(opened)
        return _Encoded(text, list(encoding.ids), positions, words, places)

    def _mask_each(self, encoded: _Encoded, metric: Metric | None) -> list[Row]:
        """A row for each scored token, in which it is masked."""
        mask, rows = self.tokenizer.mask_token_id, []
        for number, place in enumerate(encoded.positions):
            ids = list(encoded.ids)
            ids[place] = mask
            if metric != "original":
                for later, word in zip(encoded.positions[number + 1 :], encoded.words[number + 1 :], strict=True):
                    if word != encoded.words[number]:
                        break
                    ids[later] = mask
            rows.append(Row(ids, [place]))
        return rows

    def _copy(self, encoded: _Encoded) -> Row:
        """The text and, behind it, a mask for each scored token, which sees the text to the left of that token."""
        length, count = len(encoded.ids), len(encoded.positions)
        places = [*range(length), *encoded.positions]
        left, right = np.array(places)[:, None], np.array(places)[None]
        copies = np.arange(length + count) >= length
        text, before = left >= right, left > right  # a token of the text also sees itself
        visible = np.where(copies[:, None], before, text) & ~copies[None] | np.eye(length + count, dtype=bool)
        ids = encoded.ids + [self.tokenizer.mask_token_id] * count
        return Row(ids, list(range(length, length + count)), places, visible)

    def _score(self, waiting: Sequence[tuple[_Encoded, list[Row]]]) -> Iterator[Likelihood]:
        rows = [row for _, own in waiting for row in own]
        wanted = [_list_targets(encoded, row) for encoded, own in waiting for row in own]
        found: list[list[float]] = [[] for _ in rows]
        for numbers, scores in self.predict(rows):
            values = iter(scores.find([token for number in numbers for token in wanted[number]]))
            for number in numbers:
                found[number] = [next(values) for _ in wanted[number]]
        first = 0
        for encoded, own in waiting:
            values = [value for numbers in found[first : first + len(own)] for value in numbers]
            first += len(own)
            names = self.tokenizer.convert_ids_to_tokens([encoded.ids[place] for place in encoded.positions])
            totals: dict[int, float] = {}
            for word, value in zip(encoded.words, values, strict=True):
                totals[word] = totals.get(word, 0.0) + value
            words = [(encoded.text[slice(*encoded.places.get(word, (0, 0)))], value) for word, value in totals.items()]
            yield Likelihood(encoded.text, list(zip(names, values, strict=True)), words)


def _list_targets(encoded: _Encoded, row: Row) -> list[int]:
    """The tokens that a row predicts."""
    return [encoded.ids[place] for place in (row.positions if row.visible is None else encoded.positions)]

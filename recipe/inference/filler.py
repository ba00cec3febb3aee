"""Masked text -> filled text: predictions for masked positions, all at once or one after another.

Orders: `parallel` predicts all positions from one forward pass. `left_to_right` (masked autoregressive) feeds each
prediction back before the next one. `confidence` predicts the most certain positions first, as Mask-Predict
(Ghazvininejad et al. 2019) and MaskGIT (Chang et al. 2022) do.
"""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import compress
from typing import Any, NamedTuple

import numpy as np

from recipe.errors import RecipeError
from recipe.inference.fill_options import FillOptions, Order
from recipe.inference.masked_model import MaskedModel
from recipe.inference.masks import (
    MARKER,
    MOST_PIECES,
    MaskedText,
    Slot,
    Vocabulary,
    fill_text,
    mask_fraction,
    mask_positions,
    mask_typed,
    mask_words,
)
from recipe.inference.scores import Row, Scores
from recipe.inference.texts import OnBad, check_texts, quote, refuse, split_buffers
from recipe.seeds import derive_seed

BUFFER = 2048  # texts that are filled together
SPANS = re.compile(r"\[MASK:[^\]]*\]")


class Prediction(NamedTuple):
    """The prediction at one masked position.

    position: in the encoded text. token: as the tokenizer spells it, in lower case if it is uncased.
    log_probability: natural logarithm of the token's probability when it was chosen. candidates: the best tokens with
    their probabilities, from best to worst.
    original: the token that was masked, if it is known.
    """

    position: int
    token: str
    log_probability: float
    candidates: list[tuple[str, float]]
    original: str | None

    @property
    def is_recovered(self) -> bool | None:
        """Whether the original was found again; None if it is not known."""
        return None if self.original is None else self.token == self.original


class FilledText(NamedTuple):
    """A filled text.

    gaps: start, end and text of each filled gap. log_probability: of the chain of predictions, its natural logarithm.
    passes: forward passes that this text took part in.
    """

    text: str
    gaps: list[tuple[int, int, str]]
    predictions: list[Prediction]
    log_probability: float
    passes: int


@dataclass
class _State:
    """A text that is being filled. chosen: for each filled position, its token, log-probability and candidates."""

    masked: MaskedText
    ids: list[int]
    remaining: list[Slot]
    rounds: int
    chosen: dict[int, tuple[int, float, list[tuple[int, float]]]] = field(default_factory=dict)
    passes: int = 0

    @property
    def log_probability(self) -> float:
        return sum(log_probability for _, log_probability, _ in self.chosen.values())


class Filler(MaskedModel):
    """Fills masks in text with a masked language model."""

    def __init__(self, model, tokenizer):
        super().__init__(model, tokenizer)
        self.vocabulary = Vocabulary(tokenizer, self.predictor.config.vocab_size)

    def __call__(self, texts: str | Iterable[str], **options: Any) -> Any:
        """Fill the masks of one text, or of several; returns a `FilledText`, or a list of them.

        options: fields of `FillOptions`. Raises RecipeError for a text without masks, or longer than the model accepts.
        """
        if isinstance(texts, str):
            [filled] = self._fill([texts], FillOptions(**options), refuse)
            return filled
        return list(self.stream(texts, **options))

    def stream(self, texts: Iterable[str], on_bad: OnBad = refuse, **options: Any) -> Iterator[FilledText | None]:
        """Fill texts in order, without keeping all of them in memory.

        on_bad: called with the number of a text that cannot be filled, from 1, and its error, unless it raises
        another; the result for this text is then None.
        """
        chosen, first = FillOptions(**options), 1
        for buffer in split_buffers(check_texts(texts), BUFFER):
            yield from self._fill(buffer, chosen, lambda number, error, first=first: on_bad(first + number, error))
            first += len(buffer)

    def mask(self, text: str, options: FillOptions) -> MaskedText:
        """Mask a text as the options say. Raises RecipeError for positions or words that it does not have."""
        if options.mask_positions is not None:
            return mask_positions(text, self.vocabulary, options.mask_positions)
        if options.mask_words is not None:
            return mask_words(text, self.vocabulary, options.mask_words)
        if options.mask_fraction is not None:
            return mask_fraction(text, self.vocabulary, options.mask_fraction, options.seed)
        return mask_typed([text], self.vocabulary)[0]

    def _fill(self, texts: list[str], options: FillOptions, on_bad: OnBad) -> list[FilledText | None]:
        good: dict[int, MaskedText] = {}
        typed = [] if options.masks_set else mask_typed(texts, self.vocabulary)
        for number, text in enumerate(texts):
            try:
                self._check_text(text, options)
                item = self.mask(text, options) if options.masks_set else typed[number]
                if options.masks_set and not item.gaps:
                    raise RecipeError(f"{quote(text)} has no words to mask")
                self._check(item)
                good[number] = item
            except RecipeError as error:
                on_bad(number, error)
        chosen = list(good.values())
        if not options.masks_set:
            chosen = self._choose_pieces(chosen, options)
        filled = dict(zip(good, self.fill_masked(chosen, options), strict=True))
        return [filled.get(number) for number in range(len(texts))]

    def fill_masked(self, masked: Sequence[MaskedText], options: FillOptions) -> list[FilledText]:
        """Fill texts that are masked already. Raises RecipeError for one without masks, or longer than is accepted."""
        return [self._finish(state) for state in self._run(masked, options)]

    def _check_text(self, text: str, options: FillOptions) -> None:
        if options.masks_set and self.vocabulary.typed.search(text):
            raise RecipeError(f"{quote(text)} has masks already: remove the masks, or leave out {options.masks_set}")
        if wrong := next((mask[0] for mask in SPANS.finditer(text) if not self.vocabulary.typed.match(mask[0])), None):
            raise RecipeError(f"{wrong}: expected 1 to {MOST_PIECES} pieces, such as [MASK:3]")

    def _check(self, masked: MaskedText) -> None:
        if not masked.gaps:
            raise RecipeError(
                f"no masks in {quote(masked.text)}: write [MASK] where a word is missing, or set mask_words, "
                "mask_positions or mask_fraction"
            )
        if len(masked.ids) > self.longest:
            raise RecipeError(
                f"{quote(masked.text)} has {len(masked.ids)} tokens, but the model accepts {self.longest}: shorten it"
            )

    def _choose_pieces(self, masked: list[MaskedText], options: FillOptions) -> list[MaskedText]:
        """Texts with typed masks, as `mask_typed` returns them, with the best number of pieces where none is given.

        A model with case markers also decides for each mask whether there is one. Masks are decided from left to
        right, while the others have one piece.
        """
        vocabulary, texts, decided = self.vocabulary, [item.text for item in masked], False
        found = [list(vocabulary.typed.finditer(text)) for text in texts]
        shapes = [[(int(match[1] or 1), False) for match in matches] for matches in found]
        for number in range(max(map(len, found), default=0)):
            tried: list[tuple[int, list[tuple[int, bool]]]] = []
            for text, matches in enumerate(found):
                if number < len(matches):
                    given = matches[number][1]
                    counts = (int(given),) if given else options.pieces
                    marked = (False, True) if vocabulary.markers else (False,)
                    choices = [(count, has_marker) for count in counts for has_marker in marked]
                    if len(choices) > 1 or choices[0] != shapes[text][number]:
                        before, after = shapes[text][:number], shapes[text][number + 1 :]
                        tried += [(text, [*before, choice, *after]) for choice in choices]
            if not tried:
                continue
            variants = mask_typed([texts[text] for text, _ in tried], vocabulary, [shape for _, shape in tried])
            fits = [len(item.ids) <= self.longest for item in variants]
            tried = list(compress(tried, fits))
            own = [item._replace(gaps=[item.gaps[number]]) for item in compress(variants, fits)]
            decided = True
            best: dict[int, float] = {}
            for (text, shape), state in zip(tried, self._run(own, options, greedy=True), strict=True):
                mean = state.log_probability / len(state.chosen)
                if mean > best.get(text, -math.inf):
                    best[text], shapes[text] = mean, shape
        return mask_typed(texts, vocabulary, shapes) if decided else masked

    def _run(self, masked: Sequence[MaskedText], options: FillOptions, greedy: bool = False) -> list[_State]:
        """Predict all masked positions. greedy: take the best tokens, whatever the temperature."""
        for item in masked:
            self._check(item)
        order: Order = options.order or ("left_to_right" if self.pretraining.is_causal else "confidence")
        options = replace(options, order=order)  # refuses a threshold that the order of this model would ignore
        states = []
        for item in masked:
            rounds = 1 if order == "parallel" else min(options.steps or len(item.slots), len(item.slots))
            states.append(_State(item, list(item.ids), list(item.slots), rounds))
        temperature = 0.0 if greedy else options.temperature
        while active := [state for state in states if state.remaining]:
            shown = [_next_slots(state, order) for state in active]
            rows = [Row(state.ids, [slot.place for slot in slots]) for state, slots in zip(active, shown, strict=True)]
            for numbers, scores in self.predict(rows):
                batch = [(active[number], shown[number]) for number in numbers]
                self._choose(batch, scores, options, temperature)
        return states

    def _choose(
        self, batch: Sequence[tuple[_State, list[Slot]]], scores: Scores, options: FillOptions, temperature: float
    ) -> None:
        """Fill positions of one batch: states with the slots that were predicted.

        scores: at these slots.
        """
        kinds = [slot.kind for _, slots in batch for slot in slots]
        scores = scores.restrict(self.vocabulary.allowed, kinds)
        tokens, values = scores.rank(options.top)
        first = 0
        for state, slots in batch:
            found = {}
            for number, slot in enumerate(slots, first):
                token, probability = tokens[number][0], values[number][0]
                if temperature > 0:
                    row = scores.row(number)
                    token = _sample(row, temperature, (options.seed, state.masked.text, slot.place))
                    probability = float(row[token])
                listed = [pair for pair in zip(tokens[number], values[number], strict=True) if pair[1] > -math.inf]
                found[slot] = (token, probability, listed)
            first += len(slots)
            for slot in _pick(found, state, options):
                state.ids[slot.place] = found[slot][0]
                state.chosen[slot.place] = found[slot]
                state.remaining.remove(slot)
            state.rounds -= 1
            state.passes += 1

    def _finish(self, state: _State) -> FilledText:
        names = self.vocabulary.tokens
        text, places = fill_text(state.masked, state.ids, self.vocabulary)
        predictions = []
        for slot in _list_shown(state.masked):
            token, log_probability, listed = state.chosen[slot.place]
            candidates = [(names[candidate], math.exp(value)) for candidate, value in listed]
            original = None if slot.original is None else names[slot.original]
            predictions.append(Prediction(slot.place, names[token], log_probability, candidates, original))
        gaps = [(start, end, text[start:end]) for start, end in places]
        return FilledText(text, gaps, predictions, state.log_probability, state.passes)


def _list_shown(masked: MaskedText) -> list[Slot]:
    """The slots whose predictions are listed: a case marker that was masked with its word is not."""
    return [slot for gap in masked.gaps for slot in gap.slots if slot.kind != MARKER or len(gap.slots) == 1]


def _next_slots(state: _State, order: str) -> list[Slot]:
    """The slots to predict in the next pass."""
    if order == "left_to_right":
        return state.remaining[: -(-len(state.remaining) // max(state.rounds, 1))]
    return list(state.remaining)


def _pick(found: dict[Slot, tuple], state: _State, options: FillOptions) -> list[Slot]:
    """Of the predicted slots, those to fill in this pass: the most certain ones."""
    certain = sorted(found, key=lambda slot: -found[slot][1])
    count = -(-len(state.remaining) // max(state.rounds, 1))
    if options.threshold is not None:
        count = max(1, sum(math.exp(found[slot][1]) >= options.threshold for slot in certain))
    return certain[:count]


def _sample(scores: np.ndarray, temperature: float, seed: tuple) -> int:
    """A token drawn from a distribution, given as log-probabilities; equal for equal seeds, in any batch."""
    draw = np.random.default_rng(derive_seed(seed[0], seed[2], seed[1].encode()))
    return int(np.argmax(scores / temperature + draw.gumbel(size=len(scores))))

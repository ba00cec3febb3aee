"""How masks are filled: the options of a Filler, and what their values may be."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from recipe.errors import RecipeError
from recipe.inference.masks import MOST_PIECES

Order = Literal["parallel", "left_to_right", "confidence"]


@dataclass(frozen=True)
class FillOptions:
    """How masks are filled.

    order: default: `left_to_right` for a masked autoregressive model, otherwise `confidence`.
    steps: forward passes for each text, of about equally many positions (default: one position in each pass).
    threshold: `confidence`: fill all positions in a pass whose best token has at least this probability.
    temperature: sample from the distribution, flattened or sharpened by it; 0 takes the best token. seed: of samples
    and of randomly chosen masks.
    pieces: for a mask written without a number, the numbers of pieces to try; the one with the highest probability for
    each token, as a geometric mean, is taken.
    top: candidates to list for each position.
    mask_positions, mask_words, mask_fraction: what to mask in texts, see `recipe.inference.masks`.
    """

    order: Order | None = None
    steps: int | None = None
    threshold: float | None = None
    temperature: float = 0.0
    seed: int = 0
    pieces: Sequence[int] = (1,)
    top: int = 5
    mask_positions: Sequence[int] | None = None
    mask_words: Sequence[int] | None = None
    mask_fraction: float | None = None

    def __post_init__(self):
        """Raise RecipeError for values that are not valid, out of range, or exclude each other."""
        for name, (check, expected) in CHECKS.items():
            value = getattr(self, name)
            try:
                is_valid = (value is None and getattr(FillOptions, name) is None) or check(value)
            except TypeError:
                is_valid = False
            if not is_valid:
                raise RecipeError(f"{name}: {value!r} is not valid: expected {expected}")
        for exclusive in (("mask_positions", "mask_words", "mask_fraction"), ("steps", "threshold")):
            chosen = [name for name in exclusive if getattr(self, name) is not None]
            if len(chosen) > 1:
                raise RecipeError(f"{chosen[0]} and {chosen[1]}: set only one of them")
        if self.steps is not None and self.order == "parallel":
            raise RecipeError("steps: has no effect with the order parallel: remove it, or set another order")
        if self.masks_set and tuple(self.pieces) != (1,):
            raise RecipeError(f"pieces: has no effect with {self.masks_set}: remove one of them")
        if self.threshold is not None and self.order not in (None, "confidence"):
            raise RecipeError(f"threshold: has no effect with the order {self.order}: remove it, or set confidence")

    @property
    def masks_set(self) -> str | None:
        """The option that says what to mask; None if masks are in the texts."""
        names = ("mask_positions", "mask_words", "mask_fraction")
        return next((name for name in names if getattr(self, name) is not None), None)


def _are_whole(values: Any, least: float, most: float = math.inf) -> bool:
    """Whether values are whole numbers from `least` to `most`, and at least one."""
    return len(values) > 0 and all(isinstance(value, int) and least <= value <= most for value in values)


CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "order": (lambda value: value in get_args(Order), " ".join(get_args(Order))),
    "steps": (lambda value: _are_whole([value], 1), "a whole number of at least 1"),
    "threshold": (lambda value: 0 < value <= 1, "a number above 0 and at most 1"),
    "temperature": (lambda value: value == 0 or 0.001 <= value <= 1000, "0, or a number from 0.001 to 1000"),
    "seed": (lambda value: isinstance(value, int), "a whole number"),
    "pieces": (lambda value: _are_whole(value, 1, MOST_PIECES), f"whole numbers from 1 to {MOST_PIECES}"),
    "top": (lambda value: _are_whole([value], 1, 1000), "a whole number from 1 to 1000"),
    "mask_positions": (lambda value: _are_whole(value, -math.inf), "a list of token positions"),
    "mask_words": (lambda value: _are_whole(value, -math.inf), "a list of numbers of words"),
    "mask_fraction": (lambda value: 0 < value <= 1, "a number above 0 and at most 1"),
}

"""What the recipe's own JSON and YAML files contain: kinds and ranges of their values, by key.

A check takes a value and its place in the file, such as `test.entities.LOC.f1`. It raises ValueError with the place and
the value if the value is not as the recipe writes it. Keys that a check does not name can have any value.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from recipe.evaluation.matches import KINDS

Check = Callable[[Any, str], None]

LONGEST_VALUE = 60  # characters of a value in a message


def _refuse(value: Any, place: str, expected: str) -> None:
    shown = repr(value)
    shown = shown if len(shown) <= LONGEST_VALUE else f"{shown[:LONGEST_VALUE]}..."
    raise ValueError(f"{_begin(place)}{shown} is not {expected}")


def _begin(place: str) -> str:
    return f"{place}: " if place else ""


def number(value: Any, place: str) -> None:
    """A number, which may be NaN or infinite."""
    if type(value) not in (int, float):
        _refuse(value, place, "a number")


def amount(value: Any, place: str) -> None:
    """A number that is not negative; it may be NaN or infinite."""
    number(value, place)
    if value < 0:
        _refuse(value, place, "at least 0")


def share(value: Any, place: str) -> None:
    """A number from 0 to 1."""
    number(value, place)
    if not 0 <= value <= 1:
        _refuse(value, place, "between 0 and 1")


def count(value: Any, place: str, least: int = 0) -> None:
    """A whole number of at least `least`."""
    if type(value) is not int or value < least:
        _refuse(value, place, f"a whole number of at least {least}")


def rank(value: Any, place: str) -> None:
    """A whole number from 1."""
    count(value, place, 1)


def text(value: Any, place: str) -> None:
    """Text."""
    if not isinstance(value, str):
        _refuse(value, place, "text")


def optional(check: Check) -> Check:
    """What `check` accepts, or null."""
    return lambda value, place: None if value is None else check(value, place)


def rows(check: Check) -> Check:
    """A list whose items `check` accepts."""

    def check_rows(value: Any, place: str) -> None:
        if not isinstance(value, list):
            _refuse(value, place, "a list")
        for position, item in enumerate(value):
            check(item, f"{place}[{position}]")

    return check_rows


def keys(known: Mapping[str, Check], needed: Sequence[str] = (), others: Check | None = None) -> Check:
    """An object with the keys `needed`. known: checks of values by their key. others: the check of all other values."""

    def check_keys(value: Any, place: str) -> None:
        if not isinstance(value, dict):
            _refuse(value, place, "an object with keys")
        for key, item in value.items():
            if check := known.get(key, others):
                check(item, f"{place}.{key}" if place else str(key))
        for key in needed:
            if key not in value:
                raise ValueError(f"{_begin(place)}has no {key!r}")

    return check_keys


def each(check: Check) -> Check:
    """An object with any keys, whose values `check` accepts."""
    return keys({}, others=check)


def interval(value: Any, place: str) -> None:
    """Both ends of an interval of shares."""
    rows(share)(value, place)
    if len(value) != 2:
        _refuse(value, place, "a list of two numbers")


def scores(value: Any, place: str) -> None:
    """The scores of a split: of entities, or of masked tokens."""
    (ENTITY_SCORES if isinstance(value, dict) and "entities" in value else TOKEN_SCORES)(value, place)


OBJECT = keys({})
FIGURES: dict[str, Check] = {"precision": share, "recall": share, "f1": share, "support": count}
ROW = keys(FIGURES, list(FIGURES))
TABLE = keys({}, ["micro avg"], others=ROW)
ENTITY_SCORES = keys(
    {
        **{"entities": TABLE, "tags": each(ROW), "alone": TABLE},
        "documents": keys(
            {"unit": text, "number": count, "intervals": keys({}, ["micro avg"], others=optional(interval))},
            ["unit", "number", "intervals"],
        ),
        "running_text": keys(
            {"sentences": count, "tagger": share, "pipeline": share}, ["sentences", "tagger", "pipeline"]
        ),
    }
)
TOKENS = keys({"loss": amount, "accuracy": share, "tokens": count}, ["loss", "accuracy", "tokens"])
TOKEN_SCORES = keys(
    {
        **{"loss": amount, "perplexity": amount, "masked_accuracy": share, "masked_tokens": count},
        "breakdown": each(each(TOKENS)),
    },
    ["loss", "perplexity", "masked_accuracy"],
)
BIN = keys({"low": share, "high": share, "count": count, "confidence": optional(share), "accuracy": optional(share)})
CASES = keys({}, KINDS, others=count)
ANALYSIS = keys(  # of a split
    {
        **{"kinds": CASES, "shares": each(share), "kinds_by_type": each(CASES)},
        **{"confusion": each(each(count)), "buckets": each(each(ROW)), "suspects": each(count)},
        "calibration": keys({"ece": share, "count": count, "bins": rows(BIN)}),
    },
    ["kinds", "shares", "kinds_by_type", "confusion", "buckets"],
)

"""Declaration of a setting: a dataclass field with its default, help text, limits and resume rule.

Each layer declares the settings it reads in its own `settings.py`; `recipe.arguments` combines and parses them.
"""

import dataclasses
from typing import Any, Literal

Resume = Literal["free", "same", "fixed"]


def setting(
    default: Any, help: str, *, resume: Resume = "same", at_least: float | None = None, at_most: float | None = None
) -> Any:
    """A dataclass field for one setting.

    resume: whether a resumed run can have another value. "free": yes. "same": only if the user asks for it, because
    the result then matches neither run. "fixed": no, because the saved state of the optimizer depends on it.
    at_least, at_most: the smallest and the largest value that `check_limits` accepts.
    """
    limits = {"at_least": at_least, "at_most": at_most}
    return dataclasses.field(default=default, metadata={"help": help, "resume": resume} | limits)


def check_limits(arguments: Any) -> None:
    """Raise ValueError for the first field of a dataclass instance outside of its limits, or not a number."""
    for field in dataclasses.fields(arguments):
        value, least, most = getattr(arguments, field.name), *map(field.metadata.get, ("at_least", "at_most"))
        if None not in (value, least) and not value >= least:
            kind = "not a number" if value != value else "too small"
            raise ValueError(f"{field.name}: {value} is {kind}: it must be at least {least}")
        if None not in (value, most) and value > most:
            raise ValueError(f"{field.name}: {value} is too large: it must be at most {most}")

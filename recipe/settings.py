"""Declaration of a setting: a dataclass field with its default, help text, limits and resume rule.

Each layer declares the settings it reads in its own `settings.py`; `recipe.arguments` combines and parses them.
"""

import dataclasses
from typing import Any, Literal

Resume = Literal["free", "same", "fixed"]


def setting(default: Any, help: str, *, resume: Resume = "same", at_least: float | None = None) -> Any:
    """A dataclass field for one setting.

    resume: whether a resumed run can have another value. "free": yes. "same": only if the user asks for it, because
    the result then matches neither run. "fixed": no, because the saved state of the optimizer depends on it.
    at_least: the smallest value that `check_limits` accepts.
    """
    return dataclasses.field(default=default, metadata={"help": help, "resume": resume, "at_least": at_least})


def check_limits(arguments: Any) -> None:
    """Raise ValueError for the first field of a dataclass instance that is below its `at_least`."""
    for field in dataclasses.fields(arguments):
        value, limit = getattr(arguments, field.name), field.metadata.get("at_least")
        if None not in (value, limit) and value < limit:
            raise ValueError(f"{field.name}: {value} is too small: it must be at least {limit}")

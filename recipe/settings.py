"""How a setting is declared: a dataclass field with its default, its help, its limits and its rule on resuming.

Each layer declares the settings that it reads in a `settings.py` of its own; `recipe.arguments` joins and parses them.
"""

import dataclasses
from typing import Any, Literal

Resume = Literal["free", "same", "fixed"]


def setting(
    default: Any, help: str, *, resume: Resume = "same", at_least: float | None = None, choices: str | None = None
) -> Any:
    """A dataclass field for one setting.

    resume: whether a continued run may have another value. "free": yes. "same": only where the user insists, as the
    result then matches neither run. "fixed": no, as the saved state of the optimizer depends on it.
    at_least: the smallest value that `check_limits` accepts.
    choices: what the help shows for the value, where its type says too little.
    """
    return dataclasses.field(
        default=default, metadata={"help": help, "resume": resume, "at_least": at_least, "choices": choices}
    )


def check_limits(arguments: Any) -> None:
    """Raise ValueError for the first field of a dataclass instance that is below its limit."""
    for field in dataclasses.fields(arguments):
        value, limit = getattr(arguments, field.name), field.metadata.get("at_least")
        if None not in (value, limit) and value < limit:
            raise ValueError(f"{field.name}: {value} is too small: it must be at least {limit}")

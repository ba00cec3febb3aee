"""Files that are either whole or absent: written beside their final name, and renamed when they are complete."""

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from recipe.errors import RecipeError

BESIDE = ".partial"  # added to the name of a file that is being written


@contextmanager
def open_whole(path: str | Path) -> Iterator[TextIO]:
    """Open a text file for writing, UTF-8 with line feeds; it gets its name when the block ends without an error.

    A link of that name is replaced, not followed. Raises RecipeError if the file cannot be written; the file of before
    is then still there.
    """
    with _open_beside(path, "x", encoding="utf-8", errors="replace", newline="\n") as file:
        yield file


@contextmanager
def open_whole_bytes(path: str | Path) -> Iterator[BinaryIO]:
    """Open a file for writing bytes, in all else as `open_whole` does."""
    with _open_beside(path, "xb") as file:
        yield file


@contextmanager
def _open_beside(path: str | Path, mode: str, **options: Any) -> Iterator[Any]:
    path = Path(path)
    beside = path.with_name(path.name + BESIDE)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.unlink(missing_ok=True)  # a link could lead elsewhere
        with open(beside, mode, **options) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        raise RecipeError(f"{path}: {error.strerror}: fix it, and give the same command again") from None


def write_whole(path: str | Path, text: str) -> None:
    """Write `text` to a file. Raises RecipeError as `open_whole` does."""
    with open_whole(path) as file:
        file.write(text)

"""Files that are either whole or absent: written beside their final name, and renamed when they are complete."""

import contextlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import Any, BinaryIO, TextIO

from recipe.errors import RecipeError

BESIDE = ".partial"  # ends the name of a file that is being written


@contextmanager
def open_whole(path: str | Path) -> Iterator[TextIO]:
    """Open a text file for writing, UTF-8 with line feeds; it gets its name when the block ends without an error.

    A link of that name is replaced, not followed. A device or pipe, such as /dev/stdout, is written to directly.
    Raises RecipeError if the file cannot be written; the file of before is then still there.
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
    if not path.name or "\0" in path.name:
        raise RecipeError(f"{path}: is not the name of a file: set another one")
    is_stream = path.exists() and not path.is_file() and not path.is_dir()
    is_device = path.is_relative_to("/dev") and not path.is_relative_to("/dev/shm")  # /dev/stdout can lead to a file
    if is_stream or is_device or path.is_relative_to("/proc"):
        with _explain(path), open(path, mode.replace("x", "w"), **options) as file:
            yield file
        return
    beside = path.with_name(f"{path.name}.{token_hex(4)}{BESIDE}")  # another process can write the same file
    with _explain(path), _remove_after_error(beside):
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(beside, mode, **options) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)


@contextmanager
def _explain(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RecipeError(f"{path}: {error.strerror}: fix it, and give the same command again") from None


@contextmanager
def _remove_after_error(path: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        raise


def check_output(output: Path, inputs: Iterable[str | Path]) -> None:
    """Raise RecipeError if a file to write is a folder, one of the input files, or named `-`."""
    if str(output) == "-":
        raise RecipeError("output -: reads like standard output: leave it out for that, or set another file")
    if output.is_dir() or not output.name:
        raise RecipeError(f"output {output}: is a folder: set a file")
    if output.resolve() in [Path(file).resolve() for file in inputs]:
        raise RecipeError(f"output {output}: is one of the input files: set another file")


def write_whole(path: str | Path, text: str) -> None:
    """Write `text` to a file. Raises RecipeError as `open_whole` does."""
    with open_whole(path) as file:
        file.write(text)

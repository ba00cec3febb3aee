"""Files that are either whole or absent: written beside their final name, and renamed when they are complete."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import Any, BinaryIO, TextIO

from recipe.errors import RecipeError

BESIDE = ".partial"  # ends the name of a file that is being written


@contextmanager
def open_whole(path: str | Path) -> Iterator[TextIO]:
    """Open a text file for writing, UTF-8 with line feeds; it gets its name when the block ends without an error.

    A link of that name is replaced, not followed. A device or pipe, such as /dev/stdout, is written to directly; the
    block ends early, without an error, if the reader of a pipe has seen enough.
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
    if is_stream(path):
        start = "a" if path.is_file() else "w"  # /dev/stdout can lead to a log, whose lines would be lost
        with _explain(path), suppress(BrokenPipeError), open(path, mode.replace("x", start), **options) as file:
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


def is_stream(path: Path) -> bool:
    """Whether a path is a device or a pipe, or can lead to one as /dev/stdout does: it is written to, not replaced."""
    place = Path(os.path.realpath(path.parent)) / path.name
    is_device = place.is_relative_to("/dev") and not place.is_relative_to("/dev/shm")
    return is_device or place.is_relative_to("/proc") or (path.exists() and not path.is_file() and not path.is_dir())


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
        with suppress(OSError):
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

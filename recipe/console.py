"""Standard output that does not end a run, and text that does not change a terminal."""

import errno
import io
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from unicodedata import bidirectional, category

CONTROLS = {"Cc", "Zl", "Zp"}  # categories: control characters, and what separates lines and paragraphs
DIRECTIONS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}  # turn the direction of what follows


def show_controls(text: str) -> str:
    """`text` with escapes, as Python writes them, in place of characters that control a terminal or a direction."""
    if text.isprintable():
        return text
    return "".join(repr(sign)[1:-1] if _is_control(sign) else sign for sign in text)


def show_text(text: str) -> str:
    """`show_controls` for a text of several lines, whose line feeds and tabs stay."""
    return re.sub(r"[^\n\t]+", lambda part: show_controls(part[0]), text)


def escape_json(lines: str) -> str:
    """Lines of JSON with escapes of JSON, so that they mean the same, in place of what `show_controls` replaces."""
    return re.sub(r"[^\n -~]", lambda sign: f"\\u{ord(sign[0]):04x}" if _is_control(sign[0]) else sign[0], lines)


def _is_control(sign: str) -> bool:
    return category(sign) in CONTROLS or bidirectional(sign) in DIRECTIONS


class _Tolerant:
    """A text stream whose failures are kept instead of raised. What is written after the first one is lost."""

    def __init__(self, stream: Any):
        self._stream = stream
        self.failure: OSError | None = None

    def write(self, text: str) -> int:
        self._try(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        self._try(lambda: self._stream.flush())

    def isatty(self) -> bool:
        return self._stream is not None and self._stream.isatty()

    def _try(self, do: Callable[[], object]) -> None:
        if self.failure is None:
            try:
                do()
            except (AttributeError, OSError) as error:  # there is no stream if it was closed before the start
                self.failure = error if isinstance(error, OSError) else OSError(errno.EBADF, os.strerror(errno.EBADF))
                with suppress(
                    AttributeError, OSError, ValueError, io.UnsupportedOperation
                ):  # so that the interpreter can flush at exit
                    os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def find_failure() -> OSError | None:
    """The error with which standard output failed in `tolerant_output`, if it did: what is still printed is lost."""
    return getattr(sys.stdout, "failure", None)


@contextmanager
def tolerant_output() -> Iterator[_Tolerant]:
    """A context in which a failing standard output raises nothing; `failure` of the result is its error, if any."""
    before = sys.stdout
    with suppress(AttributeError, io.UnsupportedOperation):
        before.reconfigure(errors="replace")  # type: ignore[union-attr]
    tolerant = _Tolerant(before)
    sys.stdout = tolerant  # type: ignore[assignment]
    try:
        yield tolerant
    finally:
        tolerant.flush()
        sys.stdout = before

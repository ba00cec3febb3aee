"""Errors that end a run early (bad input, a signal, the Hub), each with one line on stderr and an exit status."""

import errno
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from recipe.console import show_controls, tolerant_output

UNFORESEEN = 70  # status of an unforeseen error, as in sysexits.h
NOT_FINITE = "the model predicts NaN or infinity: restore its weights, or set precision to fp32"
TRACEBACK = "traceback: "  # begins the note of an error whose traceback is in a file


class RecipeError(Exception):
    """Bad input or settings. The message is one line: the place (file, line or key), the problem and what to do."""

    status = 2

    def __init__(self, message: str):
        super().__init__(" ".join(message.split()))  # it can quote text of several lines


class LocalError(RecipeError):
    """Bad input or a failure that can happen in one process only, for example in its share of streamed text."""


class StoppedError(RecipeError):
    """A signal ended the run after a save. The message is one line with the command that continues the run."""

    def __init__(self, message: str, signal_number: int):
        super().__init__(message)
        self.status = 128 + signal_number


class PushError(RecipeError):
    """The push of a finished run failed. The message is one line with the command that pushes it later."""

    status = 3


def exit_with(main: Callable[[], object]) -> None:
    """Run a script's `main`; for an error, print one line and exit with its status.

    The first process of each host prints the line of a `RecipeError`, because a file can be missing on one host only. A
    `LocalError` and an unforeseen error are printed by each process in which they happen. An unforeseen error has the
    status `UNFORESEEN`; its line names the file with the traceback, which is printed if there is no such file.
    """
    status: int | None = None
    with tolerant_output() as output:
        try:
            main()
        except RecipeError as error:
            status = error.status
            if _is_first() or isinstance(error, LocalError):
                _print(_find_message(str(error), type(error).__name__))
        except KeyboardInterrupt:
            status = 128 + signal.SIGINT
        except Exception as error:
            status = UNFORESEEN
            _print(_describe(error))
    failure = output.failure
    if status is None and failure and failure.errno != errno.EPIPE:  # a reader that has seen enough is no error
        _print(f"standard output: {failure.strerror}: results in files are complete")
        status = RecipeError.status
    if status is not None:
        sys.exit(status)


def _print(message: str) -> None:
    """Print the line of an error. It can quote data, whose control characters become escapes."""
    print(f"error: {show_controls(message)}", file=sys.stderr)


def _is_first() -> bool:
    """Whether this is the first process of its host; also if LOCAL_RANK is no number."""
    rank = os.environ.get("LOCAL_RANK", "0")
    return not rank.isdigit() or int(rank) == 0


def _find_message(text: str, name: str) -> str:
    """The message as one line. The error of a data-loading worker contains its traceback; the message comes last."""
    return " ".join(text.rpartition(f"{__name__}.{name}: ")[2].split())


def _describe(error: Exception) -> str:
    """One line for an unforeseen error: what and where it happened, and the file with its traceback."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    reason = " ".join(str(error).split())[:200] or "no message"
    files = [note.removeprefix(TRACEBACK) for note in getattr(error, "__notes__", []) if note.startswith(TRACEBACK)]
    if not files:
        traceback.print_exception(error)
    place = f"{Path(frame.filename).name}:{frame.lineno}"
    return f"unforeseen {type(error).__name__} in {place}: {reason}" + "".join(f": see {file}" for file in files)

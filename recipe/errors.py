"""Errors that end a run early (bad input, a signal, the Hub), each with one line on stderr and an exit status."""

import os
import signal
import sys
from collections.abc import Callable


class RecipeError(Exception):
    """Bad input or settings. The message is one line: the place (file, line or key), the problem and what to do."""

    status = 2


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
    """Run a script's `main`; for a `RecipeError`, print its line and exit with its status.

    The first process of each host prints the line, because a file can be missing on one host only. A `LocalError` is
    printed by each process in which it happens.
    """
    try:
        main()
    except RecipeError as error:
        if os.environ.get("LOCAL_RANK", "0") == "0" or isinstance(error, LocalError):
            # The error of a data-loading worker contains its traceback; the message is the last line.
            line = str(error).rstrip().splitlines()[-1].removeprefix(f"{__name__}.{type(error).__name__}: ")
            print(f"error: {line}", file=sys.stderr)
        sys.exit(error.status)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)

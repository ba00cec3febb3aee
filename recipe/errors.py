"""What ends a run early, bad input, a signal or the Hub: one line on stderr and an exit status of its own."""

import os
import signal
import sys
from collections.abc import Callable


class RecipeError(Exception):
    """Bad input or settings. The message is one line that names the place (file, line, key) and what to do."""

    status = 2


class LocalError(RecipeError):
    """Bad input or a failure that may meet one process alone, as the share of the text that it reads."""


class StoppedError(RecipeError):
    """A signal ended the run after a save. The message is one line that names the command that continues."""

    def __init__(self, message: str, signal_number: int):
        super().__init__(message)
        self.status = 128 + signal_number


class PushError(RecipeError):
    """A finished run did not reach the Hub. The message is one line that names the command that pushes later."""

    status = 3


def exit_with(main: Callable[[], None]) -> None:
    """Run a script's `main`; a `RecipeError` becomes its one line and its status.

    The line comes from the first process of each host, which may lack a file that others have; a `LocalError`'s from
    each process that it meets.
    """
    try:
        main()
    except RecipeError as error:
        if os.environ.get("LOCAL_RANK", "0") == "0" or isinstance(error, LocalError):
            # A data-loading worker's error carries its traceback, the message in its last line.
            line = str(error).rstrip().splitlines()[-1].removeprefix(f"{__name__}.{type(error).__name__}: ")
            print(f"error: {line}", file=sys.stderr)
        sys.exit(error.status)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)

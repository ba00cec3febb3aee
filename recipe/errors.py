"""What goes wrong by the user's input or on the way to the Hub: one line on stderr and an exit status of its own."""

import os
import sys
from collections.abc import Callable


class RecipeError(Exception):
    """Bad input or settings. The message is one line that names the place (file, line, key) and what to do."""

    status = 2


class PushError(RecipeError):
    """A finished run did not reach the Hub. The message is one line that names the command that pushes later."""

    status = 3


def exit_with(main: Callable[[], None]) -> None:
    """Run a script's `main`; a `RecipeError` becomes one line, printed by the first process only, and its status."""
    try:
        main()
    except RecipeError as error:
        if os.environ.get("RANK", "0") == "0":
            print(f"error: {error}", file=sys.stderr)
        sys.exit(error.status)

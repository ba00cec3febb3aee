"""What goes wrong by the user's input: one line on stderr and exit status 2."""

import os
import sys
from collections.abc import Callable


class RecipeError(Exception):
    """Bad input or settings. The message is one line that names the place (file, line, key) and what to do."""


def exit_with(main: Callable[[], None]) -> None:
    """Run a script's `main`; a `RecipeError` becomes its one line, printed by the first process only, and status 2."""
    try:
        main()
    except RecipeError as error:
        if os.environ.get("RANK", "0") == "0":
            print(f"error: {error}", file=sys.stderr)
        sys.exit(2)

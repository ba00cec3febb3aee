"""The argument parser of `python -m recipe VERB`: help with an example, and errors in one line."""

import argparse
from typing import NoReturn

from recipe.errors import RecipeError


class VerbParser(argparse.ArgumentParser):
    """An ArgumentParser that raises RecipeError instead of printing its usage.

    verb: name of the verb. description: one sentence. example: a command that works once its paths are filled in.
    """

    def __init__(self, verb: str, description: str, example: str):
        super().__init__(
            prog=f"python -m recipe {verb}",
            description=description,
            epilog=f"example:\n  {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    def error(self, message: str) -> NoReturn:
        raise RecipeError(f"{message}: see {self.prog} --help")

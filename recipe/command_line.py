"""The command line of a verb of `python -m recipe`: help with an example, one line for what is wrong."""

import argparse
from typing import NoReturn

from recipe.errors import RecipeError


class VerbParser(argparse.ArgumentParser):
    """An ArgumentParser of `python -m recipe VERB` that raises RecipeError instead of printing its usage.

    verb: its name. description: one sentence. example: a command that works as it stands, once paths are filled in.
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

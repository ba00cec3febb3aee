"""What can be done with files and finished runs: `python -m recipe VERB`; `--help` behind a verb explains it.

A verb's module is imported only when the verb is called, so that each loads what it needs and no more.
"""

import difflib
import importlib
import sys
from typing import NamedTuple

from recipe.errors import RecipeError, exit_with


class Verb(NamedTuple):
    """The module whose `main(argv)` carries the verb out, and what it does, in a few words."""

    module: str
    help: str


VERBS = {
    "score": Verb("recipe.evaluation.scoring", "score a file of gold and predicted tags"),
    "tables": Verb("recipe.evaluation.results", "print Markdown tables of several runs' reports"),
    "words": Verb("recipe.data.words", "split plain text into words, as a column file to tag"),
    "card": Verb("recipe.hub.card", "print the model card of a run"),
    "push": Verb("recipe.hub.pushes", "push a finished run or a checkpoint to the Hub"),
}


def format_usage() -> str:
    """The list of verbs."""
    lines = [f"  {name:<8} {verb.help}" for name, verb in VERBS.items()]
    return "\n".join(["usage: python -m recipe VERB ... (--help behind a verb explains it)", "", "verbs:", *lines])


def main(argv: list[str] | None = None) -> None:
    """Carry out the verb that the command line names. Raises RecipeError for an unknown one."""
    name, *rest = (sys.argv[1:] if argv is None else argv) or ["--help"]
    if name in ("-h", "--help"):
        print(format_usage())
        return
    if name not in VERBS:
        close = difflib.get_close_matches(name, VERBS, n=1)
        suggestion = f" (did you mean {close[0]}?)" if close else ""
        raise RecipeError(f"unknown verb {name}{suggestion}: expected one of {' '.join(VERBS)}")
    importlib.import_module(VERBS[name].module).main(rest)


if __name__ == "__main__":
    exit_with(main)

"""Tools for files and finished runs: `python -m recipe VERB`. `python -m recipe VERB --help` explains a verb.

The module of a verb is imported only when you call the verb, so that each one starts fast.
"""

import difflib
import importlib
import sys
from typing import NamedTuple

from recipe.errors import RecipeError, exit_with


class Verb(NamedTuple):
    """The module whose `main(argv)` runs the verb, and a short description."""

    module: str
    help: str


VERBS = {
    "tag": Verb("recipe.inference.tag", "tag raw text, JSON lines or column files with a finished model"),
    "fill": Verb("recipe.inference.fill", "fill the masks in texts with a masked language model"),
    "likelihood": Verb("recipe.inference.likelihood", "score texts by how likely a masked language model finds them"),
    "export": Verb("recipe.export", "export a finished model to a smaller or faster form"),
    "score": Verb("recipe.evaluation.scoring", "score a file with gold and predicted tags"),
    "compare": Verb("recipe.evaluation.comparison", "compare runs, groups of seeds or prediction files"),
    "report": Verb("recipe.hub.report", "write the page of a run: scores, curves, and what the errors are"),
    "tables": Verb("recipe.evaluation.results", "print Markdown tables from the reports of several runs"),
    "words": Verb("recipe.data.words", "split plain text into words and write a column file to tag"),
    "card": Verb("recipe.hub.card", "print the model card of a run"),
    "push": Verb("recipe.hub.pushes", "push a finished run or a checkpoint to the Hub"),
}


def format_usage() -> str:
    """The usage line and the list of verbs."""
    lines = [f"  {name:<10} {verb.help}" for name, verb in VERBS.items()]
    return "\n".join(["usage: python -m recipe VERB ... (see python -m recipe VERB --help)", "", "verbs:", *lines])


def main(argv: list[str] | None = None) -> None:
    """Run the verb named on the command line. Raises RecipeError for an unknown verb."""
    name, *rest = (sys.argv[1:] if argv is None else argv) or ["--help"]
    if name in ("-h", "--help"):
        print(format_usage())
        return
    if name not in VERBS:
        close = difflib.get_close_matches(name, VERBS, n=1)
        suggestion = f" (did you mean {close[0]}?)" if close else ""
        raise RecipeError(f"unknown verb {name}{suggestion}: expected one of {' '.join(VERBS)}")
    try:
        module = importlib.import_module(VERBS[name].module)
    except ModuleNotFoundError as error:
        raise RecipeError(f"{name}: needs {error.name}: install the recipe with make setup") from None
    module.main(rest)


def run() -> None:
    """The command `recipe`: `main`, with an error in one line and its exit status."""
    exit_with(main)


if __name__ == "__main__":
    run()

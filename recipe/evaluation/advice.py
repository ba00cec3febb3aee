"""Advice in errors about files of predictions: the verbs that read them have only a few of the settings of a run."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from recipe.errors import RecipeError

# Advice at the end of an error to change a setting, and what to do instead where it cannot be changed.
ADVISED = re.compile(r": [^:]*\bset (?:another )?(encoding|tag_scheme|word_column|tag_column|comment_prefix)\b.*")
INSTEAD = {"encoding": "convert the file to UTF-8", "tag_scheme": "fix the tags"}


@contextmanager
def reading_predictions(settings: Sequence[str] = ()) -> Iterator[None]:
    """A context that reads words, gold tags and predicted tags. Its errors advise to change only those `settings`."""
    try:
        yield
    except RecipeError as error:
        text = str(error)
        found = ADVISED.search(text)
        if not found or found[1] in settings:
            raise
        if found[1] in INSTEAD:
            raise RecipeError(f"{text[: found.start()]}: {INSTEAD[found[1]]}") from None
        place = text.partition(": ")[0]
        raise RecipeError(f"{place}: expected lines of a word, its gold tag and its predicted tag") from None

"""Texts that are given in Python: what is no text is refused, and many texts are used a buffer at a time."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

from recipe.data.documents import Document
from recipe.errors import RecipeError

OnBad = Callable[[int, RecipeError], None]  # what is done about a text that cannot be used: its number and the error
BUFFER_CHARACTERS = 200_000  # texts of about this size are prepared together and sorted by length
Item = TypeVar("Item", bound=str | Document)


def refuse(number: int, error: RecipeError) -> None:
    """Raise the error, with the number of the text if there are several."""
    raise RecipeError(f"text {number}: {error}" if number else str(error)) from None


def check_texts(texts: Any, *others: type) -> Iterator[Any]:
    """The texts in order. Raises RecipeError for anything else than texts, or than values of the classes `others`."""
    if isinstance(texts, str | bytes) or not isinstance(texts, Iterable):
        raise RecipeError(f"texts: expected a list of texts, not {type(texts).__name__}")
    for number, text in enumerate(texts, 1):
        if not isinstance(text, (str, *others)):
            raise RecipeError(f"text {number}: expected a text, not {type(text).__name__}")
        yield text


def split_buffers(texts: Iterable[str], size: int) -> Iterator[list[str]]:
    """The texts in order, in lists of `size`."""
    waiting = iter(texts)
    while buffer := list(islice(waiting, size)):
        yield buffer


def fill_buffers(items: Iterable[Item]) -> Iterator[list[Item]]:
    """The items, texts or documents, in order, in lists of about `BUFFER_CHARACTERS`."""
    buffer: list[Item] = []
    size = 0
    for item in items:
        buffer.append(item)
        words = [] if isinstance(item, str) else [word for sentence in item.sentences for word in sentence.words]
        size += len(item) if isinstance(item, str) else sum(map(len, words)) + len(words)
        if size >= BUFFER_CHARACTERS:
            yield buffer
            buffer, size = [], 0
    if buffer:
        yield buffer


def quote(text: str) -> str:
    """The beginning of a text, for errors."""
    return repr(text if len(text) <= 60 else text[:60] + " ...")

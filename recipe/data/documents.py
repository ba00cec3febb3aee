"""Documents and sentences of words with tags, as all readers of entity data return them."""

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass
class Sentence:
    """Words and their tags, of equal length; `place` is `file:line` of the first word, for error messages."""

    words: list[str]
    tags: list[str]
    place: str = field(default="", compare=False)


@dataclass
class Document:
    """Sentences that follow one another in a text."""

    sentences: list[Sentence] = field(default_factory=list)


@dataclass
class Notes:
    """What was found while a split was read: its files, their tag schemes, and the number of skipped comment lines."""

    files: list[str] = field(default_factory=list)
    schemes: set[str] = field(default_factory=set)
    comments: int = 0


def list_sentences(documents: Iterable[Document]) -> list[Sentence]:
    """All sentences of `documents`, in order."""
    return [sentence for document in documents for sentence in document.sentences]


def list_tags(documents: Iterable[Document]) -> list[list[str]]:
    """The tags of all sentences of `documents`, in order."""
    return [sentence.tags for sentence in list_sentences(documents)]

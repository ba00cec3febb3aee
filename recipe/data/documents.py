"""Documents and sentences of words with tags, as all readers of entity data return them."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from recipe.errors import RecipeError


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

    @classmethod
    def from_words(cls, sentences: Iterable[Iterable[str]]) -> "Document":
        """A document without gold tags: the words of each sentence. Raises RecipeError for anything but words."""
        return cls([Sentence(words, ["O"] * len(words)) for words in _check_words(sentences)])


@dataclass
class Notes:
    """What was found while a split was read.

    files, schemes: its files and their tag schemes. comments: number of skipped comment lines.
    remarks: what was changed or left out -> the place where it happened first, and how often.
    """

    files: list[str] = field(default_factory=list)
    schemes: set[str] = field(default_factory=set)
    comments: int = 0
    remarks: dict[str, tuple[str, int]] = field(default_factory=dict)

    def add_file(self, file: str, scheme: str, spelling: str = "") -> None:
        """Note a file, its tag scheme, and how its tags were spelled, if in another way than the recipe's."""
        self.files.append(file)
        self.schemes.add(scheme)
        if spelling:
            self.remark(spelling, file)

    def remark(self, text: str, place: str) -> None:
        """Count a remark."""
        first, count = self.remarks.get(text, (place, 0))
        self.remarks[text] = (first, count + 1)

    def count_remarks(self) -> dict[str, int]:
        """How often each remark was made."""
        return {text: count for text, (_, count) in self.remarks.items()}


def list_sentences(documents: Iterable[Document]) -> list[Sentence]:
    """All sentences of `documents`, in order."""
    return [sentence for document in documents for sentence in document.sentences]


def has_entities(documents: Iterable[Document]) -> bool:
    """Whether any word has another tag than O."""
    return any(tag != "O" for sentence in list_sentences(documents) for tag in sentence.tags)


def list_tags(documents: Iterable[Document]) -> list[list[str]]:
    """The tags of all sentences of `documents`, in order."""
    return [sentence.tags for sentence in list_sentences(documents)]


def digest_documents(documents: Iterable[Document]) -> str:
    """A SHA-256 digest of all words and tags, and of where sentences and documents begin."""
    digest = hashlib.sha256()
    for document in documents:
        content = [[sentence.words, sentence.tags] for sentence in document.sentences]
        digest.update(json.dumps(content).encode())
    return digest.hexdigest()


def _check_words(sentences: Any) -> Iterator[list[str]]:
    if isinstance(sentences, str | bytes) or not isinstance(sentences, Iterable):
        raise RecipeError(f"expected a list of sentences, not {type(sentences).__name__}")
    for number, words in enumerate(sentences, 1):
        if isinstance(words, str | bytes) or not isinstance(words, Iterable):
            raise RecipeError(f"sentence {number}: expected a list of words, not {type(words).__name__}")
        listed = list(words)
        for word in listed:
            if not isinstance(word, str):
                raise RecipeError(f"sentence {number}: expected words, not {type(word).__name__}")
        yield listed

"""Input to tag with a finished model: text files, JSON lines and column files, read as a stream of items.

An item is a text or a document of words. A line that cannot be read raises an error, or is skipped and counted.
"""

import codecs
import json
import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from recipe.data.conll import DOCUMENT_START
from recipe.data.documents import Document, Sentence
from recipe.data.sources import expand_files, find_suffix
from recipe.data.text_files import explain_unreadable, open_bytes, parse_json
from recipe.errors import RecipeError

STDIN = "-"
JSON_LINES = ".jsonl"
COLUMN_FILES = {".conll", ".iob", ".iob2", ".bio", ".tsv", ".testa", ".testb", ".train"}


@dataclass(frozen=True)
class Item:
    """An item to tag: a text, or a document of words.

    key: the key of the text or words in a line of JSON. row: the other keys of that line.
    place: `file:line` where a text or a line of JSON begins, for errors.
    """

    content: str | Document
    key: str = ""
    row: dict[str, Any] = field(default_factory=dict)
    place: str = ""

    def keep_keys(self, results: dict[str, Any]) -> dict[str, Any]:
        """Results with the other keys of the line; a key that the results have too gets the prefix `given_`."""
        kept = dict(results)
        for key, value in self.row.items():
            while key in kept:
                key = f"given_{key}"
            kept[key] = value
        return kept


@dataclass
class Reader:
    """Reads items from files or standard input.

    lines: in plain text, each line is an item; by default each article is, and blank lines separate articles.
    text_key, tokens_key: keys in JSON lines; without a tokens_key, only texts are read, from JSON lines and plain text.
    word_column: index of the word column in column files.
    skip_bad: skip lines that cannot be read, and count them in `skipped`.
    """

    encoding: str = "utf-8"
    lines: bool = False
    text_key: str = "text"
    tokens_key: str = "tokens"
    word_column: int = 0
    skip_bad: bool = False
    skipped: int = 0

    def read(self, files: Iterable[str]) -> Iterator[Item]:
        """The items of files (`list_files`), in order.

        Raises RecipeError with file and line if a line cannot be read, unless `skip_bad` is set.
        """
        for path in files:
            yield from self._read_file(path)

    def _read_file(self, path: str) -> Iterator[Item]:
        suffix = find_suffix(path)
        lines = self._read_lines(path)
        if path == STDIN:
            opening = list(_take_opening(lines))
            suffix = JSON_LINES if opening and _is_object(opening[-1][1]) else ""
            lines = chain(opening, lines)
        if suffix == JSON_LINES:
            yield from self._read_json(lines)
        elif suffix in COLUMN_FILES:
            yield from map(Item, self._read_columns(lines))
        else:
            yield from self._read_text(lines)

    def _read_lines(self, path: str) -> Iterator[tuple[str, str]]:
        """The place `file:line` of each line, and its text without line end. Bad bytes are refused or skipped."""
        try:
            if codecs.lookup(self.encoding).name.startswith(("utf-16", "utf-32")):  # their line ends are not a byte
                raise RecipeError(f"encoding: {self.encoding} cannot be read line by line: convert the files to utf-8")
            with sys.stdin.buffer if path == STDIN else open_bytes(path) as file:
                for number, line in enumerate(_split_lines(file), 1):
                    place = f"{'standard input' if path == STDIN else path}:{number}"
                    try:
                        text = line.decode(self.encoding)
                    except UnicodeError as error:
                        if not isinstance(error, UnicodeDecodeError):
                            raise LookupError(self.encoding) from None
                        byte = f"byte 0x{line[error.start]:02x} is not {self.encoding}"
                        self._refuse(f"{place}: {byte}: set --encoding, or skip such lines with --skip_bad")
                        continue
                    yield place, text.removeprefix("\ufeff") if number == 1 else text
        except LookupError:
            raise RecipeError(
                f"encoding: Python does not know {self.encoding!r}: set another one, such as utf-8 or latin-1"
            ) from None
        except (OSError, EOFError, zlib.error) as error:
            raise explain_unreadable(path, self.encoding, error, 0) from None

    def _read_text(self, lines: Iterator[tuple[str, str]]) -> Iterator[Item]:
        """Each line that is not blank, or each article with its line breaks."""
        article: list[str] = []
        start = ""
        for place, line in lines:
            if self.lines:
                yield from [Item(line, place=place)] if line.strip() else []
            elif line.strip():
                start = start if article else place
                article.append(line)
            elif article:
                yield Item("\n".join(article), place=start)
                article = []
        if article:
            yield Item("\n".join(article), place=start)

    def _read_json(self, lines: Iterator[tuple[str, str]]) -> Iterator[Item]:
        for place, line in lines:
            if not line.strip():
                continue
            try:
                row = parse_json(line)
            except (ValueError, RecursionError) as error:
                self._refuse(f"{place}: not valid JSON: {str(error).splitlines()[0]}: fix the line, or add --skip_bad")
                continue
            item = self._make_item(row, place)
            if item is None:
                expected, setting = f"a text in {self.text_key!r}", "--text_key"
                if self.tokens_key:
                    expected += f", or a list of words in {self.tokens_key!r}"
                    setting += " or --tokens_key"
                self._refuse(f"{place}: expected {expected}: set {setting}, or add --skip_bad")
                continue
            yield item

    def _make_item(self, row: Any, place: str) -> Item | None:
        """The item in one line of JSON; None if it has neither text nor words."""
        text, words = (row.get(self.text_key), row.get(self.tokens_key)) if isinstance(row, dict) else (None, None)
        if isinstance(text, str):
            others = {key: value for key, value in row.items() if key != self.text_key}
            return Item(text, self.text_key, others, place)
        if self.tokens_key and isinstance(words, list) and all(isinstance(word, str) and word for word in words):
            sentences = [Sentence(words, ["O"] * len(words))] if words else []
            others = {key: value for key, value in row.items() if key != self.tokens_key}
            return Item(Document(sentences), self.tokens_key, others, place)
        return None

    def _read_columns(self, lines: Iterator[tuple[str, str]]) -> Iterator[Document]:
        """The documents of a column file; only the word column is read."""
        document, rows = Document(), list[tuple[str, list[str]]]()
        for place, line in lines:
            tabs = "\t" in line and bool(line.strip())
            cells = [cell.strip() or "_" for cell in line.split("\t")] if tabs else line.split()
            opens = DOCUMENT_START in cells[:1]
            if opens or not cells:
                document.sentences += self._end_sentence(rows)
                rows = []
            if opens and document.sentences:
                yield document
                document = Document()
            if opens or not cells:
                continue
            if not -len(cells) <= self.word_column < len(cells):
                self._refuse(f"{place}: no column {self.word_column}: set --word_column, or add --skip_bad")
                continue
            rows.append((place, cells))
        document.sentences += self._end_sentence(rows)
        if document.sentences:
            yield document

    def _end_sentence(self, rows: Sequence[tuple[str, list[str]]]) -> list[Sentence]:
        """The sentence of some lines, if any. Raises RecipeError if its words are the numbers of its lines."""
        words = [cells[self.word_column] for _, cells in rows]
        if len(words) > 1 and words == [str(number) for number in range(1, len(words) + 1)]:
            place, cells = rows[0]
            others = [(column, cell) for column, cell in enumerate(cells) if column != self.word_column % len(cells)]
            if others:
                raise RecipeError(
                    f"{place}: the words in column {self.word_column} number the lines: set --word_column, for example "
                    f"to {others[0][0]}, where this line has {others[0][1]!r}"
                )
        return [Sentence(words, ["O"] * len(words))] if words else []

    def _refuse(self, message: str) -> None:
        if not self.skip_bad:
            raise RecipeError(message)
        self.skipped += 1


def list_files(patterns: Iterable[str], columns: bool = True) -> list[str]:
    """The files that match paths and globs, and `-` for standard input. columns: whether column files can be read.

    Raises RecipeError if there is no such file or if its type cannot be tagged, before any file is read.
    """
    given = list(patterns)
    files = [path for pattern in given for path in ([STDIN] if pattern == STDIN else expand_files("files", [pattern]))]
    if files.count(STDIN) > 1 or (STDIN in files and sys.stdin is None):
        raise RecipeError("files: standard input (-) can be read only once, and must be open")
    known = {"", ".txt", ".md", JSON_LINES, *(COLUMN_FILES if columns else ())}
    for path in files:
        if (suffix := find_suffix(path)) not in known:
            expected = " ".join(sorted({*known, ".ndjson"} - {""}))
            raise RecipeError(f"{path}: files that end in {suffix} cannot be read: expected one of {expected}, or .gz")
    return files


def check_keys(keys: Iterable[str], results: Iterable[str]) -> None:
    """Raise RecipeError if a key of texts or words in JSON lines has the name of a result, which would replace them."""
    for key in set(keys) & set(results):
        raise RecipeError(f"text_key: {key} is the name of a result: rename the key in your file")


def _take_opening(lines: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Blank lines, and the first line that is not blank."""
    for line in lines:
        yield line
        if line[1].strip():
            return


def _is_object(line: str) -> bool:
    """Whether a line is a JSON object."""
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _split_lines(file: Iterable[bytes]) -> Iterator[bytes]:
    """The lines of a file without line ends, which are LF or CRLF."""
    for line in file:
        yield line.removesuffix(b"\n").removesuffix(b"\r")

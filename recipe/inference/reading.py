"""Texts for a masked language model: given on the command line, or read from files."""

import json
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from recipe.command_line import VerbParser
from recipe.data.untagged import STDIN, Item, Reader, list_files
from recipe.errors import RecipeError
from recipe.files import open_whole
from recipe.inference.loading import add_loading

Result = TypeVar("Result")
FILE_ENDINGS = (".txt", ".md", ".jsonl", ".ndjson", ".gz")


def read_inputs(given: list[str], reader: Reader) -> Iterator[Item]:
    """The texts to work on: an input is a text, unless it is `-`, an existing file or glob, or a file name alone.

    Raises RecipeError if a file cannot be read, or has words instead of texts.
    """
    for value in given:
        named = " " not in value and value.lower().endswith(FILE_ENDINGS)
        if value != STDIN and not named and not Path(value[:255]).is_file():
            yield Item(value)
            continue
        for item in reader.read(list_files([value])):
            if not isinstance(item.content, str):
                raise RecipeError(f"{value}: has words, not texts: expected plain text, or a text in each line of JSON")
            yield item


def add_reading(parser: VerbParser) -> None:
    """The options of verbs that read texts with a masked language model."""
    parser.add_argument("--lines", action="store_true", help="plain text: treat each line as a text, not each article")
    parser.add_argument("--text_key", default="text", help="JSON lines: key of the text (default: text)")
    parser.add_argument("--skip_bad", action="store_true", help="skip and count texts and lines that cannot be used")
    parser.add_argument("--encoding", default="utf-8", help="encoding of the files (default: utf-8)")
    add_loading(parser)


def pair_results(
    items: Iterable[Item], stream: Callable[[Iterator[str]], Iterable[Result | None]]
) -> Iterator[tuple[Item, Result]]:
    """Each item with its result; items without one are left out. stream: results of texts, in order."""
    waiting: deque[Item] = deque()

    def list_texts() -> Iterator[str]:
        for item in items:
            waiting.append(item)
            yield str(item.content)

    for result in stream(list_texts()):
        item = waiting.popleft()
        if result is not None:
            yield item, result


def write_results(
    pairs: Iterable[tuple[Item, Result]],
    output: Path | None,
    show: Callable[[Result], str],
    make_row: Callable[[Item, Result], dict[str, Any]],
) -> None:
    """Print results as `show` gives them, or write them to `output` as lines of JSON."""
    if output is None:
        for _, result in pairs:
            print(show(result), flush=True)
        return
    with open_whole(output) as file:
        for item, result in pairs:
            file.write(json.dumps(make_row(item, result), ensure_ascii=False) + "\n")


class BadTexts:
    """What is done about texts that cannot be used: they are refused, or with `skip` counted. reader: of the texts."""

    def __init__(self, skip: bool, reader: Reader):
        self.skip, self.reader, self.count = skip, reader, 0

    def __call__(self, number: int, error: RecipeError) -> None:
        """Raise RecipeError for text `number`, or count it."""
        if not self.skip:
            raise RecipeError(f"text {number}: {error} (--skip_bad skips such texts)") from None
        self.count += 1

    def report(self) -> None:
        """Print how many texts and lines were skipped, if any."""
        if total := self.count + self.reader.skipped:
            print(f"{total} text(s) or line(s) could not be used and were skipped", file=sys.stderr)

"""Texts for a masked language model: given on the command line, or read from files."""

import glob
import json
import os
import sys
from argparse import Namespace
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

from recipe.command_line import VerbParser
from recipe.console import find_failure
from recipe.data.untagged import STDIN, Item, Reader, check_keys, list_files
from recipe.errors import RecipeError
from recipe.files import check_output, open_whole
from recipe.inference.texts import OnBad

Result = TypeVar("Result")
MASK = "[MASK"  # in a glob, these would be alternative letters
FILE_ENDINGS = (".txt", ".md", ".jsonl", ".ndjson", ".gz")
FILE_ENDINGS += (".json", ".csv", ".tsv", ".conll", ".parquet", ".pdf", ".docx")  # which are refused by their names


def read_inputs(given: list[str], reader: Reader, output: Path | None = None) -> Iterator[Item]:
    """The texts to work on: an input is a text, unless it is `-` or `names_files` takes it for a path.

    Paths and globs are expanded at once, before there is anything of the `output` that a glob could find.
    Raises RecipeError at once if a file is missing or is also the `output`, and while texts are read if a file cannot
    be read or if there are no texts.
    """
    if given.count(STDIN) > 1:
        raise RecipeError("standard input (-) can be read only once")
    files = {value: list_files([value], columns=False) for value in given if value == STDIN or names_files(value)}
    if output is not None:
        check_output(output, chain.from_iterable(files.values()))
    sources = (reader.read(files[value]) if value in files else [Item(value)] for value in given)
    return _refuse_none(chain.from_iterable(sources), given)


def _refuse_none(items: Iterable[Item], given: list[str]) -> Iterator[Item]:
    """The items. Raises RecipeError if there are none. given: what the user gave, for the error."""
    empty = True
    for item in items:
        empty = False
        yield item
    if empty:
        raise RecipeError(f"{' '.join(given)}: no texts: check the input")


def names_files(value: str) -> bool:
    """Whether an input is a path or a glob, and not a text.

    It is if there is such a file, or if it looks like a path to one: without spaces, and with a * or the ending of a
    file, or in a folder that exists.
    """
    if not value.strip():
        return False
    path = Path(os.path.expanduser(value))
    try:
        if path.is_dir():
            raise RecipeError(f"{value}: is a folder: give its files, such as {value.rstrip('/')}/*.txt")
        if path.is_file() or (MASK not in value and glob.glob(str(path), recursive=True)):
            return True
        in_folder = "/" in value and path.parent.is_dir()
    except (OSError, ValueError):  # longer than a path can be, or with characters that it cannot have
        return False
    is_like = in_folder or "*" in value or value.lower().endswith(FILE_ENDINGS)
    return is_like and len(value.split()) == 1 and MASK not in value


def add_reading(parser: VerbParser) -> None:
    """The options of verbs that read texts with a masked language model."""
    parser.add_argument("--lines", action="store_true", help="plain text: treat each line as a text, not each article")
    parser.add_argument("--text_key", default="text", help="JSON lines: key of the text (default: text)")
    parser.add_argument("--skip_bad", action="store_true", help="skip and count texts and lines that cannot be used")
    parser.add_argument("--encoding", default="utf-8", help="encoding of the files (default: utf-8)")


def make_reader(args: Namespace, results: Iterable[str]) -> Reader:
    """The reader of a verb's inputs. results: keys of its lines of JSON.

    Raises RecipeError for a key that would lose a text.
    """
    check_keys([args.text_key], results)
    return Reader(args.encoding, args.lines, args.text_key, tokens_key="", skip_bad=args.skip_bad)


def pair_results(
    items: Iterable[Item], stream: Callable[[Iterator[str], OnBad], Iterable[Result | None]], bad: "BadTexts"
) -> Iterator[tuple[Item, Result]]:
    """Each item with its result; items without one are left out.

    stream: results of texts, in order, and what it does about texts that cannot be used. bad: is told of these.
    """
    waiting: deque[Item] = deque()
    done = 0

    def list_texts() -> Iterator[str]:
        for item in items:
            waiting.append(item)
            yield str(item.content)

    def refuse(number: int, error: RecipeError) -> None:
        bad(waiting[number - 1 - done].place or f"text {number}", error)

    for result in stream(list_texts(), refuse):
        item = waiting.popleft()
        done += 1
        if result is not None:
            yield item, result


def write_results(
    pairs: Iterable[tuple[Item, Result]],
    output: Path | None,
    show: Callable[[Result], str],
    make_row: Callable[[Item, Result], dict[str, Any]],
    header: str = "",
) -> None:
    """Print results as `show` gives them, below a header, or write them to `output` as lines of JSON.

    No more results are computed for a standard output that has failed, such as a pipe to `head`.
    """
    if output is None:
        for number, (_, result) in enumerate(pairs):
            print(*([header] if header and not number else []), show(result), sep="\n", flush=True)
            if find_failure():
                return
        return
    with open_whole(output) as file:
        for item, result in pairs:
            file.write(json.dumps(make_row(item, result), ensure_ascii=False) + "\n")


class BadTexts:
    """What is done about texts that cannot be used: they are refused, or with `skip` counted. reader: of the texts."""

    def __init__(self, skip: bool, reader: Reader):
        self.skip, self.reader, self.count = skip, reader, 0

    def __call__(self, place: str, error: RecipeError) -> None:
        """Raise RecipeError for the text at `place`, or count it."""
        if not self.skip:
            raise RecipeError(f"{place}: {error} (--skip_bad skips such texts)") from None
        self.count += 1

    def report(self) -> None:
        """Print how many texts and lines were skipped, if any."""
        if total := self.count + self.reader.skipped:
            print(f"{total} text(s) or line(s) could not be used and were skipped", file=sys.stderr)

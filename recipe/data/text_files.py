"""Text files read by line or by article; errors name the file and line."""

import ast
import codecs
import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Iterable
from io import BufferedReader
from pathlib import Path
from typing import Any

from recipe.data.sources import find_suffix
from recipe.errors import RecipeError

GZIP = b"\x1f\x8b"
BINARY = {  # the first bytes of files that are not text
    b"PAR1": "a Parquet file",
    b"PK\x03\x04": "a ZIP or Excel file",
    b"BZh": "a bzip2 file",
    b"\xfd7zXZ": "an xz file",
    b"%PDF": "a PDF file",
    b"SQLite format 3": "an SQLite file",
    b"\xd0\xcf\x11\xe0": "a file of an older Office version",
}
csv.field_size_limit(2**31 - 1)  # whole documents can be in one cell
BINARY_HINT = "give it its usual name (.parquet), unpack it, or convert it"
HEAD = 1 << 24  # characters of a streamed file that are checked before it is read
NULL = re.compile(r"[\ufeff\s]*(null|-?(?:NaN|nan))")  # `datasets` makes null of NaN
DEEPEST = 500  # brackets in a line of JSON, of which more are looked at
BLANK_LINES = re.compile(r"\n\s*\n")
NUMPY_GAP = re.compile(r"""(?<=\w|[^\s\[,])(['"])\s+(?=['"])""")  # between two strings in a list as NumPy prints it


def split_articles(text: str) -> list[str]:
    """The articles of a text, separated by blank lines. Byte order marks and empty articles are dropped."""
    return [article for article in BLANK_LINES.split(text.replace("\ufeff", "")) if article.strip()]


def read_articles(path: str | Path, encoding: str) -> list[str]:
    """The articles of a text file, with line feeds as line ends. Raises RecipeError as `read_text` does."""
    return split_articles(re.sub("\r\n?", "\n", read_text(path, encoding)))


def read_lines(path: str | Path, encoding: str) -> list[str]:
    """The file's lines, split at line feeds only, because other separators can be part of a word.

    Raises RecipeError as `read_text` does.
    """
    text = read_text(path, encoding).removeprefix("\ufeff")
    return [line.removesuffix("\r") for line in text.split("\n")]


def read_text(path: str | Path, encoding: str) -> str:
    """The file's text, unchanged.

    Raises RecipeError if the file cannot be read or decoded, or contains a NUL byte.
    """
    try:
        text = _read_bytes(path).decode(encoding)
    except (OSError, EOFError, zlib.error, LookupError, ValueError) as error:
        line = error.object.count(b"\n", 0, error.start) + 1 if isinstance(error, UnicodeDecodeError) else 0
        raise explain_unreadable(path, encoding, error, line) from None
    if "\0" in text:
        raise explain_nul(path, text.count("\n", 0, text.index("\0")) + 1)
    return text


def _read_bytes(path: str | Path) -> bytes:
    """The bytes of a file, decompressed if its name ends in .gz. Refuses binary formats by their names."""
    if Path(path).is_char_device() or Path(path).is_block_device():
        raise RecipeError(f"{path}: this is a device, not a file: check the path")
    data = Path(path).read_bytes()
    if data.startswith(GZIP):
        data = gzip.decompress(data)
    for start, kind in BINARY.items():
        if data.startswith(start):
            raise RecipeError(f"{path}: this is {kind}, not text: {BINARY_HINT}")
    return data


def open_bytes(path: str | Path) -> BufferedReader | gzip.GzipFile:
    """Open a file to read its bytes, decompressed if it is a gzip file."""
    with open(path, "rb") as file:
        compressed = file.read(len(GZIP)) == GZIP
    return gzip.open(path) if compressed else open(path, "rb")


def find_delimiter(header: str) -> str:
    """What separates the cells of a CSV file with this header: a comma, a semicolon or a tab."""
    try:
        return csv.Sniffer().sniff(header, ",;\t").delimiter
    except csv.Error:
        return ","


class RepeatedKeyError(ValueError):
    """An object of JSON has a key twice."""


def parse_json(text: str) -> Any:
    """What a JSON text contains. Raises ValueError if it is not valid, and RepeatedKeyError for a key given twice.

    Of a key that is there twice, Python keeps the last in silence.
    """

    def build(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        row = dict(pairs)
        if len(row) < len(pairs):
            raise RepeatedKeyError(f"the key {find_repeated(key for key, _ in pairs)!r} is there twice")
        return row

    return json.loads(text, object_pairs_hook=build)


def find_repeated(names: Iterable[str]) -> str | None:
    """The first name that is there twice; None without one."""
    seen = set[str]()
    return next((name for name in names if name in seen or seen.add(name)), None)


def parse_list(cell: Any) -> Any:
    """A cell that contains a list as Python, NumPy or JSON writes it, as that list; any other cell as it is."""
    if not isinstance(cell, str) or not cell.lstrip().startswith("["):
        return cell
    cell = NUMPY_GAP.sub(r"\1, ", cell)  # without commas, Python would join the strings
    try:
        return ast.literal_eval(cell.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return cell


def check_lines(path: str, encoding: str, column: str, others: bool = False) -> None:
    """Raise RecipeError for the first line that cannot be decoded or, in a `.jsonl` file, is no row like the others.

    column: the key of the text in a `.jsonl` file, whose values must all be text, or all lists of words.
    others: also refuse values of other keys that are not of one kind.
    Lines are read one by one, because streamed files can be larger than memory.
    """
    number, kinds = 0, dict[str, tuple[str, int]]()
    try:
        decoder = codecs.getincrementaldecoder(encoding)()
        with open_bytes(path) as file:
            for number, line in enumerate(file, 1):
                text = decoder.decode(line, final=not line.endswith(b"\n"))
                if find_suffix(path) == ".jsonl":
                    text = text.removeprefix("\ufeff") if number == 1 else text
                    _check_json(path, number, text, column, others, kinds)
    except (OSError, EOFError, zlib.error, LookupError, ValueError, TypeError) as error:
        # TypeError: rot13 is no encoding of text
        raise explain_unreadable(path, encoding, error, number) from None


KINDS = {str: "text", bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object"}


def _check_json(
    path: str, number: int, text: str, column: str, others: bool, kinds: dict[str, tuple[str, int]]
) -> None:
    """Raise RecipeError for a line that is no JSON, or as `_check_row` does."""
    try:
        row = parse_json(text.strip() or "{}")
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"{path}:{number}: not valid JSON: {error}: fix the line") from None
    _check_row(f"{path}:{number}", ("line", number), row, column, others, kinds)


def _check_row(
    place: str, position: tuple[str, int], row: Any, column: str, others: bool, kinds: dict[str, tuple[str, int]]
) -> None:
    """Raise RecipeError for a row that is no object, or has a value of another kind than `kinds`, which it adds to.

    position: "line" or "item", and its number.
    """
    unit, number = position
    if not isinstance(row, dict):
        raise RecipeError(f"{place}: {KINDS.get(type(row), 'null')}, expected an object with a key for the text")
    for key, value in row.items():
        if value is None or not (others or key == column):
            continue
        kind, first = kinds.setdefault(key, (KINDS[type(value)], number))
        if key == column and not _is_text(value):
            raise RecipeError(f"{place}: {key!r} is {KINDS[type(value)]}, expected text: fix the {unit}")
        if KINDS[type(value)] != kind:
            raise RecipeError(
                f"{place}: {key!r} is {KINDS[type(value)]}, but {kind} in {unit} {first}: make all {unit}s alike"
            )


def _is_text(value: object) -> bool:
    """Whether a value is text, or a list of words."""
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(word, str | None) for word in value))


def check_head(path: str, encoding: str, column: str) -> None:
    """Raise RecipeError for a line in the first part of a file of JSON lines that `datasets` crashes at.

    A JSON array is checked as by `check_array`, because `datasets` does not stream it.
    """
    try:
        with open_bytes(path) as file, io.TextIOWrapper(file, encoding, errors="replace", newline="\n") as text:
            lines = text.readlines(HEAD)
    except (OSError, EOFError, zlib.error, LookupError, ValueError) as error:
        raise explain_unreadable(path, encoding, error, 1) from None
    first = next((line for line in lines if line.strip()), "")
    if find_suffix(path) == ".json" and first.lstrip("\ufeff \t\r").startswith("["):
        check_array(path, encoding, column)
    else:
        _refuse_crash(path, lines)


def _refuse_crash(path: str, lines: Iterable[str]) -> None:
    """Raise RecipeError for a line of JSON that ends the process in pyarrow: null, or nested without end."""
    for number, line in enumerate(lines, 1):
        if match := NULL.match(line):
            raise RecipeError(f"{path}:{number}: {match[1]}, expected an object with a key for the text")
        if line.count("[") + line.count("{") > DEEPEST:
            try:
                json.loads(line)
            except RecursionError as error:
                raise RecipeError(f"{path}:{number}: not valid JSON: {error}: fix the line") from None
            except ValueError:
                continue  # the reader explains it


def check_array(path: str, encoding: str, column: str) -> None:
    """Raise RecipeError for the first item of a JSON array that has something else than text in the key `column`.

    Of JSON that is no array, only what `datasets` crashes at is refused.
    """
    text = read_text(path, encoding)
    if not text.lstrip("\ufeff \t\r\n").startswith("["):
        _refuse_crash(path, text.split("\n"))
        return
    try:
        rows = json.loads(text.removeprefix("\ufeff"))
    except RecursionError as error:
        raise RecipeError(f"{path}: not valid JSON: {error}: fix the file") from None
    except ValueError:
        return  # the reader explains it
    kinds = dict[str, tuple[str, int]]()
    for number, row in enumerate(rows, 1):
        given = {column: row} if isinstance(row, str | list) else row  # `datasets` calls it text
        _check_row(f"{path}: item {number}", ("item", number), given, column, False, kinds)


def check_cells(path: str, encoding: str, column: str) -> None:
    """Raise RecipeError for the first row of a CSV file with more cells than the header. column: any of them."""
    try:
        text = read_text(path, encoding)
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=find_delimiter(text.partition("\n")[0]))
        header = next(reader, [])
        for row in reader:
            if len(row) > len(header):
                raise RecipeError(
                    f"{path}:{reader.line_num}: {len(row)} cells, but the header has {len(header)}: put quotes around "
                    f"text that contains {reader.dialect.delimiter!r}"
                )
    except csv.Error:
        return  # the reader explains it


def refuse_nul(path: str, encoding: str) -> None:
    """Raise RecipeError for the first NUL byte of a file, if there is one, and for damaged gzip data."""
    line = 1
    try:
        with open_bytes(path) as file:
            while chunk := file.read(1 << 20):
                if b"\0" in chunk:
                    line += chunk.count(b"\n", 0, chunk.index(b"\0"))
                    raise explain_nul(path, line)
                line += chunk.count(b"\n")
    except (OSError, EOFError, zlib.error) as error:
        raise explain_unreadable(path, encoding, error, line) from None


def explain_unreadable(path: str | Path, encoding: str, error: Exception, line: int) -> RecipeError:
    """The error for a file that cannot be opened, an unknown encoding, or an undecodable byte on `line`."""
    if isinstance(error, EOFError | zlib.error | gzip.BadGzipFile):
        return RecipeError(f"{path}: damaged gzip data ({error}): fetch the file again")
    if isinstance(error, OSError):
        return RecipeError(f"{path}: {error.strerror}: check the path")
    if isinstance(error, UnicodeDecodeError):
        byte = error.object[error.start]
        return RecipeError(f"{path}:{line}: byte 0x{byte:02x} is not {encoding}: set encoding (older corpora: latin-1)")
    if isinstance(error, UnicodeError):
        return RecipeError(f"{path}: not {encoding} ({error}): set encoding")
    return RecipeError(f"encoding: Python does not know {encoding!r}: set another one, such as utf-8 or latin-1")


def explain_nul(path: str | Path, line: int) -> RecipeError:
    """The error for a NUL byte in a text file."""
    return RecipeError(f"{path}:{line}: a NUL byte: fix the file, or set encoding if it is UTF-16 or UTF-32")

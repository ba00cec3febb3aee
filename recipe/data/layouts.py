"""Lines of column files, and two layouts that are recognised: CoNLL-U and CoNLL-2012.

A file in one of them is turned into lines of two columns, word and tag.
"""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from recipe.data.schemes import is_tag
from recipe.data.spelling import find_spelling
from recipe.errors import RecipeError

COMMENT = "#"  # of both layouts
NUMBER = re.compile(r"\d+([-.]\d+)?")  # of a line; also of a range or an empty node, as in CoNLL-U
CONLLU_COLUMNS, FORM, MISC = 10, 1, 9
TAG_KEYS = ("ner", "bio", "entity", "ne")  # of an attribute in MISC, in lower case
ONTONOTES_COLUMNS, ONTONOTES_WORD, ONTONOTES_NAME = 11, 3, 10  # CoNLL-2012: at least so many columns
BRACKETS = re.compile(r"(?:\(([^()*]+))?\*?(\))?")


class Line(NamedTuple):
    """A line of a column file: its number, text and cells; a line without cells ends a sentence."""

    number: int
    text: str
    cells: list[str]
    opens: bool = False  # a mark that starts a document


def convert_layout(path: str | Path, lines: Sequence[Line]) -> tuple[list[Line], int] | None:
    """The lines as word and tag, and the number of comments; None if the file is in neither layout.

    Raises RecipeError if a CoNLL-U file has no tags.
    """
    rows = [line for line in lines if line.cells and not line.opens and not line.text.startswith(COMMENT)]
    comments = sum(bool(line.cells) and line.text.startswith(COMMENT) and not line.opens for line in lines)
    kept = [line for line in lines if line.opens or not line.cells or not line.text.startswith(COMMENT)]
    if rows and all(len(line.cells) == CONLLU_COLUMNS and NUMBER.fullmatch(line.cells[0]) for line in rows):
        return _convert_conllu(path, kept, rows), comments
    marked = any(line.text.startswith("#begin document") for line in lines)
    if marked and rows and all(len(line.cells) >= ONTONOTES_COLUMNS for line in rows):
        return _convert_ontonotes(path, kept), comments
    return None


def _convert_conllu(path: str | Path, lines: Sequence[Line], rows: Sequence[Line]) -> list[Line]:
    """Syntactic words and the tag in their MISC column; ranges and empty nodes are left out."""
    found = {key for line in rows for key in _read_attributes(line.cells[MISC]) if key.lower() in TAG_KEYS}
    written = {key: Counter(_read_tag(line, key) for line in rows) for key in sorted(found)}
    keys = [key for key, tags in written.items() if all(map(is_tag, map(find_spelling(tags).spell, tags)))]
    if len(keys) != 1:
        raise RecipeError(
            f"{path}: a CoNLL-U file with {len(keys) or 'no'} attributes for tags in its last column: expected one, "
            "such as NER=B-PER; if tags are in a column of their own, set word_column and tag_column"
        )
    converted = []
    for line in lines:
        if not line.cells or line.opens:
            converted.append(line)
        elif line.cells[0].isdigit():
            converted.append(line._replace(cells=[line.cells[FORM], _read_tag(line, keys[0])]))
    return converted


def _read_tag(line: Line, key: str) -> str:
    tag = _read_attributes(line.cells[MISC]).get(key, "O")
    return "O" if tag == "_" else tag


def _read_attributes(cell: str) -> dict[str, str]:
    pairs = (attribute.partition("=") for attribute in cell.split("|"))
    return {key: value for key, equals, value in pairs if equals}


def _convert_ontonotes(path: str | Path, lines: Sequence[Line]) -> list[Line]:
    converted, kind = [], ""
    for line in lines:
        if not line.cells or line.opens:
            if kind:
                raise RecipeError(f"{path}:{line.number}: the sentence ends inside ({kind}*: close the bracket")
            converted.append(line)
            continue
        cell = line.cells[ONTONOTES_NAME]
        match = BRACKETS.fullmatch(cell)
        if match is None:
            raise RecipeError(
                f"{path}:{line.number}: {cell!r} is not a name in brackets, as in CoNLL-2012: fix the line"
            )
        opened, closed = match.groups()
        kind = opened or kind
        tag = f"{'B' if opened else 'I'}-{kind}" if kind else "O"
        converted.append(line._replace(cells=[line.cells[ONTONOTES_WORD], tag]))
        kind = "" if closed else kind
    return converted

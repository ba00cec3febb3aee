"""Whether the chosen columns of a column file are its words and tags: headers, line numbers, second layers of tags."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from recipe.data.documents import Notes
from recipe.data.layouts import NUMBER, Line
from recipe.data.schemes import is_tag, split_tag
from recipe.errors import RecipeError

# Names of columns in a header line.
WORD_NAMES = {"word", "words", "token", "tokens", "form", "text"}
TAG_NAMES = {"tag", "tags", "label", "labels", "ner", "ner_tag", "ner_tags", "entity", "iob", "bio"}
# Types of syntactic chunks, which CoNLL-2003 has in the column before the entities.
CHUNKS = {"NP", "VP", "PP", "ADVP", "ADJP", "SBAR", "PRT", "CONJP", "INTJ", "LST", "UCP"}


def check_columns(path: str | Path, rows: Sequence[Line], word_column: int, tag_column: int, notes: Notes) -> None:
    """Raise RecipeError if other columns of `rows` could be the words or tags; note lines with too many cells."""
    _refuse_header(path, rows, tag_column)
    _check_word_column(path, rows, word_column, tag_column)
    _note_wide_lines(path, rows, (word_column, tag_column), notes)
    _check_tag_column(path, rows, word_column, tag_column)


def has_tag(line: Line, column: int, chunks: bool = True) -> bool:
    """Whether there is a tag in a column. chunks: whether the tag of a syntactic chunk counts as one."""
    tag = line.cells[column].strip() if has_column(line, column) else ""
    return is_tag(tag) and (chunks or split_tag(tag)[1] not in CHUNKS)


def _are_numbers(rows: Iterable[Line], column: int) -> bool:
    """Whether all rows have the number of a line in a column."""
    return all(has_column(line, column) and NUMBER.fullmatch(line.cells[column]) for line in rows)


def has_column(line: Line, column: int) -> bool:
    """Whether a line has a column; negative ones count from the end."""
    return -len(line.cells) <= column < len(line.cells)


def _note_wide_lines(path: str | Path, rows: Sequence[Line], columns: tuple[int, int], notes: Notes) -> None:
    """Note lines with more cells than the two that almost all others have: a word with a space loses its end."""
    wide = [line for line in rows if len(line.cells) > 2]
    if columns == (0, -1) and len(wide) < len(rows) / 10:
        for line in wide:
            notes.remark(
                "line(s) have more than two cells, of which the first was read as the word", f"{path}:{line.number}"
            )


def refuse_named_header(path: str | Path, lines: Sequence[Line], word_column: int, tag_column: int) -> None:
    """Raise RecipeError if the first line has the names of columns, which can look like a word and a type."""
    first = next((line for line in lines if line.cells and not line.opens), None)
    if first is None or not (has_column(first, word_column) and has_column(first, tag_column)):
        return
    word, tag = (first.cells[column].strip("#").lower() for column in (word_column, tag_column))
    if word in WORD_NAMES and tag in TAG_NAMES:
        raise RecipeError(
            f"{path}:{first.number}: {first.text.strip()!r} names columns: remove this line, or set comment_prefix"
        )


def _refuse_header(path: str | Path, rows: Sequence[Line], tag_column: int) -> None:
    """Raise RecipeError if the first line is the only one without a tag."""
    tagged = [has_tag(line, tag_column) for line in rows]
    if len(rows) > 1 and not tagged[0] and all(tagged[1:]) and has_column(rows[0], tag_column):
        raise RecipeError(
            f"{path}:{rows[0].number}: {rows[0].cells[tag_column]!r} is not a tag, but all other lines have one: "
            "remove this line if it is a header, or set comment_prefix if it is a comment"
        )


def _check_word_column(path: str | Path, rows: Sequence[Line], word_column: int, tag_column: int) -> None:
    """Raise RecipeError if the words are the numbers of the lines, and another column can be the words."""
    empty = [line for line in rows if has_column(line, word_column) and not line.cells[word_column]]
    if 2 * len(empty) > len(rows):
        raise RecipeError(
            f"{path}:{empty[0].number}: most words in column {word_column} are empty: set word_column, or, if the "
            "column numbers the sentences, name the file .csv"
        )
    width = min(len(line.cells) for line in rows)
    if width < 3 or not _are_numbers(rows, word_column):
        return
    others = [column for column in range(width) if column != tag_column % width and not _are_numbers(rows, column)]
    if others:
        raise RecipeError(
            f"{path}:{rows[0].number}: the words in column {word_column} are all numbers: set word_column, for example "
            f"to {others[0]}, where this line has {rows[0].cells[others[0]]!r}"
        )


def _check_tag_column(path: str | Path, rows: Sequence[Line], word_column: int, tag_column: int) -> None:
    """Raise RecipeError if `tag_column` counts from the end, and a line has tags of entities in two columns."""
    width = min(len(line.cells) for line in rows)
    chosen = width + tag_column
    if tag_column >= 0 or chosen < 0:
        return
    for column in set(range(width)) - {word_column, chosen}:
        tagged = all(has_tag(line, column) for line in rows)
        layer = [line for line in rows if tagged and line.cells[column] != "O" and has_tag(line, column, chunks=False)]
        if layer:
            raise _explain_layers(path, layer[0], column, tag_column)
    for line in rows:
        longer = len(line.cells) > width and has_tag(line, tag_column)
        if longer and chosen != word_column and has_tag(line, chosen, chunks=False):
            raise _explain_layers(path, line, chosen, tag_column)


def _explain_layers(path: str | Path, line: Line, column: int, tag_column: int) -> RecipeError:
    last = len(line.cells) + tag_column
    return RecipeError(
        f"{path}:{line.number}: columns {column} and {last} both contain tags ({line.cells[column]} and "
        f"{line.cells[last]}): set tag_column to {column} or {last}"
    )

"""CoNLL column files: one word and its tag on each line, a blank line between sentences.

A line whose word or first column is `-DOCSTART-` starts a document, and so does a line `# newdoc` or `#begin document`.
A file without such lines is one document.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from recipe.data.column_checks import check_columns, has_column, has_tag, refuse_named_header
from recipe.data.documents import Document, Notes, Sentence, list_sentences
from recipe.data.layouts import Line, convert_layout
from recipe.data.schemes import split_tag
from recipe.data.spelling import Spelling, find_spelling
from recipe.data.tag_conversion import BREAKS, convert_tags, join_breaks
from recipe.data.text_files import read_lines
from recipe.errors import RecipeError
from recipe.files import open_whole

DOCUMENT_START = "-DOCSTART-"
LONGEST_LINE = 100_000  # characters
DOCUMENT_MARK = re.compile(r"#\s+newdoc(\s+id\s*=.*)?\s*$|#begin document\b")  # of CoNLL-U and CoNLL-2012


def read_conll(
    path: str | Path, tag_scheme: str | None = None, notes: Notes | None = None, check: bool = True, **columns: Any
) -> list[Document]:
    """Read a column file and convert its tags to IOB2; `columns` are the options of `read_columns`.

    The scheme of the file is detected unless you give `tag_scheme`.
    check: refuse files in which another column than the chosen one could be the words or the tags.
    notes: facts of the file are added to it.
    Raises RecipeError with file and line if the file cannot be read.
    """
    documents = _read(path, notes or Notes(), check, **columns)
    scheme = convert_tags(list_sentences(documents), tag_scheme)
    if notes:
        notes.add_file(str(path), scheme)
    return documents


def read_columns(path: str | Path, check: bool = False, **columns: Any) -> list[Document]:
    """Read a column file without converting its tags.

    check: see `read_conll`.
    columns: `word_column` (default 0), `tag_column` (-1), `encoding` (utf-8) and `comment_prefix` (None).
    Columns are separated by tabs in a line that contains one, otherwise by spaces. Between tabs, an empty cell is a
    column; an empty word becomes `_`. Lines can have different numbers of columns if the word and the tag column exist.
    A line that starts with `comment_prefix` is a comment, unless it has a tag, and as many columns as most lines. A
    byte order mark and CRLF line ends are accepted. Raises RecipeError with file and line if the file cannot be read.
    """
    return _read(path, Notes(), check, **columns)


def _read(
    path: str | Path,
    notes: Notes,
    check: bool,
    word_column: int = 0,
    tag_column: int = -1,
    encoding: str = "utf-8",
    comment_prefix: str | None = None,
) -> list[Document]:
    lines = _split_lines(path, encoding, word_column)
    known = convert_layout(path, lines) if (word_column, tag_column) == (0, -1) else None
    if known:
        lines, notes.comments = known[0], notes.comments + known[1]
    if check:
        refuse_named_header(path, lines, word_column, tag_column)
    spelling = _find_spelling(lines, tag_column, comment_prefix)
    if spelling.tags:
        notes.remark(spelling.note, str(path))
        _spell_tags(lines, tag_column, spelling)
    if comment_prefix:
        lines = _drop_comments(lines, tag_column, comment_prefix, notes)
    rows = [line for line in lines if line.cells and not line.opens]
    if check and rows:
        check_columns(path, rows, word_column, tag_column, notes)
    groups = _group_lines(path, lines)
    return [_build_document(path, group, word_column, tag_column) for group in groups]


def read_predicted(
    path: str | Path, gold_column: int = -2, predicted_column: int = -1
) -> tuple[list[Document], list[list[str]]]:
    """The documents of a column file with the tags of one column, and those of another for each sentence.

    The file is read once. Tags are not converted, but white space in them becomes `_` in both columns, as in
    `convert_tags`. Words are in the first column. Raises RecipeError with file and line if the file cannot be read.
    """
    lines = _split_lines(path, "utf-8", 0)
    for column in (gold_column, predicted_column):
        _spell_tags(lines, column, _find_spelling(lines, column, None))
    groups = _group_lines(path, lines)
    documents = [_build_document(path, group, 0, gold_column) for group in groups]
    predicted = [_pick_tags(path, sentence, 0, predicted_column) for group in groups for sentence in group]
    for sentence in list_sentences(documents):
        sentence.tags = join_breaks(sentence.tags)
    return documents, list(map(join_breaks, predicted))


def _spell_tags(lines: Iterable[Line], tag_column: int, spelling: Spelling) -> None:
    """Spell the tags of a column as the recipe does, in place."""
    for line in lines if spelling.tags else ():
        if has_column(line, tag_column):
            line.cells[tag_column] = spelling.spell(line.cells[tag_column].strip())


def _group_lines(path: str | Path, lines: Iterable[Line]) -> list[list[list[Line]]]:
    """The rows of each sentence of each document. Raises RecipeError if there are no rows."""
    groups: list[list[list[Line]]] = [[]]
    is_open = False  # whether a row continues the last sentence
    for line in lines:
        if line.opens:
            groups.append([])
        if line.opens or not line.cells:
            is_open = False
        elif is_open:
            groups[-1][-1].append(line)
        else:
            groups[-1].append([line])
            is_open = True
    groups = [group for group in groups if group]
    if not groups:
        raise RecipeError(f"{path}: no sentences: the file has no lines with a word and a tag: check the path")
    return groups


def _build_document(path: str | Path, group: Sequence[Sequence[Line]], word_column: int, tag_column: int) -> Document:
    """The document with the words and tags of two columns. Raises RecipeError as `_pick_tags` does."""
    document = Document()
    for rows in group:
        tags = _pick_tags(path, rows, word_column, tag_column)
        words = [line.cells[word_column] or "_" for line in rows]
        document.sentences.append(Sentence(words, tags, f"{path}:{rows[0].number}"))
    return document


def _split_lines(path: str | Path, encoding: str, word_column: int) -> list[Line]:
    """The lines of a column file, split into cells. If all lines end in a tab, the empty last cell does not count."""
    lines = []
    for number, line in enumerate(read_lines(path, encoding), 1):
        if len(line) > LONGEST_LINE:
            raise RecipeError(f"{path}:{number}: {len(line)} characters in one line: check that this is a column file")
        if "\r" in line:
            raise RecipeError(f"{path}:{number}: a carriage return within the line: convert line ends to line feeds")
        cells = [cell.strip(" ") for cell in line.split("\t")] if "\t" in line else list(filter(None, line.split(" ")))
        # Most lines have no such mark, which is found much faster in the text than in the cells.
        opens = DOCUMENT_START in line and DOCUMENT_START in (*cells[:1], *cells[word_column:][:1])
        opens = opens or (line.startswith("#") and DOCUMENT_MARK.match(line) is not None)
        lines.append(Line(number, line, cells if any(cells) else [], opens))
    tabbed = [line.cells for line in lines if line.cells and "\t" in line.text and not line.opens]
    if tabbed and not any(cells[-1] for cells in tabbed):
        for cells in tabbed:
            cells.pop()
    return lines


def _drop_comments(lines: list[Line], tag_column: int, prefix: str, notes: Notes) -> list[Line]:
    """The lines without comments, which are counted in `notes`."""
    shapes = Counter(_find_shape(line) for line in lines if line.cells and not line.text.startswith(prefix))
    usual = max(shapes, key=shapes.__getitem__, default=None)
    kept = []
    for line in lines:
        is_row = _find_shape(line) == usual and has_tag(line, tag_column)
        if line.text.startswith(prefix) and not is_row and not line.opens:
            notes.comments += 1
        else:
            kept.append(line)
    return kept


def _find_spelling(lines: Iterable[Line], tag_column: int, prefix: str | None) -> Spelling:
    """The spelling of the tags in `tag_column`, apart from lines that can be comments."""
    rows = [line for line in lines if line.cells and not line.opens and not (prefix and line.text.startswith(prefix))]
    written = Counter[str]()
    for cell, number in Counter([line.cells[tag_column] for line in rows if has_column(line, tag_column)]).items():
        written[cell.strip()] += number
    return find_spelling(written)


def _find_shape(line: Line) -> tuple[int, bool]:
    """The number of columns of a line, and whether tabs separate them."""
    return len(line.cells), "\t" in line.text


def _pick_tags(path: str | Path, rows: Sequence[Line], word_column: int, tag_column: int) -> list[str]:
    """The tags of the lines of a sentence. Raises RecipeError if one has no such columns, or no tag."""
    first, last = min(word_column, tag_column), max(word_column, tag_column)
    tags = []
    for line in rows:
        width = len(line.cells)
        if width < 2 or first < -width or last >= width:
            raise RecipeError(
                f"{path}:{line.number}: too few columns ({width}) to read words from column {word_column} and "
                f"tags from column {tag_column}: fix the line, or set word_column and tag_column"
            )
        tags.append(_check_tag(path, line, tag_column))
    return tags


def _check_tag(path: str | Path, line: Line, tag_column: int) -> str:
    """The tag of a line. Raises RecipeError if it is empty or not a tag."""
    tag = line.cells[tag_column].strip()
    if not tag:
        raise RecipeError(
            f"{path}:{line.number}: the cell of the tag, column {tag_column}, is empty: fix the line, or set another "
            "tag_column (two tabs in a row are an empty column)"
        )
    try:
        split_tag(tag)
    except ValueError as error:
        raise RecipeError(
            f"{path}:{line.number}: {error}: fix the line, set another tag_column than {tag_column}, or set "
            "comment_prefix if it is a comment"
        ) from None
    return tag


def format_cells(cells: Sequence[str]) -> str:
    """A line of a column file: `cells` separated by spaces. White space and NUL in a cell become `_`."""
    return " ".join(BREAKS.sub("_", cell) or "_" for cell in cells)


def write_conll(path: str | Path, documents: Iterable[Document], *columns: Sequence[Sequence[str]]) -> None:
    """Write words, tags and further `columns` (for each sentence of all documents, one tag per word), with spaces.

    Each document starts with a `-DOCSTART-` line. White space and NUL inside a word or tag would break the columns and
    become `_`. A word that reads `-DOCSTART-` becomes `_DOCSTART-`.
    """
    rows = iter(zip(*columns, strict=True))
    with open_whole(path) as file:
        for document in documents:
            file.write(" ".join([DOCUMENT_START, "O", *["O"] * len(columns)]) + "\n\n")
            for sentence in document.sentences:
                words = ["_DOCSTART-" if word == DOCUMENT_START else word for word in sentence.words]
                for line in zip(words, sentence.tags, *(next(rows) if columns else ()), strict=True):
                    file.write(format_cells(line) + "\n")
                file.write("\n")

"""CoNLL column files: one word and its tag on each line, a blank line between sentences.

A line whose word or first column is `-DOCSTART-` starts a document. A file without such lines is one document.
"""

import logging
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from recipe.data.documents import Document, Sentence, list_sentences
from recipe.data.schemes import PREFIXES, is_well_formed, split_tag, to_iob2
from recipe.data.text_files import read_lines
from recipe.errors import RecipeError

DOCUMENT_START = "-DOCSTART-"
MOST_SLIPS = 0.01  # largest share of sentences that can break the scheme of their file
LONGEST_LINE = 100_000  # characters

logger = logging.getLogger(__name__)


def read_conll(path: str | Path, tag_scheme: str | None = None, **columns) -> list[Document]:
    """Read a column file and convert its tags to IOB2; `columns` are the options of `read_columns`.

    The scheme of the file is detected unless you give `tag_scheme`.
    Raises RecipeError with file and line if the file cannot be read.
    """
    documents = read_columns(path, **columns)
    convert_tags(list_sentences(documents), tag_scheme)
    return documents


def read_columns(
    path: str | Path,
    word_column: int = 0,
    tag_column: int = -1,
    encoding: str = "utf-8",
    comment_prefix: str | None = None,
) -> list[Document]:
    """Read a column file without converting its tags.

    Columns are separated by tabs in a line that contains one, otherwise by spaces; empty columns do not count. Lines
    can have different numbers of columns if the word and the tag column exist. A byte order mark and CRLF line ends are
    accepted. Raises RecipeError with file and line if the file cannot be read.
    """
    needed = max(2, *(index + 1 if index >= 0 else -index for index in (word_column, tag_column)))
    documents, sentence = [Document()], None
    for number, line in enumerate(read_lines(path, encoding), 1):
        if len(line) > LONGEST_LINE:
            raise RecipeError(f"{path}:{number}: {len(line)} characters in one line: check that this is a column file")
        if "\r" in line:
            raise RecipeError(f"{path}:{number}: a carriage return within the line: convert line ends to line feeds")
        if comment_prefix and line.startswith(comment_prefix):
            continue
        cells = (cell.strip(" ") for cell in line.split("\t" if "\t" in line else " "))
        columns = [cell for cell in cells if cell]
        opens = DOCUMENT_START in (*columns[:1], *columns[word_column:][:1])
        if opens or not columns:
            sentence = None
            if opens:
                documents.append(Document())
            continue
        if sentence is None:
            sentence = Sentence([], [], f"{path}:{number}")
            documents[-1].sentences.append(sentence)
        if len(columns) < needed:
            raise RecipeError(
                f"{path}:{number}: too few columns ({len(columns)}) to read words from column {word_column} and tags "
                f"from column {tag_column}: fix the line, or set word_column and tag_column"
            )
        word, tag = columns[word_column], columns[tag_column].strip()
        try:
            split_tag(tag)
        except ValueError as error:
            raise RecipeError(
                f"{path}:{number}: {error}: fix the line, set another tag_column than {tag_column}, or set "
                "comment_prefix if it is a comment"
            ) from None
        sentence.words.append(word)
        sentence.tags.append(tag)
    documents = [document for document in documents if document.sentences]
    if not documents:
        raise RecipeError(f"{path}: no sentences: the file has no lines with a word and a tag: check the path")
    return documents


def convert_tags(sentences: Sequence[Sentence], tag_scheme: str | None = None) -> str:
    """Convert the tags of one file's sentences to IOB2 in place; return the scheme they were in.

    Without `tag_scheme`, that is the scheme whose rules the fewest sentences break. Published corpora contain a few
    mistakes (two in CoNLL-2003's IOB1 training file): such a tag starts an entity, as in conlleval.
    Raises RecipeError if more than 1 % of the sentences with an entity break the rules of the best scheme, or if a tag
    has a prefix that the scheme does not have.
    """
    for sentence in sentences:
        sentence.tags = [tag.replace(" ", "_") for tag in sentence.tags]  # as `write_conll` writes types
    scheme = tag_scheme or _detect_scheme([sentence for sentence in sentences if set(sentence.tags) != {"O"}])
    for sentence in sentences:
        foreign = {split_tag(tag)[0] for tag in sentence.tags} - {"O", *PREFIXES[scheme]}
        if foreign:
            raise RecipeError(
                f"{sentence.place}: the sentence that starts here has a tag with the prefix {min(foreign)}, which is "
                f"not in the scheme {scheme}: fix the tag, or set tag_scheme"
            )
        sentence.tags = to_iob2(sentence.tags)
    return scheme


def _detect_scheme(sentences: Sequence[Sentence]) -> str:
    slips = {
        scheme: [sentence for sentence in sentences if not is_well_formed(sentence.tags, scheme)] for scheme in PREFIXES
    }
    scheme = min(slips, key=lambda name: len(slips[name]))
    broken = slips[scheme]
    if len(broken) > MOST_SLIPS * len(sentences):
        raise RecipeError(
            f"{broken[0].place}: the tags of the sentence that starts here are not {scheme}, the scheme that fits the "
            f"file best ({len(broken)} of {len(sentences)} sentences break it): fix the tags, or set tag_scheme"
        )
    if broken:
        logger.warning("%s: first of %d sentence(s) that break the rules of %s", broken[0].place, len(broken), scheme)
    return scheme


def format_cells(cells: Sequence[str]) -> str:
    """A line of a column file: `cells` separated by spaces. White space and NUL in a cell become `_`."""
    return " ".join(re.sub(r"[ \t\r\n\0]", "_", cell) or "_" for cell in cells)


def write_conll(path: str | Path, documents: Iterable[Document], *columns: Sequence[Sequence[str]]) -> None:
    """Write words, tags and further `columns` (for each sentence of all documents, one tag per word), with spaces.

    Each document starts with a `-DOCSTART-` line. White space and NUL inside a word or tag would break the columns and
    become `_`. A word that reads `-DOCSTART-` becomes `_DOCSTART-`.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    rows = iter(zip(*columns, strict=True))
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        for document in documents:
            file.write(" ".join([DOCUMENT_START, "O", *["O"] * len(columns)]) + "\n\n")
            for sentence in document.sentences:
                words = ["_DOCSTART-" if word == DOCUMENT_START else word for word in sentence.words]
                for line in zip(words, sentence.tags, *(next(rows) if columns else ()), strict=True):
                    file.write(format_cells(line) + "\n")
                file.write("\n")

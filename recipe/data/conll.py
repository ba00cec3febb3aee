"""CoNLL column files: a word a line, its tag in one of the columns, a blank line between sentences.

A line whose word, or first column, is `-DOCSTART-` opens a document; a file without any is one document.
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
MOST_SLIPS = 0.01  # share of sentences that may break their file's scheme
LONGEST_LINE = 100_000  # characters; what is longer is no line of columns

logger = logging.getLogger(__name__)


def read_conll(path: str | Path, tag_scheme: str | None = None, **columns) -> list[Document]:
    """Read a column file with its tags turned into IOB2; `columns` are the settings of `read_columns`.

    The scheme of the file is detected unless `tag_scheme` names it.
    Raises RecipeError, with file and line, for what cannot be read.
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
    """Read a column file with its tags as they stand.

    Columns are parted by tabs in a line that holds one, by spaces otherwise; empty ones do not count. Lines may differ
    in their number of columns as long as both that are read exist. A byte order mark and CRLF line ends are dropped.
    Raises RecipeError, with file and line, for what cannot be read.
    """
    needed = max(2, *(index + 1 if index >= 0 else -index for index in (word_column, tag_column)))
    documents, sentence = [Document()], None
    for number, line in enumerate(read_lines(path, encoding), 1):
        if len(line) > LONGEST_LINE:
            raise RecipeError(f"{path}:{number}: {len(line)} characters in one line: is this a file of columns?")
        if "\r" in line:
            raise RecipeError(f"{path}:{number}: a carriage return within the line: turn the line ends into line feeds")
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
                f"from column {tag_column}: mend the line, or name other columns"
            )
        word, tag = columns[word_column], columns[tag_column].strip()
        try:
            split_tag(tag)
        except ValueError as error:
            raise RecipeError(
                f"{path}:{number}: {error}: mend the line, read tags from another column than {tag_column}, "
                "or if it is a comment set comment_prefix"
            ) from None
        sentence.words.append(word)
        sentence.tags.append(tag)
    documents = [document for document in documents if document.sentences]
    if not documents:
        raise RecipeError(f"{path}: no sentences: the file holds no lines of words and tags: check the path")
    return documents


def convert_tags(sentences: Sequence[Sentence], tag_scheme: str | None = None) -> str:
    """Turn the tags of one file's sentences into IOB2, in place; return the scheme that they were in.

    Unless `tag_scheme` names it, that is the scheme whose rules the fewest sentences break. Published corpora hold
    single slips (two in CoNLL-2003's IOB1 training file): such tags open an entity, as conlleval reads them.
    Raises RecipeError if over 1 % of the sentences break the best scheme's rules, or if they hold prefixes that
    `tag_scheme` does not have.
    """
    for sentence in sentences:
        sentence.tags = [tag.replace(" ", "_") for tag in sentence.tags]  # of a type, as `write_conll` writes it
    scheme = tag_scheme or _detect_scheme([sentence for sentence in sentences if set(sentence.tags) != {"O"}])
    for sentence in sentences:
        foreign = {split_tag(tag)[0] for tag in sentence.tags} - {"O", *PREFIXES[scheme]}
        if foreign:
            raise RecipeError(
                f"{sentence.place}: the sentence that begins here holds the prefix {min(foreign)}, which the scheme "
                f"{scheme} does not have: mend it, or set tag_scheme"
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
            f"{broken[0].place}: the tags of the sentence that begins here are not {scheme}, which fits the file best "
            f"({len(broken)} of {len(sentences)} sentences break it): mend the tags, or name their scheme in tag_scheme"
        )
    if broken:
        logger.warning("%s: %d sentence(s) from here on break the rules of %s", broken[0].place, len(broken), scheme)
    return scheme


def write_conll(path: str | Path, documents: Iterable[Document], *columns: Sequence[Sequence[str]]) -> None:
    """Write words, tags and further `columns` (for each sentence of all documents, a tag a word), parted by spaces.

    Documents open with `-DOCSTART-`. White space and NUL inside a word or tag, which would break the columns, become
    `_`, and so does the first hyphen of a word that is the opening of a document.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    rows = iter(zip(*columns, strict=True))
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        for document in documents:
            file.write(" ".join([DOCUMENT_START, "O", *["O"] * len(columns)]) + "\n\n")
            for sentence in document.sentences:
                words = ["_DOCSTART-" if word == DOCUMENT_START else word for word in sentence.words]
                for line in zip(words, sentence.tags, *(next(rows) if columns else ()), strict=True):
                    file.write(" ".join(re.sub(r"[ \t\r\n\0]", "_", cell) or "_" for cell in line) + "\n")
                file.write("\n")

"""Standoff files of brat: the entities of `name.ann` are character spans of the text in `name.txt`.

Only entities are read (lines that start with T); relations, events and attributes are not.
"""

import re
from pathlib import Path

from recipe.data.documents import Document, Notes, list_sentences
from recipe.data.settings import EntityArguments
from recipe.data.spans import Span, tag_text
from recipe.data.text_files import read_lines, read_text
from recipe.errors import RecipeError

ENTITY = re.compile(r"T\S*\t(?P<kind>\S+) (?P<offsets>\d{1,15} \d{1,15}(?:;\d{1,15} \d{1,15})*)(?:\t(?P<quoted>.*))?")


def read_brat(path: str, arguments: EntityArguments, notes: Notes) -> list[Document]:
    """The document of one `.ann` file. Entities in several pieces are left out and counted in `notes`.

    Raises RecipeError with file and line if the file or its text cannot be read.
    """
    text = read_text(Path(path).with_suffix(".txt"), arguments.encoding).removeprefix("\ufeff")
    spans = []
    for number, line in enumerate(read_lines(path, arguments.encoding), 1):
        if not line.startswith("T"):
            continue
        match = ENTITY.fullmatch(line)
        if match is None:
            raise RecipeError(f"{path}:{number}: expected a name, a type with start and end, and a text, between tabs")
        if ";" in match["offsets"]:
            notes.remark("entity(ies) in several pieces were left out", f"{path}:{number}")
            continue
        start, end = map(int, match["offsets"].split())
        spans.append(Span(start, end, match["kind"], match["quoted"]))
    document = tag_text(text, spans, path, notes)
    if not list_sentences([document]):
        return []
    notes.add_file(path, "spans")
    return [document]

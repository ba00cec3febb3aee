"""Rows of JSON, JSON lines, CSV and Parquet -> documents: words with tags, or a text with character spans.

What a row contains is recognised by its keys and values; the settings `text_column_name` and `label_column_name` name
the keys otherwise.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from recipe.data.conll import DOCUMENT_START
from recipe.data.documents import Document, Notes, Sentence, list_sentences
from recipe.data.schemes import split_tag
from recipe.data.settings import EntityArguments
from recipe.data.sources import find_suffix
from recipe.data.spans import read_spans, tag_text
from recipe.data.spelling import find_spelling
from recipe.data.tag_conversion import convert_tags
from recipe.data.text_files import RepeatedKeyError, find_delimiter, find_repeated, parse_json, parse_list, read_text
from recipe.errors import RecipeError

WORD_KEYS = ("tokens", "words", "token", "word")
TAG_KEYS = ("ner_tags", "tags", "labels", "ner", "label", "ner_labels", "tag", "ner_tag", "entities")
TEXT_KEYS = ("text", "content", "data", "sentence")
SPAN_KEYS = ("spans", "entities", "ents", "label", "labels", "annotations", "annotation")
DOCUMENT_KEYS = ("doc", "doc_id", "document", "document_id", "file", "file_name", "filename")
SENTENCE_KEYS = ("sentence_id", "sentence #", "sentence", "sent_id", "sentence_number", "sentence id")

TAG = re.compile(r"O|[A-Z]-\S+")  # a single tag of a scheme with prefixes
UNANNOTATED = "row(s) without annotations were left out"

Row = Any  # what JSON can hold
Rows = list[tuple[str, Row]]  # with the place of each


def read_rows(path: str, arguments: EntityArguments, notes: Notes) -> list[Document]:
    """The documents of a file of rows, tagged in IOB2. Raises RecipeError with file and line if it cannot be read."""
    suffix = find_suffix(path)
    if suffix == ".parquet":
        rows = _load_parquet(path)
    else:
        text = read_text(path, arguments.encoding).removeprefix("\ufeff")
        rows = _parse_csv(path, text, arguments) if suffix == ".csv" else _parse_json(path, text)
    annotated = any(isinstance(row, dict) and _has_spans(row, arguments) for _, row in rows)
    documents = [Document()]
    for place, row in rows:
        if annotated and isinstance(row, dict) and _is_unannotated(row, arguments):
            notes.remark(UNANNOTATED, place)
            continue
        read = _read_row(place, row, arguments, notes)
        if isinstance(read, Document):
            documents += [read, Document()]
        elif read and read.words == [DOCUMENT_START]:
            documents.append(Document())
        elif read and read.words:
            documents[-1].sentences.append(read)
    return finish_documents(path, documents, arguments, notes)


def finish_documents(
    place: str, documents: Iterable[Document], arguments: EntityArguments, notes: Notes
) -> list[Document]:
    """Check words and tags, and convert the tags of one file to IOB2. Empty documents are dropped."""
    kept = [document for document in documents if document.sentences]
    sentences = list_sentences(kept)
    if not sentences:
        raise RecipeError(f"{place}: no sentences: check the path")
    spelling = find_spelling(Counter(str(tag) for sentence in sentences for tag in sentence.tags))
    for sentence in sentences:
        if len(sentence.words) != len(sentence.tags):
            raise RecipeError(
                f"{sentence.place}: {len(sentence.words)} words but {len(sentence.tags)} tags: fix the row"
            )
        sentence.tags = [spelling.spell(str(tag)) for tag in sentence.tags]
        for tag in sentence.tags:
            try:
                split_tag(tag)
            except ValueError as error:
                hint = "set tag_names, the names of the numbers" if tag.isdigit() else "check label_column_name"
                raise RecipeError(f"{sentence.place}: {error}: {hint}") from None
    notes.add_file(place, convert_tags(sentences, arguments.tag_scheme), spelling.note)
    return kept


def make_sentence(words: Any, tags: Any, place: str, names: Sequence[str] | None = None) -> Sentence:
    """A sentence from a list of words and a list of tags, which can be numbers of `names`.

    Raises RecipeError if they are something else.
    """
    if not (isinstance(words, list) and isinstance(tags, list) and all(isinstance(word, str) for word in words)):
        raise RecipeError(f"{place}: expected a list of words and a list of tags")
    if names and all(isinstance(tag, int) for tag in tags):
        bad = [tag for tag in tags if not 0 <= tag < len(names)]
        if bad:
            raise RecipeError(f"{place}: the tag {bad[0]} is not one of the {len(names)} tag_names: fix either")
        tags = [names[tag] for tag in tags]
    try:
        "".join(words).encode()
    except UnicodeEncodeError:
        raise RecipeError(f"{place}: half of a surrogate pair in the words: fix the escape sequence") from None
    return Sentence(words, tags, place)


def _load_parquet(path: str) -> Rows:
    import datasets  # this import takes a second

    try:
        table: Any = datasets.Dataset.from_parquet(path)
        names = {key: getattr(getattr(kind, "feature", None), "names", None) for key, kind in table.features.items()}
        rows = list(table)
    except Exception as error:  # damaged metadata lead to errors of any kind
        raise RecipeError(f"{path}: not a Parquet file: {error}: check the file") from None
    numbered = {key: own for key, own in names.items() if own}
    return [
        (f"{path}:{number}", {key: _name_tags(value, numbered.get(key)) for key, value in row.items()})
        for number, row in enumerate(rows, 1)
    ]


def _name_tags(value: Any, names: Sequence[str] | None) -> Any:
    """A list of numbers as the names that its column gives them; -1, a hidden tag, stays a number."""
    if not names or not isinstance(value, list):
        return value
    return [names[tag] if isinstance(tag, int) and 0 <= tag < len(names) else tag for tag in value]


def _parse_json(path: str, text: str) -> Rows:
    """The rows of a JSON array or of JSON lines."""
    if text.lstrip().startswith("["):
        try:
            whole = parse_json(text)
        except RepeatedKeyError as error:
            raise RecipeError(f"{path}: {error}: rename or remove one of them") from None
        except (ValueError, RecursionError):
            whole = None  # JSON lines of arrays, or not valid
        if isinstance(whole, list) and not _is_pair(whole) and not all(isinstance(item, str) for item in whole):
            return [(f"{path}: item {number}", row) for number, row in enumerate(whole, 1)]
    rows = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                rows.append((f"{path}:{number}", parse_json(line)))
            except (ValueError, RecursionError) as error:
                whole = _parse_object(text)
                if whole:
                    raise RecipeError(
                        f"{path}: one JSON object with the keys {' '.join(whole)[:80]}: expected an array of objects, "
                        "or an object on each line: convert the file"
                    ) from None
                reason = str(error).splitlines()[0]
                raise RecipeError(f"{path}:{number}: not valid JSON: {reason}: fix the line") from None
    return rows


def _parse_object(text: str) -> dict | None:
    try:
        whole = parse_json(text)
    except (ValueError, RecursionError):
        return None
    return whole if isinstance(whole, dict) else None


def _parse_csv(path: str, text: str, arguments: EntityArguments) -> Rows:
    """The rows of a CSV file: of one word each, which are joined to sentences, or of one text or sentence each."""
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=find_delimiter(text.partition("\n")[0]))
    given = {name.lower(): name for name in (arguments.text_column_name, arguments.label_column_name) if name}
    lower = {key: key.strip().lower() for key in reader.fieldnames or []}
    if twice := find_repeated(filter(None, reader.fieldnames or [])):
        raise RecipeError(f"{path}:1: the column {twice!r} is there twice: rename or remove one of them")
    keys = {key: given.get(name, name) for key, name in lower.items()}  # in any case, and as the settings write it
    rows = [(f"{path}:{reader.line_num}", {keys.get(key): cell for key, cell in row.items()}) for row in reader]
    word = arguments.text_column_name or _find_key(keys.values(), WORD_KEYS + TEXT_KEYS)
    tag = _set_by_user(arguments) or _find_key(keys.values(), TAG_KEYS)
    sentence = _find_key([key for key in keys.values() if key not in (word, tag)], SENTENCE_KEYS)
    if {word, tag} - {None} - set(keys.values()):
        word = None  # explained by the first row
    alone = word and all(len((row[word] or "_").split()) == 1 for _, row in rows)  # a word in each row
    repeated = sentence and len({row[sentence] for _, row in rows}) < len(rows)
    tagged = repeated and tag and all(TAG.fullmatch((row[tag] or "O").strip()) for _, row in rows)  # word with spaces
    if word and (alone or tagged) and tag and sentence:
        named = (arguments.text_column_name or WORD_KEYS[0], arguments.label_column_name)
        return _join_words(rows, sentence, (word, tag), named)
    return [(place, {key: parse_list(cell) for key, cell in row.items()}) for place, row in rows]


def _join_words(rows: Rows, sentence: str, columns: tuple[str, str], named: tuple[str, str]) -> Rows:
    """Rows of one word each -> rows of one sentence each. An empty cell continues the sentence.

    columns: those of the words and the tags; named: their keys in the rows of sentences.
    """
    (word, tag), (words, tags) = columns, named
    joined: Rows = []
    current = None
    documents = [key for key in DOCUMENT_KEYS if rows and key in rows[0][1]]
    for place, row in rows:
        name = (row[sentence] or "").strip()
        name = " ".join([*(row[key] or "" for key in documents), name]) if name else ""
        opens = row[word] == DOCUMENT_START  # has no number of its own
        if not joined or (name and name != current) or opens or joined[-1][1][words] == [DOCUMENT_START]:
            joined.append((place, {words: [], tags: []}))
            current = name
        joined[-1][1][words].append(row[word] or "_")
        joined[-1][1][tags].append((row[tag] or "").strip())
    return joined


def _find_key(keys: Iterable[str], names: Sequence[str]) -> str | None:
    given = set(keys)
    return next((name for name in names if name in given), None)


def _is_pair(row: Row) -> bool:
    """Whether a row is a pair of a text and its annotations, as spaCy's training examples are."""
    return isinstance(row, list) and len(row) == 2 and isinstance(row[0], str) and isinstance(row[1], dict)


def _read_row(place: str, row: Row, arguments: EntityArguments, notes: Notes) -> Document | Sentence | None:
    """A sentence of words with tags, or a document of a text with spans. None for a row that annotators rejected."""
    if _is_pair(row):
        row = {"text": row[0], **row[1]}
    if not isinstance(row, dict):
        raise _explain(place, row, arguments)
    if row.get("answer") in ("reject", "ignore"):  # as Prodigy marks them
        notes.remark("rejected row(s) were left out", place)
        return None
    names = arguments.tag_names or row.get("label_names")
    words = _find_value(row, arguments.text_column_name, WORD_KEYS, list)
    tags = _find_value(row, _set_by_user(arguments), TAG_KEYS, list)
    if words is not None and tags is not None and all(isinstance(word, str) for word in words):
        return make_sentence(words, tags, place, names)
    if isinstance(data := row.get("data"), dict):  # Label Studio
        done = _pick_annotator(row.get("annotations"), place, notes)
        if not done:
            return None
        text = _find_value(data, arguments.text_column_name, TEXT_KEYS, str)
        if text is None:
            raise _explain(place, data, arguments)
        row = {arguments.text_column_name or TEXT_KEYS[0]: text, "annotations": done}
    text = _find_value(row, arguments.text_column_name, TEXT_KEYS, str)
    if text is not None:
        labels = _find_value(row, _set_by_user(arguments), TAG_KEYS, str)
        # A text beside spans is the class of the text, or a note.
        if labels is not None and not _has_spans(row, arguments):
            return make_sentence(text.split(), labels.split(), place)
        spans = _find_value(row, _set_by_user(arguments), SPAN_KEYS, list, filled=True)
        if spans is not None and not (spans and all(isinstance(span, str) for span in spans)):
            return tag_text(text, [found for span in spans for found in read_spans(span, place)], place, notes)
        if spans is not None:
            return make_sentence(text.split(), spans, place)
    raise _explain(place, row, arguments)


def _has_spans(row: Mapping[str, Any], arguments: EntityArguments) -> bool:
    return any(isinstance(row.get(key), list) for key in (*SPAN_KEYS, _set_by_user(arguments) or SPAN_KEYS[0]))


def _is_unannotated(row: Mapping[str, Any], arguments: EntityArguments) -> bool:
    """Whether a row is a text only: tools leave out the key of the spans, or write null, if nobody has annotated it."""
    keys = {*SPAN_KEYS, *TAG_KEYS, arguments.label_column_name}
    texts = _find_value(row, arguments.text_column_name, TEXT_KEYS, str)
    return texts is not None and all(row.get(key) is None for key in keys)


def _pick_annotator(annotations: Any, place: str, notes: Notes) -> list:
    """The work of the first annotator who finished a task of Label Studio, in a list; empty without one."""
    given = annotations if isinstance(annotations, list) else []
    done = [one for one in given if isinstance(one, dict) and not one.get("was_cancelled")]
    if not done:
        notes.remark(UNANNOTATED, place)
    if len(done) > 1:
        notes.remark("row(s) have several annotators, of whom the first was read", place)
    return done[:1]


def _set_by_user(arguments: EntityArguments) -> str | None:
    """`label_column_name`, if it is not the default."""
    return arguments.label_column_name if arguments.label_column_name != TAG_KEYS[0] else None


def _find_value(row: Mapping[str, Any], key: str | None, keys: Sequence[str], kind: type, filled: bool = False) -> Any:
    """The value of `key`, or without it of the first of `keys`, that has the type `kind`; None without one.

    filled: rather one that is not empty.
    """
    values = [value for name in ([key] if key else keys) if isinstance(value := row.get(name), kind)]
    return next((value for value in values if value or not filled), values[0] if values else None)


def _explain(place: str, row: Row, arguments: EntityArguments) -> RecipeError:
    """The error for a row that contains neither words and tags, nor a text and spans."""
    keys = " ".join(" ".join(map(str, row)).split())[:80] if isinstance(row, dict) else ""
    kind = f"an object with the keys {keys or '(none)'}" if isinstance(row, dict) else "no object"
    words, tags = arguments.text_column_name or "tokens", arguments.label_column_name
    return RecipeError(
        f"{place}: {kind}: expected a list of words in {words!r} and a list of tags in {tags!r}, or a text and spans: "
        "set text_column_name and label_column_name"
    )

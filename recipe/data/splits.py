"""Named-entity data: a folder, files or a Hub data set -> documents for each split, and the label list."""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from recipe.data.conll import DOCUMENT_START, convert_tags, read_conll
from recipe.data.documents import Document, Notes, Sentence, list_sentences
from recipe.data.schemes import build_labels, is_iob2, list_types, split_tag
from recipe.data.settings import EntityArguments
from recipe.data.sources import expand_files, load_hub, pick_column
from recipe.data.text_files import read_lines
from recipe.errors import RecipeError

if TYPE_CHECKING:
    from datasets import Dataset


class SplitSettings(NamedTuple):
    """The names of the settings for a split: its files, its limit of sentences, and the task that needs it."""

    files: str
    limit: str
    task: str


SPLITS = {
    "train": SplitSettings("train_file", "max_train_samples", "do_train"),
    "dev": SplitSettings("validation_file", "max_eval_samples", "do_eval and eval_strategy"),
    "test": SplitSettings("test_file", "max_predict_samples", "do_predict"),
}
HUB_NAMES = {"train": "train", "dev": "validation", "test": "test"}  # name in the recipe -> name on the Hub
FILE_NAMES = {  # in `data_dir`
    "train": ("*.train", "train.*"),
    "dev": ("*.testa", "dev.*", "valid.*", "validation.*"),
    "test": ("*.testb", "test.*"),
}
WRITTEN = EntityArguments(tag_scheme="IOB2")  # how the recipe writes its files
SUFFIXES = {".train", ".testa", ".testb", ".txt", ".conll", ".iob", ".iob2", ".bio", ".tsv", ".jsonl", ".json"}


def load_splits(
    arguments: EntityArguments,
    wanted: Sequence[str] = tuple(SPLITS),
    cache_dir: str | None = None,
    notes: dict[str, Notes] | None = None,
) -> dict[str, list[Document]]:
    """Read the `wanted` splits (of train, dev, test) as documents tagged in IOB2, without applying limits.

    notes: what was found in each split is added to it.
    Single files take precedence over `data_dir`, and both over `dataset_name`.
    Raises RecipeError if data are missing or cannot be read.
    """
    if not wanted:
        raise RecipeError("nothing to do: set do_train, do_eval or do_predict")
    files = find_files(arguments.data_dir) if arguments.data_dir else {}
    for split, settings in SPLITS.items():
        if patterns := getattr(arguments, settings.files):
            files[split] = expand_files(settings.files, patterns)
    if files:
        readers = {split: partial(_read_files, paths, arguments) for split, paths in files.items()}
    elif arguments.dataset_name:
        found = _find_rows(arguments, cache_dir)
        readers = {split: partial(_read_rows, rows, arguments) for split, rows in found.items()}
    else:
        raise RecipeError("no data: set data_dir, train_file (validation_file, test_file) or dataset_name")
    missing = [split for split in wanted if split not in readers]
    if missing:
        needed = SPLITS[missing[0]]
        raise RecipeError(f"no {missing[0]} data: set {needed.files}, or switch off {needed.task}")
    notes = {} if notes is None else notes
    notes.update({split: Notes() for split in wanted})
    splits = {split: readers[split](notes[split]) for split in wanted}
    if "train" in splits and arguments.extra_train_file:
        extra = expand_files("extra_train_file", arguments.extra_train_file)
        splits["train"] += _read_files(extra, WRITTEN, notes["train"])
    return splits


def limit_sentences(splits: dict[str, list[Document]], arguments: EntityArguments) -> dict[str, list[Document]]:
    """The first sentences of each split, up to `max_train_samples`, `max_eval_samples` and `max_predict_samples`."""
    return {split: _take(documents, getattr(arguments, SPLITS[split].limit)) for split, documents in splits.items()}


def find_files(data_dir: str) -> dict[str, list[str]]:
    """The files of a data folder by split, from names such as `eng.train`, `eng.testa`, `valid.txt`, `test.conll`.

    Raises RecipeError if there is no such folder or file, or if two files look like the same split.
    """
    folder = Path(data_dir).expanduser()
    if not folder.is_dir():
        raise RecipeError(f"data_dir: no folder at {folder}: check the path")
    found = {}
    for split, patterns in FILE_NAMES.items():
        matches = sorted({p for pattern in patterns for p in folder.glob(pattern) if p.suffix in SUFFIXES})
        if len(matches) > 1:
            raise RecipeError(
                f"data_dir: both {matches[0]} and {matches[1]} look like {split}: move one of them to another folder, "
                "or set train_file, validation_file and test_file instead of data_dir"
            )
        if matches:
            found[split] = [str(matches[0])]
    if not found:
        expected = ", ".join(pattern for patterns in FILE_NAMES.values() for pattern in patterns)
        raise RecipeError(f"data_dir: no column files in {folder}: expected names like {expected}")
    return found


def list_labels(documents: list[Document]) -> list[str]:
    """The labels of training data: O, then B- and I- of each entity type in alphabetical order.

    Raises RecipeError if there is no entity in the data.
    """
    types = list_types(tag for sentence in list_sentences(documents) for tag in sentence.tags)
    if not types:
        raise RecipeError("no entities in the training data, every tag is O: check the files and tag_column")
    return build_labels(types)


def check_labels(splits: dict[str, list[Document]], labels: Sequence[str]) -> None:
    """Raise RecipeError if `labels` are not IOB2, or for the first sentence with a tag that is not in `labels`."""
    foreign = [label for label in labels if not is_iob2(label)]
    if foreign:
        raise RecipeError(
            f"the model predicts {' '.join(foreign)}: only IOB2 labels (O, B-TYPE, I-TYPE) can be scored: choose "
            "another model"
        )
    for sentence in list_sentences(document for documents in splits.values() for document in documents):
        unknown = set(sentence.tags).difference(labels)
        if unknown:
            raise RecipeError(
                f"{sentence.place}: the sentence that starts here has the tag {min(unknown)}, which the model does not "
                f"predict: fix the tag, or train on data that contain it (labels: {' '.join(labels)})"
            )


def _read_files(paths: list[str], arguments: EntityArguments, notes: Notes) -> list[Document]:
    return [document for path in paths for document in _read_file(path, arguments, notes)]


def _read_file(path: str, arguments: EntityArguments, notes: Notes) -> list[Document]:
    if path.endswith((".jsonl", ".json")):
        return _read_jsonl(path, arguments, notes)
    return read_conll(
        path,
        arguments.tag_scheme,
        notes,
        check=arguments is not WRITTEN,  # its word and tag columns are known
        word_column=arguments.word_column,
        tag_column=arguments.tag_column,
        encoding=arguments.encoding,
        comment_prefix=arguments.comment_prefix,
    )


def _read_jsonl(path: str, arguments: EntityArguments, notes: Notes) -> list[Document]:
    keys = arguments.text_column_name or "tokens", arguments.label_column_name
    lines = enumerate(read_lines(path, arguments.encoding), 1)
    sentences = [_read_row(line, f"{path}:{number}", keys) for number, line in lines if line.strip()]
    return _group_documents(path, sentences, arguments.tag_scheme, notes)


def _read_row(line: str, place: str, keys: tuple[str, str]) -> Sentence:
    try:
        row = json.loads(line)
        "".join(row[keys[0]]).encode()
    except UnicodeEncodeError:
        raise RecipeError(f"{place}: half of a surrogate pair in {keys[0]!r}: fix the escape sequence") from None
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"{place}: not valid JSON: {str(error).splitlines()[0]}: fix the line") from None
    except (KeyError, TypeError):
        row = {}
    return _make_sentence(row.get(keys[0]), row.get(keys[1]), place, keys)


def _make_sentence(words: object, tags: object, place: str, keys: tuple[str, str]) -> Sentence:
    if not (isinstance(words, list) and isinstance(tags, list) and all(isinstance(word, str) for word in words)):
        raise RecipeError(f"{place}: expected a list of words in {keys[0]!r} and a list of tags in {keys[1]!r}")
    return Sentence(words, tags, place)


def _find_rows(arguments: EntityArguments, cache_dir: str | None) -> dict[str, "Dataset"]:
    loaded = load_hub(arguments, cache_dir)
    return {split: loaded[name] for split, name in HUB_NAMES.items() if name in loaded}


def _read_rows(rows: "Dataset", arguments: EntityArguments, notes: Notes) -> list[Document]:
    keys = arguments.text_column_name or "tokens", arguments.label_column_name
    for setting, key in zip(("text_column_name", "label_column_name"), keys, strict=True):
        if not hasattr(rows.features[pick_column(rows.column_names, key, setting)], "feature"):
            columns = ", ".join(rows.column_names)
            raise RecipeError(f"{setting}: the column {key!r} has no lists: set another one of {columns}")
    place = f"{arguments.dataset_name}/{rows.split}"
    columns = enumerate(zip(*(rows[key] for key in keys), strict=True), 1)
    sentences = [_make_sentence(words, tags, f"{place}:{number}", keys) for number, (words, tags) in columns]
    feature = rows.features[keys[1]].feature
    if hasattr(feature, "int2str"):  # a ClassLabel
        for sentence in sentences:
            try:
                sentence.tags = feature.int2str(sentence.tags)
            except (ValueError, TypeError) as error:  # -1 if a test split hides its tags
                raise RecipeError(
                    f"{sentence.place}: {error}: do not use this split, or check label_column_name"
                ) from None
    return _group_documents(place, sentences, arguments.tag_scheme, notes)


def _group_documents(place: str, sentences: list[Sentence], tag_scheme: str | None, notes: Notes) -> list[Document]:
    """Check rows of words and tags, convert their tags to IOB2, and split them into documents at `-DOCSTART-` rows."""
    documents = [Document()]
    for sentence in sentences:
        if len(sentence.words) != len(sentence.tags):
            raise RecipeError(
                f"{sentence.place}: {len(sentence.words)} words but {len(sentence.tags)} tags: fix the row"
            )
        for tag in sentence.tags:
            try:
                split_tag(str(tag))
            except ValueError as error:
                raise RecipeError(f"{sentence.place}: {error}: check label_column_name") from None
        if sentence.words == [DOCUMENT_START]:
            documents.append(Document())
        elif sentence.words:
            documents[-1].sentences.append(sentence)
    documents = [document for document in documents if document.sentences]
    if not documents:
        raise RecipeError(f"{place}: no sentences: check the path")
    notes.schemes.add(convert_tags(list_sentences(documents), tag_scheme))
    notes.files.append(place)
    return documents


def _take(documents: list[Document], limit: int | None) -> list[Document]:
    if limit is None:
        return documents
    taken = []
    for document in documents:
        if limit > 0:
            taken.append(Document(document.sentences[:limit]))
        limit -= len(document.sentences)
    return taken

"""Named-entity data: a folder, files or a Hub data set -> documents for each split, and the label list."""

import random
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from recipe.data.brat import read_brat
from recipe.data.conll import DOCUMENT_START, read_conll
from recipe.data.documents import Document, Notes, list_sentences
from recipe.data.rows import finish_documents, make_sentence, read_rows
from recipe.data.schemes import build_labels, is_iob2, list_types
from recipe.data.settings import EntityArguments
from recipe.data.sources import expand_files, find_suffix, load_hub, pick_column
from recipe.errors import RecipeError
from recipe.seeds import derive_seed

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
FILE_NAMES = {  # in `data_dir`: the end of a file's name, or what comes before its suffix
    "train": ("train",),
    "dev": ("testa", "dev", "devel", "valid", "val", "validation"),
    "test": ("testb", "test"),
}
WRITTEN = EntityArguments(tag_scheme="IOB2")  # how the recipe writes its files
ROW_FILES = {".jsonl", ".json", ".csv", ".parquet"}
SUFFIXES = {".txt", ".conll", ".conllu", ".iob", ".iob2", ".bio", ".tsv", ".ann", *ROW_FILES}


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


def take_share(documents: list[Document], share: float, seed: int) -> list[Document]:
    """A random share of the documents, at least one, in their order; with a seed, larger shares contain smaller ones.

    Raises RecipeError if there is only one document, which cannot be divided.
    """
    if share == 1:
        return documents
    if len(documents) < 2:
        raise RecipeError(
            "train_share: the training data are a single document, which cannot be divided: mark where documents "
            f"start ({DOCUMENT_START}), or set max_train_samples instead"
        )
    drawn = random.Random(derive_seed("train_share", seed)).sample(range(len(documents)), len(documents))
    return [documents[number] for number in sorted(drawn[: max(1, round(share * len(documents)))])]


def limit_sentences(splits: dict[str, list[Document]], arguments: EntityArguments) -> dict[str, list[Document]]:
    """The first sentences of each split, up to `max_train_samples`, `max_eval_samples` and `max_predict_samples`."""
    return {split: _take(documents, getattr(arguments, SPLITS[split].limit)) for split, documents in splits.items()}


def find_files(data_dir: str) -> dict[str, list[str]]:
    """The files of a data folder by split, from names such as `eng.train`, `eng.testa`, `valid.txt`, `test.conll.gz`.

    A subfolder of such a name contains the files of its split in brat's format, `.ann` beside `.txt`.
    Raises RecipeError if there is no such folder or file, or if two files look like the same split.
    """
    folder = Path(data_dir).expanduser()
    if not folder.is_dir():
        raise RecipeError(f"data_dir: no folder at {folder}: check the path")
    found: dict[str, list[str]] = {}
    for path in sorted(folder.iterdir()):
        split = _find_split(path)
        files = sorted(map(str, path.glob("*.ann"))) if path.is_dir() else [str(path)]
        if not split or not files:
            continue
        if not (path.is_dir() or path.is_file()):
            raise RecipeError(f"data_dir: {path} is a pipe, a device or a broken link: save the data to a file")
        if split in found:
            raise RecipeError(
                f"data_dir: both {found[split][0]} and {files[0]} look like {split}: move one of them to another "
                "folder, or set train_file, validation_file and test_file instead of data_dir"
            )
        found[split] = files
    if not found:
        expected = ", ".join(f"{name}.txt" for names in FILE_NAMES.values() for name in names)
        raise RecipeError(
            f"data_dir: no files of entities in {folder}: expected names such as {expected}, ending in one of "
            f"{' '.join(sorted(SUFFIXES))}"
        )
    return found


def _find_split(path: Path) -> str | None:
    """The split that the name of a file or folder stands for, if any."""
    stem, suffix = Path(path.name.lower().removesuffix(".gz")).stem, find_suffix(path.name)
    for split, names in FILE_NAMES.items():
        if stem in names and (suffix in SUFFIXES or path.is_dir()):
            return split
        if suffix.removeprefix(".") in names and not path.is_dir():
            return split
    return None


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
                f"{sentence.place}: the sentence that starts here has the tag {min(unknown)}, which is not among the "
                f"labels: fix the tag, or train on data that contain it (labels: {' '.join(labels)})"
            )


def _read_files(paths: list[str], arguments: EntityArguments, notes: Notes) -> list[Document]:
    return [document for path in paths for document in _read_file(path, arguments, notes)]


def _read_file(path: str, arguments: EntityArguments, notes: Notes) -> list[Document]:
    suffix = find_suffix(path)
    if suffix in ROW_FILES:
        return read_rows(path, arguments, notes)
    if suffix == ".ann":
        return read_brat(path, arguments, notes)
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
    feature = rows.features[keys[1]].feature
    documents = [Document()]
    for number, (words, tags) in enumerate(zip(*(rows[key] for key in keys), strict=True), 1):
        sentence = make_sentence(words, tags, f"{place}:{number}", arguments.tag_names)
        if hasattr(feature, "int2str"):  # a ClassLabel
            try:
                sentence.tags = feature.int2str(sentence.tags)
            except (ValueError, TypeError) as error:  # -1 if a test split hides its tags
                raise RecipeError(
                    f"{sentence.place}: {error}: do not use this split, or check label_column_name"
                ) from None
        if sentence.words == [DOCUMENT_START]:
            documents.append(Document())
        elif sentence.words:
            documents[-1].sentences.append(sentence)
    return finish_documents(place, documents, arguments, notes)


def _take(documents: list[Document], limit: int | None) -> list[Document]:
    if limit is None:
        return documents
    taken = []
    for document in documents:
        if limit > 0:
            taken.append(Document(document.sentences[:limit]))
        limit -= len(document.sentences)
    return taken

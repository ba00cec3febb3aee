"""Text -> articles for masked pretraining: data sets with a single column `text`.

An article is a paragraph of a text file (blank lines separate them), a line of JSON, a row of a table, or a document
of a column file.
"""

import glob
import hashlib
import io
import logging
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Collection, Iterator
from functools import partial
from itertools import chain
from pathlib import Path

import datasets

from recipe.data.conll import read_columns
from recipe.data.settings import TextArguments
from recipe.data.sources import expand_files, find_suffix, load_hub, pick_column
from recipe.data.splits import HUB_NAMES, SPLITS
from recipe.data.text_files import (
    check_array,
    check_cells,
    check_head,
    check_lines,
    find_delimiter,
    open_bytes,
    parse_list,
    refuse_nul,
    split_articles,
)
from recipe.errors import RecipeError

COLUMN_FILE = ".conll"
COLUMN_SETTINGS = ("word_column", "tag_column", "encoding", "comment_prefix")
BUILDERS = {".txt": "text", ".jsonl": "json", ".json": "json", ".csv": "csv", ".parquet": "parquet"}
READ_ERRORS = (datasets.exceptions.DatasetsError, OSError, ValueError, LookupError, TypeError, AttributeError)
READ_ERRORS += (
    ArithmeticError,
    EOFError,
    ImportError,
    lzma.LZMAError,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
)  # unpacking
FILE_SETTINGS = {split: SPLITS[split].files for split in ("train", "dev")}
BATCH = 1000  # articles
# `datasets` caches the result of a mapped function by the function's name and arguments. The functions here take this
# hash as an argument, so that results of another version of this file are not reused.
CODE = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()

logger = logging.getLogger(__name__)

Articles = datasets.Dataset | datasets.IterableDataset


def load_articles(
    arguments: TextArguments, wanted: Collection[str] = tuple(FILE_SETTINGS), cache_dir: str | None = None
) -> dict[str, Articles]:
    """Load the articles of the `wanted` splits (of train, dev) as data sets with a single column `text`.

    Without validation data, `validation_split_percentage` of the training articles are held out, spread evenly over
    the corpus. With `streaming` the training articles are an `IterableDataset`, and none can be held out.
    Raises RecipeError if data are missing or cannot be read.
    """
    in_files = {split for split, key in FILE_SETTINGS.items() if getattr(arguments, key)}
    hub = {}
    if arguments.dataset_name and not arguments.train_file and not in_files >= set(wanted):
        loaded = load_hub(arguments, cache_dir, arguments.streaming)
        hub = {split: loaded[name] for split, name in HUB_NAMES.items() if name in loaded}
    found = in_files | hub.keys()
    hold_out = "dev" in wanted and "dev" not in found
    if hold_out and arguments.streaming:
        raise RecipeError(
            "do_eval: streamed articles cannot be held out: set validation_file, or set do_eval to false and "
            "eval_strategy to no"
        )
    needed = ["train"] if hold_out else wanted
    if "train" in needed and "train" not in found:
        lacking = f"no train split, only {', '.join(sorted(found))}" if found else "no data"
        raise RecipeError(f"{lacking}: set train_file or dataset_name, or validation_file to evaluate only")
    articles = {}
    for split in needed:
        rows = _load_files(split, arguments) if split in in_files else hub[split]
        articles[split] = _as_text(rows, arguments, split)
    if hold_out:
        train = articles["train"]
        assert isinstance(train, datasets.Dataset)  # streamed articles are refused above
        articles = _hold_out(train, arguments.validation_split_percentage)
        articles = {split: rows for split, rows in articles.items() if split in wanted}
    limits = {split: getattr(arguments, SPLITS[split].limit) for split in articles}
    articles = {split: rows if limits[split] is None else rows.take(limits[split]) for split, rows in articles.items()}
    if isinstance(articles.get("dev"), datasets.IterableDataset):  # streamed from the Hub; evaluation needs a fixed set
        articles["dev"] = datasets.Dataset.from_list(list(articles["dev"]))
    return articles


def read_texts(articles: Articles, arguments: TextArguments) -> Iterator[str]:
    """Yield the texts of training articles. Raises RecipeError if a streamed file cannot be read."""
    try:
        for row in articles:
            text = row["text"] or ""  # an empty cell of a table is None
            if not isinstance(text, str):
                raise ValueError(f"found {text!r} among the texts")
            yield text
    except READ_ERRORS as error:
        raise explain_reading(arguments, error) from error


def explain_reading(arguments: TextArguments, error: Exception, split: str = "train") -> RecipeError:
    """The error for text that cannot be read: it names the first bad line, or else gives the reader's own reason."""
    key = FILE_SETTINGS[split]
    try:
        for file in expand_files(key, getattr(arguments, key) or []):
            if find_suffix(file) != ".parquet":
                check_lines(file, arguments.encoding, arguments.text_column_name or "text", others=True)
    except RecipeError as fault:
        return fault
    reason = str(error.__cause__ or error).strip().splitlines()[0]
    return RecipeError(f"{name_source(arguments, split)}: {reason}: fix the file, or set encoding")


def name_source(arguments: TextArguments, split: str) -> str:
    """The setting a split comes from and its value, for error messages. Held-out articles name the training data."""
    keys = [FILE_SETTINGS[split], FILE_SETTINGS["train"], "dataset_name"]
    key = next(key for key in keys if getattr(arguments, key))
    value = getattr(arguments, key)
    return f"{key}: {value if isinstance(value, str) else ' '.join(value)}"


def _load_files(split: str, arguments: TextArguments) -> Articles:
    key, streaming = FILE_SETTINGS[split], arguments.streaming and split == "train"
    files = expand_files(key, getattr(arguments, key))
    kinds = {find_suffix(file) for file in files}
    if kinds == {COLUMN_FILE}:
        columns = {key: getattr(arguments, key) for key in COLUMN_SETTINGS}
        documents = [document for file in files for document in read_columns(file, check=True, **columns)]
        texts = ["\n".join(" ".join(sentence.words) for sentence in document.sentences) for document in documents]
        articles = datasets.Dataset.from_dict({"text": texts})
        return articles.to_iterable_dataset() if streaming else articles
    if len(kinds) > 1 or not kinds <= BUILDERS.keys():
        known = " ".join([*BUILDERS, COLUMN_FILE])
        raise RecipeError(f"{key}: expected files of one kind, {known}; found {' '.join(sorted(kinds))}")
    if not any(Path(file).stat().st_size for file in files):
        raise RecipeError(f"{key}: {' '.join(files)}: no articles, the file is empty: check the files")
    # The reader of `datasets` would turn a number among texts into text, drop cells, and crash at null.
    checks = {".jsonl": check_lines, ".json": check_array, ".csv": check_cells}
    checks = dict.fromkeys((".jsonl", ".json"), check_head) if streaming else checks
    for file in files if kinds <= checks.keys() else ():
        checks[next(iter(kinds))](file, arguments.encoding, arguments.text_column_name or "text")
    builder = BUILDERS[kinds.pop()]
    options = {} if builder == "parquet" else {"encoding": arguments.encoding}
    if builder != "parquet" and not streaming and not arguments.encoding.lower().startswith(("utf-16", "utf-32")):
        for file in files:
            refuse_nul(file, arguments.encoding)
    # The JSON reader logs each error that it raises; explain_reading already reports it.
    logging.getLogger("datasets.packaged_modules.json.json").setLevel(logging.CRITICAL)
    paths = [glob.escape(file) for file in files]  # load_dataset reads paths as globs
    try:
        if builder == "text":
            options["sample_by"] = "line" if _separates_by_line(files, arguments) else "paragraph"
        if builder == "csv":  # without keep_default_na, texts such as None would be empty
            options |= {"keep_default_na": False, "sep": _find_delimiter(files, arguments.encoding)}
        # pyrefly: ignore[no-matching-overload]  # its overloads expect a literal True or False for streaming
        rows = datasets.load_dataset(builder, data_files=paths, split="train", streaming=streaming, **options)
    except READ_ERRORS as error:
        raise explain_reading(arguments, error, split) from error
    if builder == "text":
        # A resumed stream reads a whole map batch again, so batches across files would repeat articles.
        size = 1 if streaming else BATCH
        part = partial(_split_articles, code=CODE)
        rows = rows.map(part, batched=True, batch_size=size, features=rows.features)
    return rows


def _find_delimiter(files: list[str], encoding: str) -> str:
    """What separates the cells of all CSV files of a split. Raises RecipeError if they differ."""
    found = {}
    for path in files:
        with open_bytes(path) as file, io.TextIOWrapper(file, encoding, errors="replace") as text:
            found[find_delimiter(text.readline())] = path
    if len(found) > 1:
        first, second, *_ = found.items()
        raise RecipeError(
            f"{first[1]} separates cells by {first[0]!r}, but {second[1]} by {second[0]!r}: convert one of them"
        )
    return next(iter(found))


def _separates_by_line(files: list[str], arguments: TextArguments) -> bool:
    """Whether each line of text files is an article: if the user says so, or if there are no blank lines."""
    if arguments.article_separator != "auto":
        return arguments.article_separator == "line_break"
    if any(map(_has_blank_line, files)):
        return False
    logger.warning(
        "%s: no blank lines: each line is an article (to read each file as one, set article_separator to blank_line)",
        " ".join(files),
    )
    return True


def _has_blank_line(path: str) -> bool:
    """Whether there is a blank line between two others."""
    seen, blank = False, False
    with open_bytes(path) as file:
        for line in file:
            if line.strip(b" \t\r\n\0\f\v"):
                if blank:
                    return True
                seen = True
            else:
                blank = seen
    return False


def _split_articles(rows: dict[str, list[str]], code: str) -> dict[str, list[str]]:
    """Drop empty articles, and also split at lines of white space, which `datasets` treats as text."""
    return {"text": [article for text in rows["text"] for article in split_articles(text)]}


def _as_text(rows: Articles, arguments: TextArguments, split: str) -> Articles:
    """Keep only the text column, renamed to `text`; a column of lists of words is joined by spaces."""
    try:
        remaining = iter(rows)  # only once: each iterator over a stream opens its file again
        first = next(remaining, None)
        if first is None:
            raise RecipeError(f"{name_source(arguments, split)}: no {split} articles: check the content")
        columns = rows.column_names or list(first)
        column = pick_column(
            columns, arguments.text_column_name or "text", f"{name_source(arguments, split)}: text_column_name"
        )
        sample = next((row[column] for row in chain([first], remaining) if row[column] is not None), None)
    except READ_ERRORS as error:
        raise explain_reading(arguments, error, split) from error
    if _is_words(parse_list(sample)):  # CSV has no lists, so they are written as text
        sample = parse_list(sample)
    if not all(isinstance(cell, str | None) for cell in (sample if isinstance(sample, list) else [sample])):
        raise explain_reading(arguments, ValueError(f"the column {column!r} has no text: found {sample!r}"), split)
    if isinstance(sample, list):
        return rows.map(partial(_join_words, column=column, code=CODE), remove_columns=columns)
    rows = rows.remove_columns([name for name in columns if name != column])
    return rows if column == "text" else rows.rename_column(column, "text")


def _join_words(row: dict, column: str, code: str) -> dict[str, str]:
    cell = parse_list(row[column])
    return {"text": " ".join(filter(None, cell or [])) if isinstance(cell, list | None) else row[column]}


def _is_words(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(word, str) for word in value)


def _hold_out(articles: datasets.Dataset, percentage: float) -> dict[str, datasets.Dataset]:
    total, count = len(articles), round(len(articles) * percentage / 100)
    if not 0 < count < total:
        raise RecipeError(
            f"validation_split_percentage: {percentage} % of {total} articles leaves one split empty: set another value"
        )
    held = [number * total // count for number in range(count)]
    return {"train": articles.select(sorted(set(range(total)).difference(held))), "dev": articles.select(held)}

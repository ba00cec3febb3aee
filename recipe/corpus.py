"""Text -> articles -> blocks of token ids.

An article is a paragraph of a text file (blank lines end it), a line of JSON, a row, or a document of a column file.
Blocks are cut from `BATCH` articles at a time, in order; the last block of each such run holds the remainder.
"""

import glob
import hashlib
import logging
import re
from collections.abc import Collection, Iterable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path

import datasets
from transformers import PreTrainedTokenizerBase

from recipe.arguments import MlmArguments
from recipe.conll import read_columns
from recipe.errors import RecipeError
from recipe.sources import expand_files, load_hub, pick_column
from recipe.text_files import check_lines, refuse_nul
from recipe.tokens import special_tokens

COLUMN_FILE = ".conll"
BUILDERS = {".txt": "text", ".jsonl": "json", ".json": "json", ".csv": "csv", ".parquet": "parquet"}
READ_ERRORS = (datasets.exceptions.DatasetsError, OSError, ValueError, LookupError)
FILE_SETTINGS = {"train": "train_file", "validation": "validation_file"}  # what names the files of a split
BLANK_LINES = re.compile(r"\n\s*\n")
BATCH = 1000  # articles that are tokenised and packed together
# `datasets` keeps what a function made, and finds it by that function's name and arguments: those here get this as an
# argument, so that what another version of this file made is not taken.
CODE = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()

Articles = datasets.Dataset | datasets.IterableDataset


def load_articles(
    arguments: MlmArguments, wanted: Collection[str] = tuple(FILE_SETTINGS), cache_dir: str | None = None
) -> dict[str, Articles]:
    """The articles of the `wanted` splits (of train, validation): data sets of the one column `text`.

    Where no validation data are named, `validation_split_percentage` of the training articles are held out, spread
    evenly over the corpus. With `streaming` the training articles are an `IterableDataset` and none can be held out.
    Raises RecipeError for what is missing or cannot be read.
    """
    in_files = {split for split, key in FILE_SETTINGS.items() if getattr(arguments, key)}
    hub = {}
    if arguments.dataset_name and not arguments.train_file and not in_files >= set(wanted):
        hub = load_hub(arguments, cache_dir, arguments.streaming)
    found = in_files | hub.keys()
    hold_out = "validation" in wanted and "validation" not in found
    if hold_out and arguments.streaming:
        raise RecipeError(
            "do_eval: streamed articles cannot be held out: name validation_file, or switch do_eval and "
            "eval_strategy off"
        )
    needed = ["train"] if hold_out else wanted
    if "train" in needed and "train" not in found:
        lacking = f"no split train, but {', '.join(sorted(found))}" if found else "no data"
        raise RecipeError(f"{lacking}: set train_file or dataset_name, or (to evaluate) validation_file")
    articles = {}
    for split in needed:
        rows = _load_files(split, arguments) if split in in_files else hub[split]
        articles[split] = _as_text(rows, arguments, split)
    if hold_out:
        articles = _hold_out(articles["train"], arguments.validation_split_percentage)
        articles = {split: rows for split, rows in articles.items() if split in wanted}
    limits = {"train": arguments.max_train_samples, "validation": arguments.max_eval_samples}
    articles = {name: rows if limits[name] is None else rows.take(limits[name]) for name, rows in articles.items()}
    if isinstance(articles.get("validation"), datasets.IterableDataset):  # of the Hub; a fixed set is evaluated on
        articles["validation"] = datasets.Dataset.from_list(list(articles["validation"]))
    return articles


def read_texts(articles: Articles, arguments: MlmArguments) -> Iterator[str]:
    """The texts of training articles one after another. Raises RecipeError where streamed files cannot be read."""
    try:
        for row in articles:
            yield row["text"] or ""  # an empty cell of a table is None
    except READ_ERRORS as error:
        raise explain_reading(arguments, error) from error


def build_blocks(
    articles: Articles, tokenizer: PreTrainedTokenizerBase, arguments: MlmArguments, split: str = "train"
) -> Articles:
    """Tokenise articles and pack them into blocks of `block_size` tokens: a data set with the column `input_ids`.

    Raises RecipeError for a tokenizer without a separator, a size without room, and articles without any token.
    """
    prefix, suffix = special_tokens(tokenizer)
    separator = tokenizer.sep_token_id if tokenizer.sep_token_id is not None else tokenizer.eos_token_id
    if separator is None:
        raise RecipeError("the tokenizer has neither a separator nor an end-of-sequence token to put between articles")
    size = arguments.block_size - len(prefix) - len(suffix)
    if size < 1:
        raise RecipeError(f"block_size: {arguments.block_size} leaves no room between the special tokens")

    # No closure: a stream is sent to its data-loading worker where that does not begin as a copy of this process.
    pack = partial(
        _tokenize_and_pack, tokenizer=tokenizer, size=size, separator=separator, ends=(prefix, suffix), code=CODE
    )
    options = {"batched": True, "batch_size": BATCH, "remove_columns": ["text"]}
    if isinstance(articles, datasets.Dataset):
        options |= {"num_proc": arguments.preprocessing_num_workers, "desc": "Packing blocks"}
    blocks = articles.map(pack, **options)
    if isinstance(blocks, datasets.Dataset) and not len(blocks):
        raise RecipeError(f"{_name_source(arguments, split)}: no tokens to make {split} blocks of: check what it holds")
    return blocks


def _tokenize_and_pack(
    rows: dict, tokenizer: PreTrainedTokenizerBase, size: int, separator: int, ends: tuple, code: str
) -> dict:
    texts = [text or "" for text in rows["text"]]  # an empty cell of a table is None
    ids = tokenizer(texts, add_special_tokens=False, return_attention_mask=False, verbose=False).input_ids
    prefix, suffix = ends
    return {"input_ids": [prefix + block + suffix for block in pack_blocks(ids, size, separator)]}


def pack_blocks(articles: Iterable[list[int]], size: int, separator: int) -> Iterator[list[int]]:
    """Cut token ids into blocks of `size`, with `separator` between two articles that share a block.

    No token is lost or repeated. The last block holds the remainder; one that has room for a separator only, and
    nothing behind it, stays one short.
    """
    block: list[int] = []
    for ids in articles:
        start = 0
        if block and ids:
            if len(block) + 1 < size:
                block.append(separator)
            else:
                yield block
                block = []
        while start < len(ids):
            taken = ids[start : start + size - len(block)]
            block += taken
            start += len(taken)
            if len(block) == size:
                yield block
                block = []
    if block:
        yield block


def explain_reading(arguments: MlmArguments, error: Exception, split: str = "train") -> RecipeError:
    """What to say of text that cannot be read: the first line at fault, or else the reader's own reason."""
    key = FILE_SETTINGS[split]
    try:
        for file in expand_files(key, getattr(arguments, key) or []):
            if not file.endswith(".parquet"):
                check_lines(file, arguments.encoding)
    except RecipeError as fault:
        return fault
    reason = str(error.__cause__ or error).strip().splitlines()[0]
    return RecipeError(f"{_name_source(arguments, split)}: {reason}: mend the file, or set encoding")


def _name_source(arguments: MlmArguments, split: str) -> str:
    """The setting that a split comes from, and its value; what is held out comes from where the training data do."""
    keys = [FILE_SETTINGS[split], FILE_SETTINGS["train"], "dataset_name"]
    key = next(key for key in keys if getattr(arguments, key))
    value = getattr(arguments, key)
    return f"{key}: {value if isinstance(value, str) else ' '.join(value)}"


def _load_files(split: str, arguments: MlmArguments) -> Articles:
    key, streaming = FILE_SETTINGS[split], arguments.streaming and split == "train"
    files = expand_files(key, getattr(arguments, key))
    kinds = {Path(file).suffix for file in files}
    if kinds == {COLUMN_FILE}:
        documents = [document for file in files for document in read_columns(file, encoding=arguments.encoding)]
        texts = ["\n".join(" ".join(sentence.words) for sentence in document.sentences) for document in documents]
        articles = datasets.Dataset.from_dict({"text": texts})
        return articles.to_iterable_dataset() if streaming else articles
    if len(kinds) > 1 or not kinds <= BUILDERS.keys():
        known = " ".join([*BUILDERS, COLUMN_FILE])
        raise RecipeError(f"{key}: expected files of one kind, {known}; found {' '.join(sorted(kinds))}")
    if not any(Path(file).stat().st_size for file in files):
        raise RecipeError(f"{key}: {' '.join(files)}: no articles, the file is empty: check the files")
    builder = BUILDERS[kinds.pop()]
    options = {} if builder == "parquet" else {"encoding": arguments.encoding}
    options |= {"sample_by": "paragraph"} if builder == "text" else {}
    if builder != "parquet" and not streaming and not arguments.encoding.lower().startswith(("utf-16", "utf-32")):
        for file in files:
            refuse_nul(file)
    # It also logs, as an error, what it raises.
    logging.getLogger("datasets.packaged_modules.json.json").setLevel(logging.CRITICAL)
    paths = [glob.escape(file) for file in files]  # which it takes for globs
    try:
        rows = datasets.load_dataset(builder, data_files=paths, split="train", streaming=streaming, **options)
    except READ_ERRORS as error:
        raise explain_reading(arguments, error, split) from error
    if builder == "text":
        size = 1 if streaming else BATCH  # more, across files, would be read anew where a stream goes on
        part = partial(_part_articles, code=CODE)
        rows = rows.map(part, batched=True, batch_size=size, features=rows.features)
    return rows


def _part_articles(rows: dict[str, list[str]], code: str) -> dict[str, list[str]]:
    """Part paragraphs where a line is of white space alone, which `datasets` takes for text, and drop empty ones."""
    parts = [part for text in rows["text"] for part in BLANK_LINES.split(text.removeprefix("\ufeff"))]
    return {"text": [part for part in parts if part.strip()]}


def _as_text(rows: Articles, arguments: MlmArguments, split: str) -> Articles:
    """Keep the text column alone, under the name `text`; a column of words is joined by spaces."""
    try:
        remaining = iter(rows)  # once: a stream's file is opened anew each time
        first = next(remaining, None)
        if first is None:
            raise RecipeError(f"{_name_source(arguments, split)}: no {split} articles: check what it holds")
        columns = rows.column_names or list(first)
        column = pick_column(columns, arguments.text_column_name or "text", "text_column_name")
        sample = next((row[column] for row in chain([first], remaining) if row[column] is not None), None)
    except READ_ERRORS as error:
        raise explain_reading(arguments, error, split) from error
    if not all(isinstance(cell, str | None) for cell in (sample if isinstance(sample, list) else [sample])):
        raise RecipeError(f"text_column_name: the column {column!r} holds no text, but {sample!r}")
    if isinstance(sample, list):
        return rows.map(partial(_join_words, column=column, code=CODE), remove_columns=columns)
    rows = rows.remove_columns([name for name in columns if name != column])
    return rows if column == "text" else rows.rename_column(column, "text")


def _join_words(row: dict, column: str, code: str) -> dict[str, str]:
    return {"text": " ".join(filter(None, row[column] or []))}


def _hold_out(articles: datasets.Dataset, percentage: float) -> dict[str, datasets.Dataset]:
    total, count = len(articles), round(len(articles) * percentage / 100)
    if not 0 < count < total:
        raise RecipeError(f"validation_split_percentage: {percentage} % of {total} articles leaves one side empty")
    held = [number * total // count for number in range(count)]
    return {"train": articles.select(sorted(set(range(total)).difference(held))), "validation": articles.select(held)}

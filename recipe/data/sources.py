"""Where data come from: files named by paths and globs, or a data set on the Hub."""

import glob
import os
from pathlib import Path

from recipe.connection import explain_download
from recipe.data.settings import SourceArguments
from recipe.errors import RecipeError


def expand_files(key: str, patterns: list[str]) -> list[str]:
    """The files that the paths and globs of setting `key` name, in order. Raises RecipeError for one without a file."""
    files = []
    for pattern in map(os.path.expanduser, patterns):
        exists = Path(pattern).is_file()  # then it names that file, whatever signs it holds
        matches = [pattern] if exists else sorted(filter(os.path.isfile, glob.glob(pattern, recursive=True)))
        if not matches:
            raise RecipeError(f"{key}: no file at {pattern}: check the path")
        files += matches
    return files


def load_hub(arguments: SourceArguments, cache_dir: str | None = None, streaming: bool = False) -> dict:
    """All splits of `dataset_name`, by the names that they have there."""
    import datasets  # takes a second, which who reads files alone need not wait for

    try:
        return datasets.load_dataset(
            arguments.dataset_name,
            arguments.dataset_config_name,
            revision=arguments.dataset_revision,
            cache_dir=cache_dir,
            streaming=streaming,
        )
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        otherwise = "name files instead (train_file, validation_file; for entities data_dir)"
        raise RecipeError(f"dataset_name {arguments.dataset_name}: {explain_download(error, otherwise)}") from error


def pick_column(columns: list[str], wanted: str, key: str) -> str:
    """`wanted`, if it is one of `columns`. Raises RecipeError naming setting `key` and the columns otherwise."""
    if wanted not in columns:
        raise RecipeError(f"{key}: no column {wanted!r} in the data; it has {', '.join(columns)}")
    return wanted

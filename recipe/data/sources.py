"""Sources of data: files given as paths and globs, or a data set on the Hub."""

import glob
import os
from pathlib import Path

from recipe.connection import explain_download
from recipe.data.settings import SourceArguments
from recipe.errors import RecipeError


def expand_files(key: str, patterns: list[str]) -> list[str]:
    """The files that match the paths and globs of setting `key`, in order. Raises RecipeError if one has no match."""
    files = []
    for pattern in map(os.path.expanduser, patterns):
        exists = Path(pattern).is_file()  # a file name can contain *, ? or [
        matches = (
            [pattern]
            if exists
            else [path for path in sorted(glob.glob(pattern, recursive=True)) if os.path.isfile(path)]
        )
        if not matches and Path(pattern).exists() and not Path(pattern).is_dir():
            raise RecipeError(f"{key}: {pattern} is a pipe or a device, which can be read only once: save it to a file")
        if not matches:
            raise RecipeError(f"{key}: no file at {pattern}: check the path")
        files += matches
    return files


def find_suffix(path: str | Path) -> str:
    """The ending that tells the kind of a file: in lower case, without `.gz`, and `.jsonl` for `.ndjson`."""
    suffix = Path(str(path).lower().removesuffix(".gz")).suffix
    return ".jsonl" if suffix == ".ndjson" else suffix


def load_hub(arguments: SourceArguments, cache_dir: str | None = None, streaming: bool = False) -> dict:
    """All splits of `dataset_name`, by their names on the Hub. Raises RecipeError if they cannot be loaded."""
    import datasets  # this import takes a second and is not needed for local files

    try:
        # pyrefly: ignore[no-matching-overload]  # its overloads expect a literal True or False for streaming
        return datasets.load_dataset(
            arguments.dataset_name,
            arguments.dataset_config_name,
            revision=arguments.dataset_revision,
            cache_dir=cache_dir,
            streaming=streaming,
        )
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        otherwise = "use local files (train_file and validation_file, or data_dir for entities)"
        raise RecipeError(f"dataset_name {arguments.dataset_name}: {explain_download(error, otherwise)}") from error


def pick_column(columns: list[str], wanted: str, key: str) -> str:
    """Return `wanted` if it is in `columns`, else raise RecipeError that names the setting `key` and the columns."""
    if wanted not in columns:
        raise RecipeError(f"{key}: no column {wanted!r} in the data: set one of {', '.join(columns)}")
    return wanted

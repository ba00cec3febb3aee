"""The output folder of a run: opened and locked before anything is written, with what is not to be published named."""

import traceback
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from recipe.errors import TRACEBACK, RecipeError
from recipe.evaluation.predictions import PREDICTIONS
from recipe.files import BESIDE, write_whole
from recipe.hub.report import PAGE
from recipe.training.checkpoints import LOCK, list_checkpoints, lock_folder, refuse_links
from recipe.training.teachers import SOFT_LABELS

# These go into a .gitignore, which the Hub respects: predictions and the page contain text of the data, which can be
# under a licence that does not allow you to publish it.
PRIVATE = (
    f"{PREDICTIONS}/",
    "predictions.conll",
    PAGE,
    "words.conll",
    "train.log",
    "tokenizer/",
    f"{SOFT_LABELS}/",
    "augmentation/",
    f"*{BESIDE}",
    LOCK,
)


def open_folder(folder: Path, process_index: int) -> TextIO | None:
    """Create the output folder, and lock it in the first process; returns the lock.

    Raises RecipeError if the folder cannot be written to, has links or a README.md of the user's own, or is in use.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if process_index:
            return None
        refuse_links(folder)
        _refuse_own_readme(folder)
        _ignore_private(folder / ".gitignore")
        return lock_folder(folder)
    except OSError as error:
        raise RecipeError(f"output_dir {folder}: {error.strerror}: set a folder you can write to") from None


def _refuse_own_readme(folder: Path) -> None:
    """Raise RecipeError if `README.md`, which the model card will replace, is not the card of an earlier run."""
    written = (folder / "run.yaml").exists() or list_checkpoints(folder)
    if (folder / "README.md").exists() and not written:
        raise RecipeError(
            f"output_dir {folder}: contains a README.md that no run wrote, and a run writes its model card there: set "
            "another output_dir, or move it"
        )


def _ignore_private(file: Path) -> None:
    """Add what is not to be published to a .gitignore, and keep the lines that are there."""
    lines = [] if file.is_symlink() or not file.exists() else file.read_text(errors="surrogateescape").splitlines()
    file.unlink(missing_ok=True)  # a link could lead elsewhere
    text = "\n".join([*lines, *(line for line in PRIVATE if line not in lines), ""])
    file.write_text(text, errors="surrogateescape")


def write_traceback(folder: Path, error: Exception, process_index: int) -> None:
    """Write the traceback of an unforeseen error to the output folder, for `exit_with` to name it."""
    name = f"error-{process_index}.log" if process_index else "error.log"
    with suppress(RecipeError):
        write_whole(folder / name, "".join(traceback.format_exception(error)))
        error.add_note(f"{TRACEBACK}{folder / name}")

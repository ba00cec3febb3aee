"""Checkpoints that are either complete or absent: written to a temporary folder, then renamed, and verified before use.

The manifest of a checkpoint is written last. A checkpoint is whole if all files in its manifest have the listed size
and SHA-256 digest.
"""

import errno
import fcntl
import json
import logging
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

import torch
from safetensors import SafetensorError

from recipe.errors import LocalError, RecipeError
from recipe.folders import PARTIAL, find_changed, remove, share_weights, sync, sync_files

MANIFEST = "manifest.json"
ASIDE = "aside-"  # prefix of folders with the files of earlier runs
LOCK = ".lock"
LIVE = {"train.log", ".gitignore", LOCK}  # files that are already in the output folder when a run starts
logger = logging.getLogger(__name__)


def name_checkpoint(folder: Path, step: int) -> Path:
    """The path of the checkpoint of `step` in the output folder."""
    return folder / f"checkpoint-{step}"


def find_step(folder: Path) -> int | None:
    """The step in the name of a checkpoint folder; None if `folder` is not named like a checkpoint."""
    named = re.fullmatch(r"checkpoint-(\d+)", folder.name)
    return int(named[1]) if named else None


def list_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of an output folder, whole or not, newest first."""
    found = [(step, path) for path in folder.glob("checkpoint-*") if (step := find_step(path)) is not None]
    return [path for _, path in sorted(found, reverse=True)]


def list_later(folder: Path, checkpoint: Path) -> list[Path]:
    """The checkpoints of an output folder, whole or not, of later steps than `checkpoint`."""
    step = find_step(checkpoint)
    return [path for path in list_checkpoints(folder) if step is not None and (find_step(path) or 0) > step]


def find_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint of an output folder; a warning names damaged newer ones, which are not deleted.

    None if there are no checkpoints. Raises RecipeError if there are checkpoints but all of them are damaged.
    """
    found = list_checkpoints(folder)
    for path in found:
        damage = find_damage(path)
        if not damage:
            return path
        logger.warning("%s: damaged (%s): trying the previous checkpoint", path, damage)
    if found:
        raise RecipeError(f"{folder}: all checkpoints are damaged: repair {found[0]}, or start over with --restart")
    return None


def find_damage(folder: Path) -> str | None:
    """The damage of a folder finished by `write_manifest`: a file is missing, or has another size or other content.

    For a checkpoint, also if the step in its files differs from the step in its name. None if the folder is whole.
    Manifests of earlier versions have no digests; then only the size is compared.
    """
    try:
        manifest = read_manifest(folder)
        if changed := find_changed(folder, manifest["files"], manifest["sha256"]):
            return changed
        steps = {manifest["step"]}
        if (step := find_step(folder)) is not None:
            state = json.loads((folder / "trainer_state.json").read_text(encoding="utf-8"))
            steps |= {step, state["global_step"]}
    except FileNotFoundError as error:
        return f"{Path(error.filename).name} is missing"
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        return (str(error).splitlines() or [type(error).__name__])[0]
    return None if len(steps) == 1 else f"its files have different steps: {' and '.join(map(str, sorted(steps)))}"


def read_manifest(checkpoint: Path) -> dict:
    """The manifest: `step`, `settings`, `seconds` of training, and `files` and `sha256`, sizes and digests by name.

    Raises ValueError if it is not one.
    """
    manifest = json.loads((checkpoint / MANIFEST).read_text(encoding="utf-8"))
    kinds = {"step": int, "settings": dict | None, "seconds": int | float, "files": dict, "sha256": dict}
    missing = {"settings": None, "seconds": 0, "sha256": {}}
    if not isinstance(manifest, dict):
        raise ValueError(f"{MANIFEST} is not an object")
    manifest = missing | manifest
    for key, kind in kinds.items():
        if not isinstance(manifest.get(key), kind):
            raise ValueError(f"{MANIFEST}: {key} is not what the recipe writes")
    return manifest


def write_manifest(folder: Path, step: int, settings: dict | None, seconds: float = 0) -> None:
    """Finish a folder: sync its files to disk, then write the manifest that lists them.

    seconds: training time so far.
    """
    sizes, digests = sync_files(folder)
    content = {"step": step, "files": sizes, "sha256": digests, "seconds": round(seconds), "settings": settings}
    (folder / MANIFEST).write_text(json.dumps(content, indent=1, default=str) + "\n", encoding="utf-8")
    sync(folder / MANIFEST)


@contextmanager
def guard_save(partial: Path) -> Iterator[None]:
    """Guard code that writes to `partial`. If it fails, remove `partial` and raise LocalError with what is left."""
    try:
        yield
    except (torch.distributed.DistError, torch.OutOfMemoryError, torch.AcceleratorError):
        raise  # not a problem of the disk
    except Exception as error:
        if not isinstance(error, OSError | RuntimeError | SafetensorError) and type(error) is not Exception:
            raise  # tokenizers raises a plain Exception if the disk is full
        folder = partial.parent
        free = shutil.disk_usage(folder).free >> 20
        remove(partial)
        left = [path.name for path in list_checkpoints(folder)] or ["none"]
        raise LocalError(
            f"{folder}: {partial.name.removeprefix(PARTIAL)} could not be saved ({str(error).splitlines()[0]}; "
            f"{free} MB free): earlier checkpoints are intact ({', '.join(left)}): free some space and run the same "
            "command again, without --restart"
        ) from error


def replace_files(partial: Path, folder: Path) -> None:
    """Move each file of `partial` to `folder`, replacing a file of the same name, and remove `partial`."""
    share_weights(partial)
    for path in sorted(partial.iterdir()):
        sync(path)
        path.replace(folder / path.name)
    partial.rmdir()
    sync(folder)


def refuse_links(folder: Path) -> None:
    """Raise RecipeError if a file or folder of the output folder is a link out of it, which a run would write to.

    A checkpoint can be one, because checkpoints are only read, and replaced as a whole.
    """
    inside = folder.resolve()
    for path in folder.iterdir():
        if path.is_symlink() and find_step(path) is None and not path.resolve().is_relative_to(inside):
            raise RecipeError(
                f"output_dir {folder}: {path.name} is a link to {path.readlink()}, and a run writes only to its own "
                "folder: remove the link, or set another output_dir"
            )


def lock_folder(folder: Path) -> TextIO:
    """Lock the output folder against other runs until this process ends or closes the returned file.

    Raises RecipeError if another run is using the folder. The lock of a killed process is released at once.
    """
    lock = (folder / LOCK).open("w")
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # unlike flock, not inherited by data-loading workers
    except (BlockingIOError, PermissionError):
        raise RecipeError(f"{folder}: another run or export is using it: wait until that ends") from None
    except OSError as error:
        logger.warning("%s: cannot be locked (%s): make sure that no other run writes to it", folder, error.strerror)
    return lock


def remove_results(folder: Path, names: Iterable[str]) -> None:
    """Remove files and folders from the output folder, such as scores that belong to other weights."""
    for path in map(folder.joinpath, names):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def remove_unused(folder: Path) -> None:
    """Remove the output folder of a run that was refused before it wrote anything; a log stays."""
    with suppress(OSError):
        if {path.name for path in folder.iterdir()} <= {".gitignore", LOCK}:
            shutil.rmtree(folder)


def set_aside(folder: Path) -> Path | None:
    """Move the files of an earlier run from the output folder to a new folder beside it, or inside it if it is a mount.

    Returns the new folder, or None if there were no files. Raises RecipeError if the working folder is inside it.
    """
    if Path.cwd().is_relative_to(folder.resolve()):
        raise RecipeError(
            f"output_dir {folder}: is or contains the working folder: set another output_dir to use --restart"
        )
    left = [path for path in folder.iterdir() if path.name not in LIVE and not path.name.startswith((PARTIAL, ASIDE))]
    # The newest checkpoint last: what a kill leaves behind is then the end of the run, not an earlier part.
    left.sort(key=lambda path: -1 if (step := find_step(path)) is None else step)
    if not left:
        return None
    aside = _make_next(folder.with_name(f"{folder.name}.{ASIDE}"))
    try:
        left[0].rename(aside / left[0].name)
    except OSError as error:
        aside.rmdir()
        if error.errno != errno.EXDEV:
            raise RecipeError(f"{left[0]}: {error.strerror}: it cannot be set aside: set another output_dir") from None
        return set_inside(folder, left)  # the output folder is a mount, or a link to another volume
    for path in left[1:]:
        path.rename(aside / path.name)
    return aside


def set_inside(folder: Path, paths: Iterable[Path]) -> Path:
    """Move files of the output folder to a new folder inside it, and return that."""
    aside = _make_next(folder / ASIDE)
    for path in paths:
        path.rename(aside / path.name)
    return aside


def rotate(folder: Path, limit: int | None, kept: set[Path]) -> None:
    """Delete checkpoints of an output folder until there are at most `limit`; None: delete none.

    kept: checkpoints that stay, the one just saved among them. Those of later steps go first, because they are damaged.
    Then the oldest go. Clocks, which can be wrong, are not used.
    """
    found = list_checkpoints(folder)
    newest = max(step for path in kept if (step := find_step(path)) is not None)
    steps = {path: find_step(path) or 0 for path in found}
    order = sorted((path for path in found if path not in kept), key=lambda path: (steps[path] <= newest, steps[path]))
    for path in order[: max(0, len(found) - limit) if limit else 0]:
        if path.is_dir():  # a file of that name is not ours
            remove(path)


def _make_next(prefix: Path) -> Path:
    """Create the first folder `<prefix>1`, `<prefix>2` ... that does not exist."""
    number = 1
    while (folder := prefix.with_name(f"{prefix.name}{number}")).exists():
        number += 1
    folder.mkdir()
    return folder

"""Checkpoints, whole or not there: written beside and renamed, verified before use, compared with the run's settings.

A checkpoint is whole if its manifest, written last, lists its files and each has the size that it had.
"""

import fcntl
import json
import logging
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import torch
from safetensors import SafetensorError, safe_open

from recipe.errors import LocalError, RecipeError

MANIFEST = "manifest.json"
PARTIAL = "saving-"  # what is being written is called so, and nobody takes it for a checkpoint
LOCK = ".lock"
LIVE = {"train.log", ".gitignore", LOCK}  # in the output folder already when a run begins
logger = logging.getLogger(__name__)


def name_checkpoint(folder: Path, step: int) -> Path:
    """The folder of the checkpoint of `step` in the output folder."""
    return folder / f"checkpoint-{step}"


def find_step(folder: Path) -> int | None:
    """The step of a checkpoint by the name of its folder; None if it is not called like one."""
    named = re.fullmatch(r"checkpoint-(\d+)", folder.name)
    return int(named[1]) if named else None


def list_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of an output folder, whole or not, newest first."""
    found = [path for path in folder.glob("checkpoint-*") if find_step(path) is not None]
    return sorted(found, key=find_step, reverse=True)


def find_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint of an output folder; damaged newer ones are named in a warning, and left.

    None if there is no checkpoint at all. Raises RecipeError if none of those there is whole.
    """
    found = list_checkpoints(folder)
    for path in found:
        damage = find_damage(path)
        if not damage:
            return path
        logger.warning("%s is damaged (%s): the one before it is used, if there is one", path, damage)
    if found:
        raise RecipeError(f"{folder}: none of its checkpoints is whole: mend {found[0]}, or begin anew with --restart")
    return None


def find_damage(folder: Path) -> str | None:
    """What is wrong with a folder that `write_manifest` finished: a file missing or cut, an unreadable header.

    Of a checkpoint, a step that is not that of its name as well. None if it is whole.
    """
    try:
        manifest = read_manifest(folder)
        for name, size in manifest["files"].items():
            found = (folder / name).stat().st_size
            if found != size:
                return f"{name} has {found} of {size} bytes"
            if name.endswith(".safetensors"):
                with safe_open(folder / name, framework="numpy"):
                    pass
        steps = {manifest["step"]}
        if (step := find_step(folder)) is not None:
            state = json.loads((folder / "trainer_state.json").read_text(encoding="utf-8"))
            steps |= {step, state["global_step"]}
    except FileNotFoundError as error:
        return f"{Path(error.filename).name} is missing"
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
        return str(error).splitlines()[0]
    return None if len(steps) == 1 else f"it is of the steps {' and '.join(map(str, sorted(steps)))} at once"


def read_manifest(checkpoint: Path) -> dict:
    """What `write_manifest` noted: `step`, `settings`, `seconds` and, by name, the sizes of the `files` in bytes."""
    return json.loads((checkpoint / MANIFEST).read_text(encoding="utf-8"))


def write_manifest(folder: Path, step: int, settings: dict, seconds: float = 0) -> None:
    """Finish a folder: its files are brought to the disk, then the manifest that lists them is written.

    seconds: how long it was trained for.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    for path in files:
        _sync(path)
    sizes = {str(path.relative_to(folder)): path.stat().st_size for path in files}
    content = {"step": step, "files": sizes, "seconds": round(seconds), "settings": settings}
    (folder / MANIFEST).write_text(json.dumps(content, indent=1, default=str) + "\n", encoding="utf-8")
    _sync(folder / MANIFEST)


def finalize(partial: Path, final: Path) -> None:
    """Give the finished folder `partial` its name `final`; one that bears it already is damaged or outdated."""
    if final.exists():
        shutil.rmtree(final)
    partial.rename(final)
    _sync(final.parent)


def clear_partial(folder: Path) -> None:
    """Remove what a killed run had begun to write into the output folder."""
    for path in folder.glob(f"{PARTIAL}*"):
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def guard_save(partial: Path) -> Iterator[None]:
    """Write into `partial`. If that fails it is removed, and LocalError tells what is left in the output folder."""
    try:
        yield
    except (torch.distributed.DistError, torch.OutOfMemoryError, torch.AcceleratorError):
        raise  # no matter of the disk
    except (OSError, RuntimeError, SafetensorError) as error:
        folder = partial.parent
        free = shutil.disk_usage(folder).free >> 20
        shutil.rmtree(partial, ignore_errors=True)
        left = [path.name for path in list_checkpoints(folder)] or ["none"]
        raise LocalError(
            f"{folder}: {partial.name.removeprefix(PARTIAL)} could not be saved ({str(error).splitlines()[0]}; "
            f"{free} MB free): earlier checkpoints are intact ({', '.join(left)}): make room, and give the same "
            "command, without --restart"
        ) from error


def replace_files(partial: Path, folder: Path) -> None:
    """Move each file of `partial` into `folder`, in place of one that has its name, and remove `partial`."""
    for path in sorted(partial.iterdir()):
        _sync(path)
        path.replace(folder / path.name)
    partial.rmdir()
    _sync(folder)


def lock_folder(folder: Path) -> TextIO:
    """Keep other runs out of the output folder until this process ends, or closes the file that is returned.

    Raises RecipeError if another run is at work there. What a killed process had claimed is free at once.
    """
    lock = (folder / LOCK).open("w")
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # unlike flock's, not kept by data-loading workers left behind
    except (BlockingIOError, PermissionError):
        raise RecipeError(f"output_dir {folder}: another run is at work there: wait for its end") from None
    except OSError as error:
        logger.warning("%s cannot be locked (%s): let no other run write there", folder, error.strerror)
    return lock


def remove_results(folder: Path, names: Iterable[str]) -> None:
    """Remove files and folders of the output folder, as the scores of other weights than those it is to hold."""
    for path in map(folder.joinpath, names):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def set_aside(folder: Path) -> Path | None:
    """Move what an earlier run left in the output folder into a new folder beside it, which is returned if need be."""
    if Path.cwd().is_relative_to(folder.resolve()):
        raise RecipeError(f"output_dir {folder}: is the working folder, or holds it: name another one to restart in")
    left = [path for path in folder.iterdir() if path.name not in LIVE and not path.name.startswith(PARTIAL)]
    if not left:
        return None
    number = 1
    while (aside := folder.with_name(f"{folder.name}.aside-{number}")).exists():
        number += 1
    aside.mkdir()
    for path in left:
        path.rename(aside / path.name)
    return aside


def _sync(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""Folders that are either complete or absent: written under another name, verified by digests, and then renamed."""

import hashlib
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

PARTIAL = "saving-"  # prefix of folders that are being written, so that they are not used
REPLACED = "replaced-"  # prefix of folders that a new one is taking the place of


def sync_files(folder: Path) -> tuple[dict[str, int], dict[str, str]]:
    """Sync all files of a folder to disk; returns their sizes and SHA-256 digests, by name.

    The files are in memory when they are read for their digests, because they were just written.
    """
    files = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}
    digests = {name: find_digest(path) for name, path in files.items()}
    for path in files.values():
        sync(path)
    return {name: path.stat().st_size for name, path in files.items()}, digests


def find_changed(folder: Path, sizes: Mapping[str, int], digests: Mapping[str, str]) -> str | None:
    """What has become of a file since `sync_files`: another size or content. None if all are as they were.

    Without digests only the sizes are compared. Raises OSError for a file that cannot be read.
    """
    for name, size in sizes.items():
        if Path(name).is_absolute() or ".." in Path(name).parts:
            return f"{name} is outside the folder"
        found = (folder / name).stat().st_size
        if found != size:
            return f"{name} has {found} of {size} bytes"
        if digests and find_digest(folder / name) != digests.get(name):
            return f"{name} has changed since it was saved"
    return None


def finalize(partial: Path, final: Path) -> None:
    """Rename the finished folder `partial` to `final`; an existing `final` is damaged or outdated and is removed.

    That one is set aside first and removed last. It is brought back if this fails, and by `clear_partial` if the
    process is killed in between. If it is a link, the link is removed and not what it leads to.
    """
    share_weights(partial)
    old = final.with_name(REPLACED + final.name)
    try:
        if os.path.lexists(final):
            remove(old)
            final.rename(old)
        partial.rename(final)
    except BaseException:  # signals too
        if os.path.lexists(old) and not os.path.lexists(final):
            old.rename(final)
        raise
    sync(final.parent)
    remove(old)


def share_weights(folder: Path) -> None:
    """Give weights the permissions of other new files: safetensors writes files that only their owner can read."""
    mask = os.umask(0)
    os.umask(mask)
    for path in folder.rglob("*.safetensors"):
        path.chmod(0o666 & ~mask)


def clear_partial(folder: Path) -> None:
    """Remove unfinished folders that a killed run left in a folder, and bring back one that was not replaced yet."""
    for path in folder.glob(f"{REPLACED}*"):
        final = path.with_name(path.name.removeprefix(REPLACED))
        if os.path.lexists(final):
            remove(path)
        else:
            path.rename(final)
    for path in folder.glob(f"{PARTIAL}*"):
        if path.is_dir():
            remove(path)


def remove(path: Path) -> None:
    """Remove a folder, or a file or link of that name. Files that cannot be removed stay."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def sync(path: Path) -> None:
    """Sync a file, or the names in a folder, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def find_digest(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

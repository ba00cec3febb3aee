"""Checkpoints on disk: what is whole, what is damaged, and what is left alone."""

import errno
import hashlib
import json
import os
import re
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

from conftest import fill, names
from recipe import folders
from recipe.errors import LocalError, RecipeError
from recipe.training import checkpoints
from recipe.training.checkpoints import (
    find_checkpoint,
    find_damage,
    find_step,
    guard_save,
    list_checkpoints,
    lock_folder,
    name_checkpoint,
    read_manifest,
    refuse_links,
    remove_results,
    replace_files,
    rotate,
    set_aside,
    write_manifest,
)


def save(folder, step, settings=None):
    """A whole checkpoint of `step`."""
    checkpoint = fill(folder / f"checkpoint-{step}", weights="12345")
    (checkpoint / "trainer_state.json").write_text(json.dumps({"global_step": step}))
    write_manifest(checkpoint, step, settings)
    return checkpoint


def edit(checkpoint, **changes):
    path = checkpoint / "manifest.json"
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not ...}))


def test_a_manifest_lists_each_file_with_its_size_and_digest(tmp_path):
    fill(tmp_path, a="12345", folder__b="é")
    write_manifest(tmp_path, 3, {"output_dir": Path("runs/é")}, 61.7)
    digests = {"a": hashlib.sha256(b"12345").hexdigest(), "folder/b": hashlib.sha256("é".encode()).hexdigest()}
    expected = {"step": 3, "files": {"a": 5, "folder/b": 2}, "sha256": digests, "seconds": 62}
    assert read_manifest(tmp_path) == expected | {"settings": {"output_dir": "runs/é"}}
    assert find_damage(tmp_path) is None
    assert (tmp_path / "manifest.json").read_text().startswith('{\n "step": 3,\n')


def test_a_manifest_without_settings_is_one_of_no_time(tmp_path):
    write_manifest(tmp_path, 1, None)
    assert read_manifest(tmp_path) == {"step": 1, "files": {}, "sha256": {}, "seconds": 0, "settings": None}


def test_files_are_on_disk_before_the_manifest_that_lists_them(tmp_path, monkeypatch):
    synced = []
    for module in (folders, checkpoints):
        monkeypatch.setattr(module, "sync", lambda path: synced.append((path.name, "manifest.json" in names(tmp_path))))
    fill(tmp_path, a="1", b="2")
    write_manifest(tmp_path, 1, None)
    assert synced == [("a", False), ("b", False), ("manifest.json", True)]


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("checkpoint-12", 12),
        ("checkpoint-", None),
        ("checkpoint-1b", None),
        ("saving-checkpoint-3", None),
        ("run", None),
    ],
)
def test_the_step_is_in_the_name(name, step):
    assert find_step(Path("runs/checkpoint-7") / name) == step
    assert step is None or name_checkpoint(Path("runs"), step) == Path("runs") / name


def test_the_newest_whole_checkpoint_is_found_by_step(tmp_path, caplog):
    assert find_checkpoint(tmp_path) is None
    for step in (100, 9, 20):
        save(tmp_path, step)
    fill(tmp_path / "checkpoint-best", weights="1")
    assert [path.name for path in list_checkpoints(tmp_path)] == ["checkpoint-100", "checkpoint-20", "checkpoint-9"]
    assert find_checkpoint(tmp_path) == tmp_path / "checkpoint-100"
    (tmp_path / "checkpoint-100" / "weights").write_text("1")
    assert find_checkpoint(tmp_path) == tmp_path / "checkpoint-20"
    damaged = tmp_path / "checkpoint-100"
    assert caplog.messages == [f"{damaged}: damaged (weights has 1 of 5 bytes): trying the previous checkpoint"]
    for step in (9, 20):
        (tmp_path / f"checkpoint-{step}" / "weights").unlink()
    with pytest.raises(RecipeError, match=f"all checkpoints are damaged: repair {damaged}, or start over"):
        find_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("change", "damage"),
    [
        (lambda folder: (folder / "weights").write_text("123456"), "weights has 6 of 5 bytes"),
        (lambda folder: (folder / "weights").write_text("12346"), "weights has changed since it was saved"),
        (lambda folder: (folder / "weights").unlink(), "weights is missing"),
        (lambda folder: (folder / "manifest.json").unlink(), "manifest.json is missing"),
        (lambda folder: edit(folder, files={"/etc/hostname": 1}), "/etc/hostname is outside the folder"),
        (lambda folder: edit(folder, files={"a/../../b": 1}), "a/../../b is outside the folder"),
        (lambda folder: edit(folder, files={}, step=8), "its files have different steps: 7 and 8"),
        (lambda folder: edit(folder, files={}, step=10), "its files have different steps: 7 and 10"),
        (lambda folder: edit(folder, step=...), "manifest.json: step is not what the recipe writes"),
        (lambda folder: edit(folder, step="7"), "manifest.json: step is not what the recipe writes"),
        (lambda folder: edit(folder, settings=1), "manifest.json: settings is not what the recipe writes"),
        (lambda folder: edit(folder, seconds=None), "manifest.json: seconds is not what the recipe writes"),
        (lambda folder: edit(folder, files=[]), "manifest.json: files is not what the recipe writes"),
        (lambda folder: edit(folder, sha256=[]), "manifest.json: sha256 is not what the recipe writes"),
        (lambda folder: edit(folder, sha256={"other": "1"}), "trainer_state.json has changed since it was saved"),
        (lambda folder: (folder / "manifest.json").write_text("[]"), "manifest.json is not an object"),
        (
            lambda folder: (edit(folder, files={}), fill(folder, **{"trainer_state.json": '{"global_step": 6}'})),
            "6 and 7",
        ),
        (lambda folder: (edit(folder, files={}), fill(folder, **{"trainer_state.json": "{}"})), "'global_step'"),
        (lambda folder: (edit(folder, files={}), fill(folder, **{"trainer_state.json": "[]"})), "list indices"),
        (
            lambda folder: (edit(folder, files={}), (folder / "trainer_state.json").unlink()),
            "trainer_state.json is missing",
        ),
    ],
)
def test_a_damage_is_told(tmp_path, change, damage):
    checkpoint = save(tmp_path, 7)
    assert find_damage(checkpoint) is None
    change(checkpoint)
    assert damage in find_damage(checkpoint)


def test_a_manifest_of_an_earlier_version_tells_sizes_alone(tmp_path):
    checkpoint = save(tmp_path, 7)
    edit(checkpoint, sha256=..., seconds=..., settings=...)
    assert read_manifest(checkpoint) | {"files": 0} == {
        "step": 7,
        "files": 0,
        "sha256": {},
        "seconds": 0,
        "settings": None,
    }
    (checkpoint / "weights").write_text("abcde")
    assert find_damage(checkpoint) is None
    (checkpoint / "weights").write_text("abcdef")
    assert find_damage(checkpoint) == "weights has 6 of 5 bytes"


def test_new_files_replace_those_of_their_names(tmp_path):
    fill(tmp_path, partial__a="new", partial__b="new", run__a="old", run__c="old")
    replace_files(tmp_path / "partial", tmp_path / "run")
    assert names(tmp_path) == ["run", "run/a", "run/b", "run/c"]
    assert [(tmp_path / "run" / name).read_text() for name in "abc"] == ["new", "new", "old"]


@pytest.mark.parametrize(
    "error",
    [OSError(28, "No space left"), RuntimeError("write failed"), SafetensorError("I/O error"), Exception("full")],
)
def test_a_save_that_fails_leaves_no_part_and_names_what_is_left(tmp_path, error):
    expected = (
        rf"^{re.escape(str(tmp_path))}: checkpoint-9 could not be saved \({re.escape(str(error))}; \d+ MB free\): "
        r"earlier checkpoints are intact \(checkpoint-3, checkpoint-2\): free some space"
    )
    for step in (2, 3):
        save(tmp_path, step)
    partial = fill(tmp_path / "saving-checkpoint-9", weights="1")
    with pytest.raises(LocalError, match=expected), guard_save(partial):
        raise error
    assert not partial.exists()
    assert find_checkpoint(tmp_path) == tmp_path / "checkpoint-3"


@pytest.mark.parametrize(
    "error",
    [
        *(KeyError("a fault of ours"), torch.OutOfMemoryError("memory"), torch.AcceleratorError("device")),
        torch.distributed.DistError("a process ended"),
    ],
)
def test_other_failures_are_not_said_to_be_the_disk_s(tmp_path, error):
    with pytest.raises(type(error)), guard_save(fill(tmp_path / "saving-checkpoint-9", weights="1")):
        raise error


def test_a_first_save_that_fails_says_that_nothing_is_saved(tmp_path):
    with pytest.raises(LocalError, match=r"\(none\)"), guard_save(tmp_path / "saving-model"):
        raise OSError("full")


@pytest.mark.parametrize(
    ("name", "target", "refused"),
    [
        ("runs", "../elsewhere", True),
        ("report.json", "/dev/null", True),
        ("report.json", "run.yaml", False),
        ("checkpoint-3", "../elsewhere", False),
    ],
)
def test_links_out_of_the_folder_are_refused(tmp_path, name, target, refused):
    folder = fill(tmp_path / "run", **{"run.yaml": "1"})
    (folder / name).symlink_to(target)
    if refused:
        with pytest.raises(RecipeError, match=rf"^output_dir {folder}: {name} is a link to {target}, and"):
            refuse_links(folder)
    else:
        refuse_links(folder)


def test_a_folder_is_locked_until_its_file_is_closed(tmp_path):
    def lock_elsewhere():
        """Whether another process can lock the folder."""
        child = os.fork()
        if not child:
            try:
                lock_folder(tmp_path)
            except RecipeError:
                os._exit(1)
            os._exit(0)
        return os.waitpid(child, 0)[1] == 0

    lock = lock_folder(tmp_path)
    assert not lock_elsewhere()
    lock.close()
    assert lock_elsewhere()


def test_a_folder_without_locks_is_used_with_a_warning(tmp_path, monkeypatch, caplog):
    def lockf(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(checkpoints.fcntl, "lockf", lockf)
    lock_folder(tmp_path).close()
    assert "cannot be locked (No locks available)" in caplog.text


def test_results_are_removed_whatever_they_are(tmp_path):
    fill(tmp_path, **{"report.json": "1", "predictions__test.conll": "1", "run.yaml": "1"})
    remove_results(tmp_path, ["report.json", "predictions", "metrics.json"])
    assert names(tmp_path) == ["run.yaml"]


def test_an_earlier_run_is_set_aside_and_what_is_live_stays(tmp_path):
    run = fill(
        tmp_path / "run",
        **{"train.log": "1", ".lock": "", ".gitignore": "*", "saving-model__a": "1", "aside-1__a": "1"},
    )
    live = names(run)
    assert set_aside(run) is None
    for number in (1, 2):
        fill(run, **{"run.yaml": "1", "checkpoint-3__a": "1"})
        assert set_aside(run) == tmp_path / f"run.aside-{number}"
        assert names(tmp_path / f"run.aside-{number}") == ["checkpoint-3", "checkpoint-3/a", "run.yaml"]
        assert names(run) == live


def test_a_mounted_output_folder_is_set_aside_inside_itself(tmp_path, monkeypatch):
    folder, rename = tmp_path / "run", Path.rename
    (folder / "checkpoint-3").mkdir(parents=True)
    (folder / "run.yaml").touch()

    def across_mounts(path, target):
        if not Path(target).is_relative_to(folder):
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", across_mounts)
    assert set_aside(folder) == folder / "aside-1"
    assert sorted(path.name for path in (folder / "aside-1").iterdir()) == ["checkpoint-3", "run.yaml"]
    assert os.listdir(tmp_path) == ["run"]
    assert set_aside(folder) is None  # nothing of an earlier run is left
    (folder / "run.yaml").touch()
    assert set_aside(folder) == folder / "aside-2"


def test_a_run_that_cannot_be_set_aside_stays(tmp_path, monkeypatch):
    def rename(path, target):
        raise PermissionError(errno.EACCES, "Permission denied")

    run = fill(tmp_path / "run", **{"run.yaml": "1"})
    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(RecipeError, match=r"run.yaml: Permission denied: it cannot be set aside"):
        set_aside(run)
    assert names(tmp_path) == ["run", "run/run.yaml"]


def test_a_kill_while_a_run_is_set_aside_leaves_its_newest_checkpoint(tmp_path, monkeypatch):
    run, rename, moved = fill(tmp_path / "run", **{"run.yaml": "1"}), Path.rename, []
    for step in (2, 10, 9):
        fill(run / f"checkpoint-{step}", a="1")

    def rename_or_die(path, target):
        if len(moved) == 2:
            raise KeyboardInterrupt  # stands for SIGKILL
        moved.append(path.name)
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", rename_or_die)
    with pytest.raises(KeyboardInterrupt):
        set_aside(run)
    assert moved == ["run.yaml", "checkpoint-2"]


def test_the_working_folder_is_not_set_aside(tmp_path, monkeypatch):
    monkeypatch.chdir(fill(tmp_path / "run" / "inner", a="1"))
    with pytest.raises(RecipeError, match="is or contains the working folder"):
        set_aside(tmp_path / "run")


def test_a_checkpoint_that_cannot_be_deleted_stays_and_ends_nothing(tmp_path):
    for step in (10, 9, 100, 20):
        fill(tmp_path / f"checkpoint-{step}", a="1")
    fill(tmp_path, **{"checkpoint-1": "a file"})
    rotate(tmp_path, 2, {tmp_path / "checkpoint-20"})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-1", "checkpoint-10", "checkpoint-20"]


@pytest.mark.parametrize(
    ("limit", "best", "left"),
    [
        (None, 2, [2, 4, 6, 8, 90]),
        (2, 8, [6, 8]),
        (1, 8, [8]),
        (1, 2, [2, 8]),
        (3, 2, [2, 6, 8]),
        (9, 8, [2, 4, 6, 8, 90]),
    ],
)
def test_old_checkpoints_are_deleted_by_step_and_never_the_one_just_saved(tmp_path, limit, best, left):
    for step in (2, 4, 6, 8, 90):  # 90 is a damaged one, of before
        (tmp_path / f"checkpoint-{step}").mkdir()
        os.utime(tmp_path / f"checkpoint-{step}", (1e9 - step, 1e9 - step))  # a clock that runs backwards
    rotate(tmp_path, limit, {tmp_path / "checkpoint-8", tmp_path / f"checkpoint-{best}"})
    assert sorted(int(path.name[11:]) for path in tmp_path.iterdir()) == left

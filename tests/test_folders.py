"""Folders that are finished under another name, and take the place of old ones."""

import pytest

from conftest import fill, names
from recipe.folders import clear_partial, finalize


def test_a_finished_folder_takes_the_place_of_an_outdated_one(tmp_path):
    fill(tmp_path, old__a="1", old__b="2", new__a="3")
    finalize(tmp_path / "new", tmp_path / "old")
    assert names(tmp_path) == ["old", "old/a"]
    assert (tmp_path / "old" / "a").read_text() == "3"


def test_an_outdated_folder_is_brought_back_if_the_new_one_does_not_come(tmp_path):
    fill(tmp_path, old__a="1", replaced__a="2")
    (tmp_path / "replaced").rename(tmp_path / "replaced-other")
    fill(tmp_path, other__a="3")
    with pytest.raises(FileNotFoundError):
        finalize(tmp_path / "missing", tmp_path / "old")
    assert names(tmp_path) == ["old", "old/a", "other", "other/a", "replaced-other", "replaced-other/a"]
    assert (tmp_path / "old" / "a").read_text() == "1"
    clear_partial(tmp_path)
    assert names(tmp_path) == ["old", "old/a", "other", "other/a"]


def test_what_a_kill_left_set_aside_is_brought_back(tmp_path):
    fill(tmp_path, **{"replaced-old__a": "1", "saving-new__a": "2"})
    clear_partial(tmp_path)
    assert names(tmp_path) == ["old", "old/a"]


@pytest.mark.parametrize("kind", ["link", "dangling link", "file"])
def test_a_link_or_a_file_gives_way_to_a_finished_folder(tmp_path, kind):
    fill(tmp_path, elsewhere__a="1", new__a="2")
    if kind == "file":
        (tmp_path / "old").write_text("3")
    else:
        (tmp_path / "old").symlink_to(tmp_path / ("elsewhere" if kind == "link" else "nowhere"))
    finalize(tmp_path / "new", tmp_path / "old")
    assert names(tmp_path) == ["elsewhere", "elsewhere/a", "old", "old/a"]
    assert [(tmp_path / name / "a").read_text() for name in ("elsewhere", "old")] == ["1", "2"]


def test_only_unfinished_folders_are_cleared(tmp_path):
    fill(
        tmp_path,
        **{"saving-checkpoint-3__a": "1", "saving-model__a": "1", "checkpoint-2__saving-": "1", "saving-note": "1"},
    )
    clear_partial(tmp_path)
    assert names(tmp_path) == ["checkpoint-2", "checkpoint-2/saving-", "saving-note"]  # a file cannot be cleared


def test_weights_can_be_read_by_others_as_the_umask_says(tmp_path):
    weights = fill(tmp_path / "new", **{"model.safetensors": "1", "config.json": "2"}) / "model.safetensors"
    weights.chmod(0o600)  # as safetensors writes them
    finalize(tmp_path / "new", tmp_path / "old")
    modes = {path.name: path.stat().st_mode for path in (tmp_path / "old").iterdir()}
    assert modes["model.safetensors"] == modes["config.json"]

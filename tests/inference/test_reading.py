"""Inputs of fill and likelihood: what is a text and what a path, and what stays of a line of JSON."""

import io
import sys

import pytest

from recipe.data.untagged import Item, Reader
from recipe.errors import RecipeError
from recipe.inference.reading import names_files, read_inputs


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("notes", "a.txt", "M", "my text.txt"):
        (tmp_path / name).write_text("Mara left Oslo.")
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "one").write_text("Lima")
    return tmp_path


@pytest.mark.parametrize(
    ("value", "is_path"),
    [
        *(("notes", True), ("a.txt", True), ("my text.txt", True), ("texts/one", True)),
        *(("*.txt", True), ("te*/*", True), ("not*", True)),
        *(("gone.txt", True), ("gone.JSONL", True), ("texts/gone", True), ("texts/*.md", True), ("./gone", True)),
        *(("Oslo", False), ("and/or", False), ("How are you?", False), ("Mara left a.txt", False), ("", False)),
        *(("[MASK]", False), ("[MASK]/[MASK]", False), ("texts/[MASK]", False), ("a" * 5000, False), ("a\0b", False)),
    ],
)
def test_an_input_is_a_path_where_it_looks_like_one(folder, value, is_path):
    assert names_files(value) is is_path


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("gone.txt", "files: no file at gone.txt: check the path"),
        ("texts/gone", "files: no file at texts/gone: check the path"),
        ("texts", r"texts: is a folder: give its files, such as texts/\*.txt"),
        ("texts/", r"texts/: is a folder: give its files, such as texts/\*.txt"),
    ],
)
def test_files_that_are_not_there_are_refused(folder, value, message):
    with pytest.raises(RecipeError, match=message):
        list(read_inputs([value], Reader()))


def test_files_without_texts_are_refused(folder, monkeypatch):
    (folder / "empty.txt").write_text("\n\n")
    with pytest.raises(RecipeError, match=r"empty\.txt: no texts: check the input"):
        list(read_inputs(["empty.txt"], Reader()))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    with pytest.raises(RecipeError, match="-: no texts: check the input"):
        list(read_inputs(["-"], Reader()))
    assert [item.content for item in read_inputs(["empty.txt", "Oslo"], Reader())] == ["Oslo"]


def test_no_key_of_a_line_is_lost():
    item = Item("Oslo", "text", {"gaps": 1, "given_gaps": 2, "id": 3})
    expected = {"text": "Lima", "gaps": [], "given_gaps": 1, "given_given_gaps": 2, "id": 3}
    assert item.keep_keys({"text": "Lima", "gaps": []}) == expected

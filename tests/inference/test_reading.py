"""Inputs of fill and likelihood: what is a text and what a path, and what stays of a line of JSON."""

import errno
import io
import re
import sys
from contextlib import redirect_stdout

import pytest

from recipe.console import tolerant_output
from recipe.data.untagged import Item, Reader
from recipe.errors import RecipeError
from recipe.inference import fill, likelihood
from recipe.inference.filler import FilledText, Prediction
from recipe.inference.reading import BadTexts, names_files, pair_results, read_inputs, write_results
from recipe.inference.scorer import Likelihood


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
        *(("*.gone", True), ("gone.csv", True), ("gone.docx", True)),
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


def test_inputs_and_outputs_that_would_lose_a_text_are_refused(folder):
    with pytest.raises(RecipeError, match=r"standard input \(-\) can be read only once"):
        list(read_inputs(["-", "-"], Reader()))
    for flags, message in [
        (["a.txt", "--output", "a.txt"], r"output a\.txt: is one of the input files"),
        (["a.txt", "--output", "texts"], "output texts: is a folder"),
        (["a.txt", "--text_key", "gaps"], "text_key: gaps is the name of a result: rename the key"),
        (["a.txt", "--pieces", "1-100000"], "pieces: 1-100000: expected a number up to 20, or a range such as 1-4"),
        (["a.txt", "--pieces", "1-"], "pieces: 1-: expected a number"),
    ]:
        with pytest.raises(RecipeError, match=message):
            fill.main(["--model", "none", *flags])


@pytest.mark.parametrize("verb", [fill, likelihood])
@pytest.mark.parametrize("value", ["*.txt", "~/a.txt", "~/*.txt", "texts/../a.txt", "link.txt"])
def test_an_output_among_the_files_of_an_input_is_refused(folder, monkeypatch, verb, value):
    monkeypatch.setenv("HOME", str(folder))
    (folder / "link.txt").symlink_to("a.txt")
    with pytest.raises(RecipeError, match=r"output a\.txt: is one of the input files"):
        verb.main(["--model", "none", "Oslo", value, "--output", "a.txt"])
    assert (folder / "a.txt").read_text() == "Mara left Oslo."


def test_a_text_can_have_the_name_of_the_output_and_a_glob_does_not_find_what_comes_later(folder):
    items = read_inputs(["te*/*", "Oslo"], Reader(), folder / "Oslo")
    (folder / "texts" / "two").write_text("Quito")
    assert [item.content for item in items] == ["Lima", "Oslo"]


def test_bad_texts_are_named_by_file_and_line(folder):
    (folder / "b.jsonl").write_text('{"text": "good"}\n\n{"text": "bad"}\n{"tokens": ["a"]}\n')
    reader = Reader(tokens_key="", skip_bad=True)

    def stream(texts, refuse):
        for number, text in enumerate(texts, 1):
            if text == "bad":
                refuse(number, RecipeError("wrong"))
            yield text

    with pytest.raises(RecipeError, match=r"b\.jsonl:3: wrong \(--skip_bad skips such texts\)"):
        list(pair_results(read_inputs(["b.jsonl"], reader), stream, BadTexts(False, reader)))
    bad = BadTexts(True, reader)
    assert len(list(pair_results(read_inputs(["b.jsonl"], reader), stream, bad))) == 2
    assert (bad.count, reader.skipped) == (1, 1)  # words are no text


@pytest.mark.parametrize(("error", "number"), [(None, 4), (errno.EPIPE, 2), (errno.ENOSPC, 2)])
def test_no_result_is_computed_for_a_standard_output_that_is_gone(error, number):
    """It hides its errors from what is printed, so that they end no training."""
    stream, computed = io.StringIO(), []

    def compute():
        for letter in "abcd":
            computed.append(letter)
            yield Item(letter), letter
            if error:
                stream.write = lambda text: (_ for _ in ()).throw(OSError(error, "gone"))

    with redirect_stdout(stream), tolerant_output() as output:
        write_results(compute(), None, str, lambda item, result: {}, header="letter")
    assert len(computed) == number
    assert stream.getvalue().startswith("letter\na\n")
    assert (output.failure and output.failure.errno) == error


CONTROLS = "Os\x1b[31mlo \x9b31m \u202e\u2028 Malm\u00f6"


def test_what_is_printed_has_no_controls_of_the_data():
    prediction = Prediction(1, "\x1b", -1.0, [("\u202e", 0.5)], "\x9b")
    filled = fill.format_filled(FilledText(f"{CONTROLS}\n\tLima", [prediction], [], -1.0, 1))
    scored = likelihood.format_likelihood(Likelihood(f"{CONTROLS}\n\tLima", [("lima", -1.0)], []))
    for shown in (filled, scored):
        assert r"Os\x1b[31mlo \x9b31m \u202e" in shown
        assert "Malm\u00f6" in shown
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u202e]", shown)
    assert filled.splitlines()[1] == "\tLima"
    assert len(scored.splitlines()) == 1


def test_json_lines_are_known_after_blank_lines(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'\n\n{"text": "Oslo"}\n')))
    assert [item.content for item in read_inputs(["-"], Reader())] == ["Oslo"]


def test_no_key_of_a_line_is_lost():
    item = Item("Oslo", "text", {"gaps": 1, "given_gaps": 2, "id": 3})
    expected = {"text": "Lima", "gaps": [], "given_gaps": 1, "given_given_gaps": 2, "id": 3}
    assert item.keep_keys({"text": "Lima", "gaps": []}) == expected

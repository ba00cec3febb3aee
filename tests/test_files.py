"""Files are whole or absent, and standard output ends no run."""

import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from conftest import ROOT
from recipe.console import escape_json, show_controls, show_text
from recipe.errors import RecipeError
from recipe.files import check_output, is_stream, open_whole, open_whole_bytes, write_whole


def test_a_file_appears_when_it_is_complete(tmp_path):
    path = tmp_path / "new" / "a.json"
    with open_whole(path) as file:
        file.write("one")
        assert not path.exists()
    assert path.read_text() == "one"
    write_whole(path, "two \ud800")
    assert path.read_text() == "two ?"
    assert os.listdir(path.parent) == ["a.json"]


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("-", "output -: reads like standard output: leave it out for that, or set another file"),
        ("", "output .: is a folder: set a file"),
        ("./a.json", "output a.json: is one of the input files: set another file"),
        ("link", "output link: is one of the input files: set another file"),
    ],
)
def test_what_is_no_file_to_write_is_refused(tmp_path, monkeypatch, output, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.json").write_text("one")
    (tmp_path / "link").symlink_to("a.json")
    with pytest.raises(RecipeError, match=re.escape(message)):
        check_output(Path(output), ["a.json"])
    check_output(Path("new.json"), ["a.json"])


class FullDiskError(OSError):
    def __init__(self):
        super().__init__(28, "No space left on device")


def test_a_write_that_fails_leaves_the_file_of_before(tmp_path):
    write_whole(tmp_path / "a.json", "one")

    def fail():
        with open_whole(tmp_path / "a.json") as file:
            file.write("two")
            raise FullDiskError

    with pytest.raises(RecipeError, match=r"a\.json: No space left on device: fix it, and give the same command again"):
        fail()
    assert (tmp_path / "a.json").read_text() == "one"
    assert os.listdir(tmp_path) == ["a.json"]


def test_a_link_is_replaced_and_not_followed(tmp_path):
    (tmp_path / "other").write_text("keep")
    for name in ("a.json", "a.json.partial"):
        (tmp_path / name).symlink_to(tmp_path / "other")
    write_whole(tmp_path / "a.json", "new")
    assert (tmp_path / "other").read_text() == "keep"
    assert not (tmp_path / "a.json").is_symlink()


@pytest.mark.skipif(not os.path.isdir("/dev/shm"), reason="needs /dev/shm")
def test_shared_memory_is_like_any_folder():
    with TemporaryDirectory(dir="/dev/shm") as folder:
        path = Path(folder) / "a.npz"
        with open_whole_bytes(path) as file:
            file.write(b"one")
            assert not path.exists()
        assert path.read_bytes() == b"one"


PROGRAM = """
import sys
from recipe.errors import RecipeError, exit_with
def main():
    for number in range(20_000):
        print("Malm\u00f6 \u2603", number)
    open(sys.argv[1], "w").write("done")
    if len(sys.argv) > 2:
        raise eval(sys.argv[2])
exit_with(main)
"""


def run(tmp_path, *arguments, **options):
    command = [sys.executable, "-c", PROGRAM, tmp_path / "done", *arguments]
    return subprocess.run(command, stderr=subprocess.PIPE, text=True, cwd=ROOT, **options)


def test_a_closed_pipe_ends_nothing(tmp_path):
    read, write = os.pipe()
    os.close(read)
    done = run(tmp_path, stdout=write)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "done").exists()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_behind_standard_output_is_said_at_the_end(tmp_path):
    with open("/dev/full", "w") as full:
        done = run(tmp_path, stdout=full)
    assert done.returncode == 2
    assert done.stderr == "error: standard output: No space left on device: results in files are complete\n"
    assert (tmp_path / "done").exists()


def test_a_terminal_without_some_characters_shows_others(tmp_path):
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = run(tmp_path, stdout=subprocess.PIPE, env=environment)
    assert done.returncode == 0
    assert done.stdout.startswith("Malm? ? 0\n")


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        ("RecipeError('a.txt:3:\\nbad:\\n fix it')", 2, "error: a.txt:3: bad: fix it"),
        ("ValueError('odd\\nthing')", 70, "error: unforeseen ValueError in <string>:9: odd thing"),
        ("KeyboardInterrupt()", 130, None),
    ],
)
@pytest.mark.parametrize("rank", [None, "0", "x", ""])
def test_an_error_is_one_line_with_a_status_of_its_kind(tmp_path, error, status, line, rank):
    environment = os.environ | ({} if rank is None else {"LOCAL_RANK": rank})
    done = run(tmp_path, error, stdout=subprocess.DEVNULL, env=environment)
    assert done.returncode == status
    assert (done.stderr.splitlines() or [None])[-1] == line


def test_a_device_is_written_to_and_never_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    for name in ("pipe", "link"):
        with ThreadPoolExecutor(1) as reader:
            found = reader.submit((tmp_path / "pipe").read_text)
            write_whole(tmp_path / name, "Oslo")
            assert found.result() == "Oslo"
    assert (tmp_path / "pipe").is_fifo()
    assert (tmp_path / "link").is_symlink()


@pytest.mark.parametrize("name", ["", ".", "/", "a\0b"])
def test_what_is_no_name_of_a_file_is_refused(name):
    with pytest.raises(RecipeError, match="is not the name of a file"):
        write_whole(name, "Oslo")


def test_a_reader_of_a_pipe_that_has_seen_enough_ends_the_block_and_is_no_error(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    written = []
    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(lambda: os.close(os.open(tmp_path / "pipe", os.O_RDONLY)))
        with open_whole(tmp_path / "pipe") as file:
            reader.result()
            for number in range(100):
                file.write("Oslo\n")
                file.flush()
                written.append(number)
    assert written == []
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")
def test_a_log_behind_a_descriptor_keeps_its_lines(tmp_path):
    """As behind /dev/stdout, which no test may write to: where it were taken for a file, it would be replaced."""
    (tmp_path / "log").write_text("one\n")
    (tmp_path / "descriptors").symlink_to("/proc/self/fd")
    with open(tmp_path / "log", "a") as log:
        write_whole(tmp_path / "descriptors" / str(log.fileno()), "two\n")
    assert (tmp_path / "log").read_text() == "one\ntwo\n"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        *(("/dev/stdout", True), ("/dev/fd/1", True), ("/tmp/../dev/stdout", True), ("/proc/self/fd/1", True)),
        *(("/dev/shm/a", False), ("/tmp/a", False), ("dev/stdout", False), ("a", False)),
    ],
)
def test_what_leads_to_a_device_is_known_by_its_place(tmp_path, monkeypatch, path, expected):
    monkeypatch.chdir(tmp_path)
    assert is_stream(Path(path)) is expected


def test_new_files_have_the_permissions_that_the_umask_leaves(tmp_path):
    before = os.umask(0o027)
    try:
        write_whole(tmp_path / "a", "one")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


TERMINAL = "a\x1b[31m\x9b31m\x7f\u2028\u202eb\tc\n\u00e9\U0001f600\n"


def test_controls_of_a_text_are_shown_and_its_lines_stay():
    assert show_text(TERMINAL) == "a\\x1b[31m\\x9b31m\\x7f\\u2028\\u202eb\tc\n\u00e9\U0001f600\n"
    assert show_text("") == ""


def test_controls_in_json_are_shown_as_equal_json():
    row = {"text": TERMINAL, "\x9b": 1}
    line = json.dumps(row, ensure_ascii=False)
    shown = escape_json(line + "\n")
    assert shown.endswith("}\n")
    assert show_controls(shown[:-1]) == shown[:-1]
    assert "\u00e9\U0001f600" in shown
    assert json.loads(shown) == row


def test_nothing_is_left_beside_when_the_block_fails(tmp_path):
    with pytest.raises(RecipeError, match="bad text"), open_whole(tmp_path / "a"):
        raise RecipeError("bad text")
    assert list(tmp_path.iterdir()) == []


def test_closed_standard_output_is_reported_after_the_work(tmp_path):
    code = "from recipe.errors import exit_with; exit_with(lambda: (print('x'), open('done', 'w').close()))"
    run = subprocess.run(
        f'exec {sys.executable} -c "{code}" >&-', shell=True, cwd=tmp_path, capture_output=True, text=True
    )
    assert run.returncode == 2, run.stderr
    assert "standard output" in run.stderr
    assert "Traceback" not in run.stderr
    assert (tmp_path / "done").exists()

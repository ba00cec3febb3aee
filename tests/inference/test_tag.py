"""`python -m recipe tag`: formats in and out, order, memory, bad lines, interruption."""

import contextlib
import errno
import gzip
import html
import io
import json
import os
import re
import stat
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest

import run_ner
from recipe.__main__ import main
from recipe.console import tolerant_output
from recipe.data.conll import list_sentences, read_columns
from recipe.data.untagged import Item, Reader
from recipe.errors import RecipeError
from recipe.inference import tag
from recipe.inference.tagged_output import FORMATS
from recipe.inference.tagger import TaggedText


@pytest.fixture(scope="module")
def model(encoder, column_files, tmp_path_factory):
    """A tagger that has learnt its few training sentences."""
    folder = tmp_path_factory.mktemp("model")
    flags = {"model_name_or_path": encoder, "data_dir": column_files, "output_dir": folder, "max_seq_length": 48}
    flags |= {"do_train": True, "num_train_epochs": 80, "learning_rate": 5e-3, "save_strategy": "no"}
    run_ner.main([f"--{key}={value}" for key, value in (flags | {"precision": "fp32", "disable_tqdm": True}).items()])
    return folder


@pytest.fixture
def run(model, capsys):
    def run(*words):
        main(["tag", "--model", str(model), *map(str, words)])
        return capsys.readouterr()

    return run


TEXT = "Mara Okello left Oslo.\n\nShe joined Norvik\nin Lima.\n"


def test_text_becomes_json_lines_with_entities_at_their_places(run, tmp_path):
    (tmp_path / "a.txt").write_text(TEXT)
    rows = [json.loads(line) for line in run(tmp_path / "a.txt").out.splitlines()]
    assert [row["text"] for row in rows] == ["Mara Okello left Oslo.", "She joined Norvik\nin Lima."]
    assert [entity["type"] for entity in rows[0]["entities"]] == ["PER", "LOC"]
    for row in rows:
        assert all(row["text"][e["start"] : e["end"]] == e["text"] for e in row["entities"])


def test_each_line_can_be_a_text(run, tmp_path):
    (tmp_path / "a.txt").write_text(TEXT)
    assert len(run(tmp_path / "a.txt", "--lines").out.splitlines()) == 3


def test_json_lines_keep_their_other_keys_and_words_keep_their_numbers(run, tmp_path):
    rows = [{"id": 7, "text": "Mara Okello left"}, {"tokens": ["in", "Oslo"], "source": "b"}, {"tokens": []}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found = [json.loads(line) for line in run(tmp_path / "a.jsonl").out.splitlines()]
    assert [row.get("id") for row in found] == [7, None, None]
    assert found[1]["source"] == "b"
    assert (found[1]["tags"], found[1]["entities"][0]["start"]) == (["O", "B-LOC"], 1)
    assert found[2] == {"tokens": [], "tags": [], "entities": []}


@pytest.mark.parametrize("tags", [" O", ""])
def test_column_files_are_tagged_with_or_without_a_tag_column(run, tmp_path, tags):
    words = ["-DOCSTART-", "", "Mara", "Okello", "", "Oslo", "", "-DOCSTART-", "", "Lima", ""]
    (tmp_path / "a.conll").write_text("\n".join(word and word + tags for word in words))
    run(tmp_path / "a.conll", "--output", tmp_path / "out.conll")
    documents = read_columns(tmp_path / "out.conll")
    assert [len(document.sentences) for document in documents] == [2, 1]
    assert [sentence.words for sentence in list_sentences(documents)] == [["Mara", "Okello"], ["Oslo"], ["Lima"]]
    assert list_sentences(documents)[0].tags == ["B-PER", "I-PER"]


def test_marked_text_and_a_page_show_the_entities(run, tmp_path):
    marked = run("--text", "Mara Okello left Oslo <script>alert(1)</script>.", "--format", "text").out
    assert marked.startswith("[Mara Okello](PER) left [Oslo](LOC) <script>")
    run("--text", "Oslo <script>alert(1)</script> & more", "--output", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "<script" not in page
    assert html.unescape(re.sub("<b>.*?</b>|<.*?>", "", page)).rstrip().endswith("<script>alert(1)</script> & more")
    assert page.rstrip().endswith("</html>")
    assert "http" not in page  # self-contained


def test_standard_input_is_read_as_text(run, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TEXT.encode())))
    assert len(run("-").out.splitlines()) == 2


def test_json_lines_in_standard_input_are_recognised(run, monkeypatch):
    lines = b'{"text": "Oslo", "id": 7}\n{"text": "Lima", "id": 8}\n'
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines)))
    assert [json.loads(line)["id"] for line in run("-").out.splitlines()] == [7, 8]


def test_compressed_text_is_tagged_and_damaged_refused(run, tmp_path):
    data = gzip.compress(TEXT.encode())
    (tmp_path / "a.txt.gz").write_bytes(data)
    assert len(run(tmp_path / "a.txt.gz").out.splitlines()) == 2
    (tmp_path / "b.txt.gz").write_bytes(data[:-9])
    with pytest.raises(RecipeError, match=r"b\.txt\.gz: damaged gzip data"):
        run(tmp_path / "b.txt.gz")


def test_a_bad_line_is_named_or_counted_and_left_out(run, tmp_path):
    (tmp_path / "a.jsonl").write_bytes(
        b'{"text": "Oslo"}\nbroken\n{"words": 1}\n{"text": "R\xe9mi"}\n{"text": "Lima"}\n'
    )
    with pytest.raises(RecipeError, match=r"a\.jsonl:2: not valid JSON"):
        run(tmp_path / "a.jsonl", "--output", tmp_path / "out.jsonl")
    assert not (tmp_path / "out.jsonl").exists()
    done = run(tmp_path / "a.jsonl", "--skip_bad")
    assert [json.loads(line)["text"] for line in done.out.splitlines()] == ["Oslo", "Lima"]
    assert "3 line(s) could not be read" in done.err


def test_an_interrupted_output_does_not_look_whole_and_is_continued_to_the_same_bytes(run, tmp_path, monkeypatch):
    monkeypatch.setattr("recipe.inference.texts.BUFFER_CHARACTERS", 60)
    (tmp_path / "a.txt").write_text("\n\n".join(f"Mara Okello left Oslo {n} times." for n in range(20)))
    run(tmp_path / "a.txt", "--output", tmp_path / "whole.jsonl")
    write, written = tag.OutputFile.write, []

    def write_or_die(self, text, items=0):
        if len(written) == 4:
            self.file.write(text.encode()[:10])  # half a line reaches the disk
            self.file.flush()
            raise KeyboardInterrupt
        written.append(text)
        write(self, text, items)

    target = tmp_path / "out.jsonl"
    with monkeypatch.context() as patch:
        patch.setattr(tag.OutputFile, "write", write_or_die)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "a.txt", "--output", target)
    assert not target.exists()
    with pytest.raises(RecipeError, match="min_score changed since it was started: restore them"):
        run(tmp_path / "a.txt", "--output", target, "--resume", "--min_score", 0.5)
    run(tmp_path / "a.txt", "--output", target, "--resume")
    assert target.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "out.jsonl", "whole.jsonl"]


def test_a_bad_line_leaves_nothing_in_the_way_of_the_repaired_file(run, tmp_path):
    file, output = tmp_path / "a.jsonl", tmp_path / "out.jsonl"
    file.write_text('{"text": "Oslo"}\n{"bad": 1}\n')
    with pytest.raises(RecipeError, match=r"a\.jsonl:2: "):
        run(file, "--output", output)
    file.write_text('{"text": "Oslo"}\n{"text": "Mara"}\n')
    run(file, "--output", output)
    assert len(output.read_text().splitlines()) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl", "out.jsonl"]


def test_a_key_that_is_there_twice_is_refused(run, tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "Oslo", "text": "Mara"}\n')
    with pytest.raises(RecipeError, match=r"a\.jsonl:1: not valid JSON: the key 'text' is there twice: fix the line"):
        run(tmp_path / "a.jsonl")


def test_text_is_read_as_it_is_needed(tmp_path):
    (tmp_path / "a.txt").write_text("one\n\ntwo\n\nthree")
    items = Reader().read([str(tmp_path / "a.txt")])
    assert next(items).content == "one"
    (tmp_path / "b.txt").write_text("")
    assert list(Reader().read([str(tmp_path / "b.txt")])) == []


def test_other_keys_and_given_labels_are_kept(run, tmp_path):
    row = {"body": "Oslo", "text": "keep me", "entities": [[0, 4, "LOC"]], "id": 1}
    (tmp_path / "a.jsonl").write_text(json.dumps(row))
    found = json.loads(run(tmp_path / "a.jsonl", "--text_key", "body").out)
    assert (found["body"], found["text"], found["id"]) == ("Oslo", "keep me", 1)
    assert found["given_entities"] == [[0, 4, "LOC"]]


def test_empty_cells_keep_the_columns_in_place(tmp_path):
    (tmp_path / "a.tsv").write_text("\tOslo\tO\n1\t\tO\n")
    [item] = Reader(word_column=1).read([str(tmp_path / "a.tsv")])
    assert item.content.sentences[0].words == ["Oslo", "_"]


@pytest.mark.parametrize("content", ["1\tMara\tN\n2\tleft\tV\n", "1 Oslo\n\n1 Mara\n2 left", "1 2 Mara\n2 1 left\n"])
def test_the_numbers_of_lines_are_not_tagged_as_words(tmp_path, content):
    (tmp_path / "a.tsv").write_text(content)
    with pytest.raises(RecipeError, match=r"a\.tsv:\d: the words in column 0 number the lines: set --word_column, for"):
        list(Reader().read([str(tmp_path / "a.tsv")]))
    assert list(Reader(word_column=1).read([str(tmp_path / "a.tsv")]))


@pytest.mark.parametrize("content", ["1\n2\n3\n", "1 CD\n", "3 CD\n4 CD\n"])
def test_numbers_that_can_be_words_are_tagged(tmp_path, content):
    (tmp_path / "a.tsv").write_text(content)
    [item] = Reader().read([str(tmp_path / "a.tsv")])
    assert item.content.sentences[0].words == [line.split()[0] for line in content.splitlines()]


@pytest.mark.parametrize("kind", ["jsonl", "html"])
@pytest.mark.parametrize("moment", range(8))
def test_an_output_killed_at_any_moment_is_continued_to_the_same_bytes(run, tmp_path, monkeypatch, kind, moment):
    monkeypatch.setattr("recipe.inference.texts.BUFFER_CHARACTERS", 60)
    (tmp_path / "a.txt").write_text("\n\n".join(f"Mara Okello left Oslo {n} times." for n in range(8)))
    run(tmp_path / "a.txt", "--output", tmp_path / f"whole.{kind}")
    calls = []

    def die_at(method):
        def call(self, *args):
            calls.append(method.__name__)
            if len(calls) == moment + 1:
                raise KeyboardInterrupt
            return method(self, *args)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(tag.OutputFile, "write", die_at(tag.OutputFile.write))
        patch.setattr(tag.OutputFile, "finish", die_at(tag.OutputFile.finish))
        with contextlib.suppress(KeyboardInterrupt):
            run(tmp_path / "a.txt", "--output", tmp_path / f"out.{kind}")
    if not (tmp_path / f"out.{kind}").exists():
        run(tmp_path / "a.txt", "--output", tmp_path / f"out.{kind}", "--resume")
    assert (tmp_path / f"out.{kind}").read_bytes() == (tmp_path / f"whole.{kind}").read_bytes()


def test_an_output_is_not_continued_with_other_input(run, tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text(TEXT)
    with monkeypatch.context() as patch:
        patch.setattr(tag.OutputFile, "finish", lambda self, text: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "a.txt", "--output", tmp_path / "out.jsonl")
    (tmp_path / "a.txt").write_text(TEXT + "More.")
    with pytest.raises(RecipeError, match=r"a\.txt changed since it was started"):
        run(tmp_path / "a.txt", "--output", tmp_path / "out.jsonl", "--resume")


@pytest.mark.parametrize("state", ['{"items": Infinity}', '{"items": 1, "bytes": -1, "settings": {}}', "[" * 1500])
def test_a_spoilt_state_is_refused_by_name(tmp_path, state):
    (tmp_path / "out.jsonl.partial").write_text("{}\n")
    (tmp_path / "out.jsonl.state").write_text(state)
    with pytest.raises(RecipeError, match=r"out\.jsonl\.state: cannot be read"):
        tag.OutputFile(tmp_path / "out.jsonl", resume=True, settings={})


@pytest.mark.parametrize("kind", ["pipe", "link", "device"])
def test_a_pipe_or_device_is_written_to_and_stays(run, tmp_path, kind):
    path = tmp_path / kind
    if kind == "device":
        try:
            os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 3))  # another /dev/null
            path.write_text("")
        except PermissionError:
            pytest.skip("devices cannot be made here")
    else:
        os.mkfifo(tmp_path / "pipe")
    if kind == "link":
        path.symlink_to("pipe")
    before = sorted(tmp_path.iterdir()), path.lstat().st_ino
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    run("--text", "Mara Okello left Oslo.", "--output", path, "--format", "text")
    found = os.read(reader, 1000).decode()
    os.close(reader)
    assert found == ("" if kind == "device" else "[Mara Okello](PER) left [Oslo](LOC).\n\n")
    assert (sorted(tmp_path.iterdir()), path.lstat().st_ino) == before


def test_a_pipe_or_device_cannot_be_continued(run, tmp_path):
    os.mkfifo(tmp_path / "pipe.jsonl")
    (tmp_path / "a.txt").write_text(TEXT)
    with pytest.raises(RecipeError, match="--resume: needs input files and an output file"):
        run(tmp_path / "a.txt", "--output", tmp_path / "pipe.jsonl", "--resume")


@pytest.mark.parametrize("content", ["notes", '{"items": 1}', "", "[]", None])
@pytest.mark.parametrize("more", [[], ["--resume"]])
def test_a_file_with_the_name_of_the_state_is_kept(run, tmp_path, content, more):
    (tmp_path / "a.txt").write_text(TEXT)
    state = tmp_path / "out.jsonl.state"
    state.mkdir() if content is None else state.write_text(content)
    with pytest.raises(RecipeError, match=r"out\.jsonl\.state: cannot be read.*: move it, or set another output"):
        run(tmp_path / "a.txt", "--output", tmp_path / "out.jsonl", *more)
    assert content is None or state.read_text() == content
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "out.jsonl.state"]


def test_a_file_with_the_name_of_an_unfinished_output_is_kept(run, tmp_path):
    (tmp_path / "a.txt").write_text(TEXT)
    (tmp_path / "out.jsonl.partial").write_text("notes")
    for more, message in [
        ([], "an interrupted output"),
        (["--resume"], r"has no out\.jsonl\.state to continue it with"),
    ]:
        with pytest.raises(RecipeError, match=message):
            run(tmp_path / "a.txt", "--output", tmp_path / "out.jsonl", *more)
    assert (tmp_path / "out.jsonl.partial").read_text() == "notes"


def test_the_state_of_an_output_whose_end_was_cut_off_is_in_no_way(run, tmp_path, monkeypatch):
    """Killed after the output got its name, and before its state was removed."""
    (tmp_path / "a.txt").write_text(TEXT)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", lambda self, **_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "a.txt", "--output", tmp_path / "out.jsonl")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "out.jsonl", "out.jsonl.state"]
    run(tmp_path / "a.txt", "--output", tmp_path / "out.jsonl")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "out.jsonl"]


CONTROLS = "Oslo \x1b[31m \x9b31m \u202e Malm\u00f6"


@pytest.mark.parametrize("kind", FORMATS)
def test_a_terminal_gets_no_controls_and_a_pipe_gets_the_data(run, monkeypatch, kind):
    piped = run("--text", CONTROLS, "--format", kind).out
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    shown = run("--text", CONTROLS, "--format", kind).out
    assert "\x9b" in piped
    assert "\u202e" in piped
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", shown)
    assert "Malm\u00f6" in shown
    assert "\x1b" in piped or kind == "jsonl"
    if kind == "jsonl":
        assert json.loads(shown) == json.loads(piped)


@pytest.mark.parametrize("error", [None, errno.EPIPE, errno.ENOSPC])
def test_no_text_is_tagged_for_an_output_that_is_gone(error):
    """Standard output hides its errors from what is printed, so that they end no training."""
    stream, tagged = io.StringIO(), []

    class Tagger:
        labels = ("O",)

        def stream_buffers(self, texts, min_score):
            for text in texts:
                tagged.append(text)
                yield [TaggedText(text, [], [], [])]
                if error:
                    stream.write = lambda text: (_ for _ in ()).throw(OSError(error, "gone"))

    def work():
        with tag.open_output(None, "jsonl", False, {}) as output:
            tag.tag(Tagger(), map(Item, "abcd"), output, "jsonl")

    with redirect_stdout(stream), tolerant_output():
        if error == errno.ENOSPC:
            with pytest.raises(RecipeError, match="standard output: gone: write to a file with --output"):
                work()
        else:
            work()
    assert tagged == list("ab" if error else "abcd")


def test_an_output_does_not_replace_its_input(run, tmp_path):
    (tmp_path / "a.txt").write_text(TEXT)
    with pytest.raises(RecipeError, match="is one of the input files"):
        run(tmp_path / "a.txt", "--output", tmp_path / "a.txt")
    assert (tmp_path / "a.txt").read_text() == TEXT


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "expected either files or --text"),
        (["--text", "a", "b.txt"], "expected either files or --text"),
        (["missing.txt"], "no file at missing.txt"),
        (["-", "--resume"], "--resume: needs input files"),
    ],
)
def test_what_cannot_be_tagged_is_refused_in_one_line(run, words, message):
    with pytest.raises(RecipeError, match=message):
        run(*words)


def test_other_kinds_of_files_are_refused_by_name(run, tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    with pytest.raises(RecipeError, match=r"a\.parquet: files that end in \.parquet cannot be read"):
        run(tmp_path / "a.parquet")

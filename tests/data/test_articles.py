import gzip
import json

import datasets
import pytest

from recipe.arguments import MlmArguments
from recipe.data.articles import load_articles, read_texts
from recipe.data.text_files import check_lines
from recipe.errors import RecipeError


def write(tmp_path, suffix):
    texts = ["one two", "three", "four five", "six"]
    path = tmp_path / f"articles{suffix}"
    if suffix == ".txt":
        path.write_text("\n\n".join(texts) + "\n")
    elif suffix == ".jsonl":
        path.write_text("\n".join(json.dumps({"text": text, "id": 1}) for text in texts))
    elif suffix == ".csv":
        path.write_text("id,text\n" + "\n".join(f"1,{text}" for text in texts))
    else:
        datasets.Dataset.from_dict({"text": texts, "id": [1] * 4}).to_parquet(path)
    return str(path)


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("suffix", [".txt", ".jsonl", ".csv", ".parquet"])
def test_articles_from_every_kind_of_file(tmp_path, suffix, streaming):
    arguments = MlmArguments(train_file=[write(tmp_path, suffix)], streaming=streaming)
    rows = list(load_articles(arguments, wanted=["train"])["train"])
    assert [row["text"].strip() for row in rows] == ["one two", "three", "four five", "six"]
    assert all(row.keys() == {"text"} for row in rows)


@pytest.mark.parametrize("streaming", [False, True])
def test_lines_of_white_space_part_articles(tmp_path, streaming):
    (tmp_path / "a.txt").write_bytes("\ufeffone\r\n\r\ntwo\nlines\n \nthree\n\t\n\n\nfour\n\n \n".encode())
    articles = load_articles(MlmArguments(train_file=[str(tmp_path / "a.txt")], streaming=streaming), wanted=["train"])
    assert [row["text"].strip() for row in articles["train"]] == ["one", "two\nlines", "three", "four"]


@pytest.mark.parametrize("streaming", [False, True])
def test_signs_of_globs_may_stand_in_names(tmp_path, streaming):
    for name in ("a1", "a[1]", "b[2]/c"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.txt").write_text(name)
    for pattern, names in [("*.txt", ["a1", "a[1]"]), ("a[1].txt", ["a[1]"]), ("b[[]2]/*", ["b[2]/c"])]:
        arguments = MlmArguments(train_file=[str(tmp_path / pattern)], streaming=streaming)
        assert sorted(row["text"] for row in load_articles(arguments, wanted=["train"])["train"]) == names


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize(
    ("suffix", "content"), [(".csv", 'id,text\n1,"Rémi"\n2,\n'), (".jsonl", '{"text": "Rémi"}\n{}')]
)
def test_tables_are_read_in_their_encoding_and_empty_cells_are_empty_texts(tmp_path, streaming, suffix, content):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content.encode("latin-1"))
    arguments = MlmArguments(train_file=[str(path)], encoding="latin-1", streaming=streaming)
    assert list(read_texts(load_articles(arguments, wanted=["train"])["train"], arguments)) == ["Rémi", ""]


def test_a_split_that_the_hub_lacks_is_refused(tmp_path):
    (tmp_path / "test.jsonl").write_text('{"text": "one"}')
    arguments = MlmArguments(dataset_name=str(tmp_path))
    with pytest.raises(RecipeError, match="no train split, only test: set train_file or dataset_name"):
        load_articles(arguments, wanted=["train"])


def test_validation_text_alone_is_read_alone(articles_file, tmp_path):
    (tmp_path / "spoilt.txt").write_bytes(b"\xe9")
    arguments = MlmArguments(train_file=[str(tmp_path / "spoilt.txt")], validation_file=[articles_file])
    assert list(load_articles(arguments, wanted=["dev"])) == ["dev"]
    arguments = MlmArguments(train_file=[articles_file], validation_split_percentage=10)
    held = load_articles(arguments, wanted=["dev"])
    assert {split: len(rows) for split, rows in held.items()} == {"dev": 4}


def test_held_out_articles_are_spread_and_not_trained_on(articles_file):
    articles = load_articles(MlmArguments(train_file=[articles_file], validation_split_percentage=10))
    held = [int(text.split()[1]) for text in articles["dev"]["text"]]
    rest = [int(text.split()[1]) for text in articles["train"]["text"]]
    assert held == [0, 10, 20, 30]
    assert sorted(held + rest) == list(range(40))


def test_words_are_joined(tmp_path):
    path = tmp_path / "words.jsonl"
    path.write_text('{"tokens": null}\n{"tokens": ["a", "b"]}\n{"tokens": ["c"]}\n{"tokens": [null]}\n')
    arguments = MlmArguments(train_file=[str(path)], text_column_name="tokens")
    assert load_articles(arguments, wanted=["train"])["train"]["text"] == ["", "a b", "c", ""]


@pytest.mark.parametrize("streaming", [False, True])
def test_documents_of_a_column_file_are_articles(tmp_path, streaming):
    path = tmp_path / "train.conll"
    path.write_text("-DOCSTART- O\n\nOslo B-LOC\nfell O\n\nAgain O\n\n-DOCSTART- O\n\nLima B-LOC\n")
    articles = load_articles(MlmArguments(train_file=[str(path)], streaming=streaming), wanted=["train"])
    assert [row["text"] for row in articles["train"]] == ["Oslo fell\nAgain", "Lima"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "no data"),
        ({"train_file": ["none.txt"]}, "train_file: no file at none.txt"),
        ({"train_file": ["FILE"], "text_column_name": "body"}, "text_column_name: no column 'body'"),
        ({"train_file": ["FILE"], "streaming": True}, "set validation_file"),
        ({"train_file": ["FILE"], "validation_split_percentage": 1}, "leaves one split empty"),
        ({"train_file": ["FILE", "requirements.txt"]}, "files of one kind"),
    ],
)
def test_bad_sources_are_refused(tmp_path, settings, message):
    file = write(tmp_path, ".csv")
    if "train_file" in settings:
        settings = settings | {"train_file": [file if name == "FILE" else name for name in settings["train_file"]]}
    with pytest.raises(RecipeError) as caught:
        load_articles(MlmArguments(**settings))
    assert message in str(caught.value)


@pytest.mark.parametrize("streaming", [False, True])
def test_text_without_blank_lines_has_an_article_on_each_line_unless_told_otherwise(tmp_path, caplog, streaming):
    (tmp_path / "a.txt").write_text("\nrain fell\nschools closed\n\n")
    settings = {"train_file": [str(tmp_path / "a.txt")], "streaming": streaming}

    def read(**more):
        rows = load_articles(MlmArguments(**settings, **more), wanted=["train"])["train"]
        return [row["text"].strip() for row in rows]

    assert read() == ["rain fell", "schools closed"]
    assert "no blank lines: each line is an article" in caplog.text
    assert read(article_separator="blank_line") == ["rain fell\nschools closed"]
    (tmp_path / "a.txt").write_text("rain fell\nschools closed\n\nsnow\n")
    assert read() == ["rain fell\nschools closed", "snow"]
    assert read(article_separator="line_break") == ["rain fell", "schools closed", "snow"]


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize(
    ("name", "content", "message"),
    [  # pyarrow ends the process at the first four
        ("a.jsonl", b'NaN\n{"text": "a"}\n{"text": ["a", "b"]}\n', ":1: "),
        ("a.jsonl", b"null\n", ":1: null, expected an object"),
        ("a.json", b'[null, {"text": "a"}]', ": item 1: null, expected an object"),
        ("a.jsonl", b'{"text": ' + b"[" * 30_000 + b"]" * 30_000 + b"}", ":1: not valid JSON"),
        ("a.json", b'{"text": ' + b"[" * 30_000 + b"]" * 30_000 + b"}", ":1: not valid JSON"),
        ("a.json", b"[" * 30_000 + b"]" * 30_000, ": not valid JSON"),
        ("a.json", b'[{"text": "a"}, {"text": ["b"]}]', ": item 2: 'text' is a list, but text in item 1"),
        ("a.jsonl", b'{"text": "a"}\n{"text": {"a": []}}\n', ":2: 'text' is an object, expected text"),
        ("a.jsonl", b'[{"text": "a"}, 7]', ":1: a list, expected an object"),
        ("a.csv", b"id,text\n" + b"9" * 20 + b",a\n", ": Python int too large"),
        ("a.jsonl", b'{"": 1}', ": text_column_name: no column 'text'"),
        ("a.txt", b"\x1f\x8b", ": damaged gzip data"),
    ],
)
def test_files_that_end_or_confuse_the_reader_of_datasets_are_refused_by_name(
    tmp_path, streaming, name, content, message
):
    (tmp_path / name).write_bytes(content)
    arguments = MlmArguments(train_file=[str(tmp_path / name)], streaming=streaming)
    with pytest.raises(RecipeError) as caught:
        list(read_texts(load_articles(arguments, wanted=["train"])["train"], arguments))
    assert f"{tmp_path / name}{message}" in str(caught.value)


def test_an_archive_that_cannot_be_unpacked_is_refused_by_name(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"PK\x03\x04")
    with pytest.raises(RecipeError, match=r"a\.txt: File is not a zip file"):
        load_articles(MlmArguments(train_file=[str(tmp_path / "a.txt")]), wanted=["train"])


def test_text_that_cannot_be_utf_16_is_refused_by_name(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"ab")  # no byte order mark
    with pytest.raises(RecipeError, match=r"a\.txt: not utf-16 \(.*\): set encoding"):
        check_lines(str(tmp_path / "a.txt"), "utf-16", "text")


def test_columns_of_a_column_file_are_those_of_the_settings(tmp_path):
    (tmp_path / "a.conll").write_text("# note\n1\tOslo\tB-LOC\n2\tfell\tO\n")
    with pytest.raises(RecipeError, match="the words in column 0 are all numbers: set word_column"):
        load_articles(MlmArguments(train_file=[str(tmp_path / "a.conll")], comment_prefix="#"), wanted=["train"])
    arguments = MlmArguments(train_file=[str(tmp_path / "a.conll")], comment_prefix="#", word_column=1)
    assert load_articles(arguments, wanted=["train"])["train"]["text"] == ["Oslo fell"]


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt.gz", b"one, two\n\nthree"),
        ("a.jsonl.gz", b'{"text": "one, two"}\n{"text": "three"}'),
        ("a.ndjson", b'{"text": "one, two"}\n{"text": "three"}'),
        ("A.JSONL", b'\xef\xbb\xbf{"text": "one, two"}\n{"text": "three"}'),
        ("A.TXT", b"one, two\n\nthree"),
        ("a.csv", b"id;text\n1;one, two\n2;three"),
        ("a.csv", b"id\ttext\n1\tone, two\n2\tthree"),
        ("a.csv", b"id,text\n1,\"['one,', 'two']\"\n2,['three']"),
    ],
)
def test_other_endings_separators_and_written_lists_are_read(tmp_path, name, content, streaming):
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    arguments = MlmArguments(train_file=[str(tmp_path / name)], streaming=streaming)
    articles = load_articles(arguments, ["train"], str(tmp_path))
    assert [row["text"].strip() for row in articles["train"]] == ["one, two", "three"]


@pytest.mark.parametrize("streaming", [False, True])
def test_damaged_and_unlike_files_are_refused(tmp_path, streaming):
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"one two\nthree four\n" * 99)[:-20])
    (tmp_path / "a.csv").write_text("id;text\n1;one")
    (tmp_path / "b.csv").write_text("id,text\n1,one")
    for pattern, message in [("*.gz", r"a\.txt\.gz: damaged gzip data"), ("*.csv", r"separates cells by ';', but")]:
        arguments = MlmArguments(train_file=[str(tmp_path / pattern)], streaming=streaming)
        with pytest.raises(RecipeError, match=message):
            load_articles(arguments, ["train"], str(tmp_path))


def test_a_long_document_fits_into_a_cell(tmp_path):
    (tmp_path / "a.csv").write_text(f'text\n"{"one, two " * 20_000}"\nthree\n')
    arguments = MlmArguments(train_file=[str(tmp_path / "a.csv")])
    assert [len(row["text"]) for row in load_articles(arguments, ["train"], str(tmp_path))["train"]] == [180_000, 5]

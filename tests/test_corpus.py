import json

import datasets
import pytest

from recipe.arguments import MlmArguments
from recipe.data.articles import load_articles, name_source, read_texts
from recipe.errors import RecipeError
from recipe.inputs.blocks import build_blocks, pack_blocks
from recipe.inputs.masking import draw_masks

SEP = 0


@pytest.mark.parametrize(
    ("articles", "size", "blocks"),
    [
        ([], 4, []),
        ([[]], 4, []),
        ([[1, 2]], 4, [[1, 2]]),
        ([[1, 2], [3]], 4, [[1, 2, SEP, 3]]),
        ([[1, 2, 3, 4, 5]], 2, [[1, 2], [3, 4], [5]]),
        ([[1, 2, 3], [4, 5]], 4, [[1, 2, 3], [4, 5]]),  # room for a separator only
        ([[1, 2, 3, 4], [5]], 4, [[1, 2, 3, 4], [5]]),
        ([[1], [], [2]], 4, [[1, SEP, 2]]),
        ([[1], [2, 3, 4, 5]], 4, [[1, SEP, 2, 3], [4, 5]]),
    ],
)
def test_pack_blocks(articles, size, blocks):
    assert list(pack_blocks(articles, size, SEP)) == blocks


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


@pytest.mark.parametrize(("suffix", "content"), [(".txt", "\n \n"), (".jsonl", '{"text": ""}\n')])
def test_validation_text_without_tokens_is_refused_by_name(tmp_path, tokenizer, articles_file, suffix, content):
    path = tmp_path / f"blank{suffix}"
    path.write_text(content)
    arguments = MlmArguments(train_file=[articles_file], validation_file=[str(path)])
    with pytest.raises(RecipeError, match=rf"validation_file: {path}: no .*check what it holds"):
        build_blocks(load_articles(arguments)["dev"], tokenizer, arguments, name_source(arguments, "dev"))


def test_streamed_text_of_the_hub_is_evaluated_on_a_fixed_set(tmp_path, tokenizer):
    rows = [json.dumps({"text": f"article {number}"}) for number in range(9)]
    (tmp_path / "train.jsonl").write_text("\n".join(rows))
    (tmp_path / "validation.jsonl").write_text("\n".join(rows[:5]))
    arguments = MlmArguments(dataset_name=str(tmp_path), streaming=True, max_eval_samples=3, block_size=16)
    articles = load_articles(arguments)
    assert isinstance(articles["train"], datasets.IterableDataset)
    assert list(articles["dev"]["text"]) == ["article 0", "article 1", "article 2"]
    blocks = draw_masks(build_blocks(articles["dev"], tokenizer, arguments), tokenizer, arguments)
    assert {"input_ids", "labels"} <= set(blocks.column_names)


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
    with pytest.raises(RecipeError, match="no split train, but test: set train_file or dataset_name"):
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
        ({"train_file": ["FILE"], "streaming": True}, "name validation_file"),
        ({"train_file": ["FILE"], "validation_split_percentage": 1}, "leaves one side empty"),
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
def test_blocks_hold_every_token_once_between_special_tokens(tokenizer, articles_file, streaming):
    arguments = MlmArguments(train_file=[articles_file], block_size=32, streaming=streaming)
    articles = load_articles(arguments, wanted=["train"])["train"]
    blocks = [row["input_ids"] for row in build_blocks(articles, tokenizer, arguments)]
    cls, sep = tokenizer.cls_token_id, tokenizer.sep_token_id
    assert all(len(block) <= 32 and block[0] == cls and block[-1] == sep and cls not in block[1:] for block in blocks)
    assert sum(len(block) < 31 for block in blocks) <= 1
    found = [i for block in blocks for i in block if i not in (cls, sep)]
    expected = tokenizer([row["text"] for row in articles], add_special_tokens=False).input_ids
    assert found == [i for ids in expected for i in ids]


def test_block_size_must_leave_room(tokenizer, articles_file):
    arguments = MlmArguments(train_file=[articles_file], block_size=2)
    with pytest.raises(RecipeError, match="block_size"):
        build_blocks(load_articles(arguments)["train"], tokenizer, arguments)

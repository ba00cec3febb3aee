import json

import datasets
import pytest

from recipe.arguments import NerArguments
from recipe.data.conll import write_conll
from recipe.data.documents import Document, Sentence, list_sentences, list_tags
from recipe.data.splits import check_labels, find_files, limit_sentences, list_labels, load_splits
from recipe.errors import RecipeError


def write_rows(path, rows):
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return [str(path)]


def test_folder_holds_three_splits_of_two_documents(column_files):
    splits = load_splits(NerArguments(data_dir=str(column_files)))
    assert {name: len(documents) for name, documents in splits.items()} == {"train": 2, "dev": 2, "test": 2}
    assert list_tags(splits["train"])[2] == ["O", "B-MISC", "O", "B-LOC", "B-LOC"]


@pytest.mark.parametrize(
    "names",
    [
        ("eng.train", "eng.testa", "eng.testb"),
        ("train.txt", "valid.txt", "test.txt"),
        ("train.conll", "dev.conll", "test.conll"),
    ],
)
def test_find_files(tmp_path, names):
    for name in (*names, "README.md", "train.txt.bak"):
        (tmp_path / name).touch()
    expected = {split: [str(tmp_path / name)] for split, name in zip(("train", "dev", "test"), names, strict=True)}
    assert find_files(str(tmp_path)) == expected


def test_find_files_refuses_what_is_missing_or_ambiguous(tmp_path):
    with pytest.raises(RecipeError, match="no folder"):
        find_files(str(tmp_path / "none"))
    with pytest.raises(RecipeError, match="no files of entities in"):
        find_files(str(tmp_path))
    (tmp_path / "dev.txt").touch()
    (tmp_path / "valid.txt").touch()
    with pytest.raises(RecipeError, match="look like dev"):
        find_files(str(tmp_path))


def test_single_files_globs_and_limits(column_files):
    arguments = NerArguments(
        data_dir=str(column_files),
        train_file=[str(column_files / "t*.txt")],
        max_train_samples=4,
        max_predict_samples=1,
    )
    splits = load_splits(arguments)
    limited = limit_sentences(splits, arguments)
    assert [len(d.sentences) for d in limited["train"]] == [2, 1, 1]  # test.txt, then train.txt
    assert len(list_sentences(limited["test"])) == 1
    assert limited["dev"] == splits["dev"]
    arguments.extra_train_file = [str(column_files / "valid.txt")]
    assert load_splits(arguments)["train"] == splits["train"] + splits["dev"]
    with pytest.raises(RecipeError, match="test_file: no file at"):
        load_splits(NerArguments(test_file=["nowhere/*.txt"]), ["test"])
    with pytest.raises(RecipeError, match="no data"):
        load_splits(NerArguments())


def test_files_that_the_recipe_wrote_are_added_whatever_the_columns_of_the_others(tmp_path):
    (tmp_path / "train.txt").write_bytes("1 Málaga B-LOC x\n".encode("latin-1"))
    arguments = NerArguments(data_dir=str(tmp_path), encoding="latin-1", word_column=1, tag_column=2)
    documents = load_splits(arguments, ["train"])["train"]
    write_conll(tmp_path / "predictions.conll", documents, [["O"]])
    arguments.extra_train_file = [str(tmp_path / "predictions.conll")]
    train = list_sentences(load_splits(arguments, ["train"])["train"])
    assert [(sentence.words, sentence.tags) for sentence in train] == [(["Málaga"], ["B-LOC"]), (["Málaga"], ["O"])]
    write_conll(tmp_path / "predictions.conll", documents, [["I-LOC"]])  # as a word's best tag may be
    assert list_tags(load_splits(arguments, ["train"])["train"])[1] == ["B-LOC"]


def test_jsonl(tmp_path):
    rows = [{"tokens": ["a", "b"], "ner_tags": ["I-X", "O"]}, {"tokens": ["c"], "ner_tags": ["O"]}]
    splits = load_splits(NerArguments(train_file=write_rows(tmp_path / "rows.jsonl", rows)), ["train"])
    assert list_tags(splits["train"]) == [["B-X", "O"], ["O"]]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"tokens": ["a"]}, "expected a list of words in 'tokens' and a list of tags in"),
        ({"tokens": ["a"], "ner_tags": ["O", "O"]}, "1 words but 2 tags"),
        ({"tokens": ["a"], "ner_tags": ["person"]}, "not a tag"),
        ({"tokens": ["a"], "ner_tags": [3]}, "'3' is not a tag"),
        ({"tokens": ["a", None], "ner_tags": ["O", "O"]}, "expected a list of words in 'tokens' and a list of tags"),
    ],
)
def test_bad_jsonl_is_refused_with_its_line(tmp_path, row, message):
    with pytest.raises(RecipeError, match=r"rows.jsonl:1") as caught:
        load_splits(NerArguments(train_file=write_rows(tmp_path / "rows.jsonl", [row])), ["train"])
    assert message in str(caught.value)


def test_hub_class_labels_come_from_the_data(tmp_path):
    """The order of the names is unusual on purpose: assuming CoNLL-2003's would turn persons into places."""
    names = ["B-LOC", "O", "I-PER", "B-PER", "I-LOC"]
    features = datasets.Features(
        {"tokens": datasets.List(datasets.Value("string")), "ner_tags": datasets.List(datasets.ClassLabel(names=names))}
    )
    rows = {"tokens": [["-DOCSTART-"], ["Ana", "Sol"], ["-DOCSTART-"], ["Rome"]], "ner_tags": [[1], [3, 2], [1], [0]]}
    split = datasets.Dataset.from_dict(rows, features=features)
    for name in ("train", "validation"):
        split.to_parquet(tmp_path / f"{name}.parquet")
    splits = load_splits(NerArguments(dataset_name=str(tmp_path)), ["train", "dev"])
    assert list_tags(splits["dev"]) == [["B-PER", "I-PER"], ["B-LOC"]]
    assert len(splits["train"]) == 2
    broken = [(["Ana", None], [3, 1]), (None, [3]), (["Ana"], None), (["Ana"], [None])]
    for words, tags in broken:
        datasets.Dataset.from_dict({"tokens": [words], "ner_tags": [tags]}, features).to_parquet(
            tmp_path / "test.parquet"
        )
        with pytest.raises(RecipeError, match=r"/test:1: "):
            load_splits(NerArguments(dataset_name=str(tmp_path)), ["test"])
    hidden = datasets.Dataset.from_dict({"tokens": [["Ana"], ["Sol"]], "ner_tags": [[3], [-1]]}, features=features)
    hidden.to_parquet(tmp_path / "test.parquet")
    with pytest.raises(RecipeError, match=r"/test:2: Invalid integer class label -1: do not use this split"):
        load_splits(NerArguments(dataset_name=str(tmp_path)), ["test"])
    with pytest.raises(RecipeError, match="label_column_name: no column 'tags'"):
        load_splits(NerArguments(dataset_name=str(tmp_path), label_column_name="tags"), ["train"])
    split.add_column("id", range(4)).to_parquet(tmp_path / "train.parquet")
    for key in ("label_column_name", "text_column_name"):
        with pytest.raises(
            RecipeError, match=f"{key}: the column 'id' has no lists: set another one of tokens, ner_tags"
        ):
            load_splits(NerArguments(dataset_name=str(tmp_path), **{key: "id"}), ["train"])


def test_labels_come_in_pairs_after_o(column_files):
    documents = load_splits(NerArguments(data_dir=str(column_files)))["train"]
    kinds = ("LOC", "MISC", "ORG", "PER")
    assert list_labels(documents) == ["O", *(f"{prefix}-{kind}" for kind in kinds for prefix in "BI")]


def test_training_data_without_an_entity_are_refused():
    with pytest.raises(RecipeError, match="no entities in the training data, every tag is O"):
        list_labels([Document([Sentence(["Oslo"], ["O"])])])


def test_unknown_tags_and_missing_splits_are_refused(column_files):
    splits = load_splits(NerArguments(data_dir=str(column_files)), ["dev"])
    with pytest.raises(RecipeError, match=r"valid.txt:3: .* B-LOC"):
        check_labels(splits, ["O", "B-PER", "I-PER"])
    train_only = NerArguments(train_file=[str(column_files / "train.txt")])
    with pytest.raises(RecipeError, match="no test data: set test_file, or switch off do_predict"):
        load_splits(train_only, ["train", "test"])
    with pytest.raises(RecipeError, match="nothing to do"):
        load_splits(train_only, [])

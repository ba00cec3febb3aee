"""Where a run's weights and data are said to come from."""

import re
import subprocess

import pytest

from conftest import fill
from recipe.arguments import MlmArguments, NerArguments
from recipe.errors import RecipeError
from recipe.hub.provenance import find_commit, name_data, trace_origin
from recipe.model.settings import ModelArguments


def test_local_data_and_models_are_claimed_to_be_of_no_hub(tmp_path):
    model = ModelArguments(model_name_or_path=str(tmp_path))
    data = NerArguments(dataset_name="eriktks/conll2003", data_dir="here")
    assert trace_origin(model, data) == {"base_model": None, "dataset": None, "datasets": []}
    data = MlmArguments(dataset_name="owner/text", train_file=["text.txt"])
    assert trace_origin(ModelArguments(model_type="bert"), data)["datasets"] == []
    data = MlmArguments(dataset_name="text")  # a builder of datasets, not a data set
    assert trace_origin(model, data)["datasets"] == []


def test_hub_data_and_models_are_named():
    model = ModelArguments(model_name_or_path="google-bert/bert-base-cased")
    data = MlmArguments(dataset_name="owner/text", validation_file=["mine.txt"])
    assert trace_origin(model, data) == {
        "base_model": "google-bert/bert-base-cased",
        "dataset": None,  # the figures are those of mine.txt
        "datasets": ["owner/text"],
    }
    scored = trace_origin(model, NerArguments(dataset_name="owner/text"), training=False)
    assert (scored["dataset"], scored["datasets"]) == ("owner/text", [])
    assert trace_origin(model, NerArguments(dataset_name="owner/text", test_file=["mine.txt"]))["dataset"] is None


@pytest.mark.parametrize("record", ["- a", "base_model: 1", "datasets: a", "datasets: [{a: b}]"])
def test_an_origin_that_is_no_name_is_refused_by_file(tmp_path, record):
    (tmp_path / "run.yaml").write_text(record)
    with pytest.raises(RecipeError, match=r"run\.yaml: "):
        trace_origin(ModelArguments(model_name_or_path=str(tmp_path)), NerArguments())


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (NerArguments(dataset_name="owner/text", data_dir="my/folder"), "folder"),
        (NerArguments(data_dir="my/folder/", test_file=["b.conll"]), "folder"),
        (NerArguments(dataset_name="owner/text", data_dir="my/folder", train_file=["a.conll"]), "files"),
        (NerArguments(dataset_name="owner/text", test_file=["b.conll"]), "files"),
        (NerArguments(dataset_name="owner/text"), "text"),
        (MlmArguments(dataset_name="owner/text", validation_file=["b.txt"]), "text"),
        (MlmArguments(dataset_name="owner/text", train_file=["a.txt"]), "files"),
        (MlmArguments(validation_file=["b.txt"]), "files"),
    ],
)
def test_data_are_called_by_what_was_read(data, name):
    assert name_data(data) == name


def test_the_working_folder_has_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert name_data(NerArguments(data_dir=".")) == tmp_path.name


def test_the_embedded_encoder_is_known_by_its_name_on_the_hub():
    model = ModelArguments(model_name_or_path="minilm-l6")
    assert trace_origin(model, NerArguments())["base_model"] == "sentence-transformers/all-MiniLM-L6-v2"


def test_a_commit_is_dirty_if_something_else_than_results_has_changed(tmp_path):
    assert find_commit(tmp_path) == "unknown"
    fill(tmp_path, code="1", results__a="1")
    for command in ("init -q", "add .", "-c user.name=a -c user.email=a commit -qm one"):
        subprocess.run(["git", *command.split()], cwd=tmp_path, check=True)
    head = find_commit(tmp_path)
    assert re.fullmatch("[0-9a-f]{10}", head)
    fill(tmp_path, results__a="2", results__b="2")
    assert find_commit(tmp_path) == head
    fill(tmp_path, code="2")
    assert find_commit(tmp_path) == f"{head}-dirty"

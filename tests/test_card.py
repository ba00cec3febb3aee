"""The model card of runs whose folders are written by hand."""

import json
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard

from hub_server import check_metadata
from recipe.arguments import MlmArguments, NerArguments
from recipe.errors import RecipeError
from recipe.hub.card import render_card
from recipe.hub.provenance import name_data, trace_origin
from recipe.model.settings import ModelArguments

ROOT = Path(__file__).parents[1]
ROW = {"precision": 0.5, "recall": 0.25, "f1": 1 / 3, "support": 4}
FACTS = {
    "config": "configs/ner/x.yaml",
    "model": "bert-base-cased",
    "data": "conll2003",
    "seed": 7,
    "commit": "0123456789",
    "hardware": "a processor, 2 threads",
    "processes": 1,
    "precision": "fp32",
    "train_minutes": 1.5,
    "total_minutes": 2.5,
    "versions": {"torch": "2.13.0"},
    "command": "accelerate launch run_ner.py --config configs/ner/x.yaml",
}


def write_run(folder, settings=None, history=(), scores=None, normalizer=None, **facts):
    """A run's folder without weights."""
    config = {"architectures": ["BertForTokenClassification"], "model_type": "bert"}
    config["id2label"] = {"0": "O", "1": "B-LOC", "2": "I-LOC"}
    files = {
        "config.json": config,
        "tokenizer.json": {"normalizer": normalizer},
        "trainer_state.json": {"log_history": list(history)},
        "report.json": scores or {},
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))
    (folder / "run.yaml").write_text(yaml.safe_dump({"settings": settings or {}} | FACTS | facts))
    return folder


def test_metadata_name_hub_data_and_model_where_they_were_used(tmp_path):
    write_run(
        tmp_path,
        settings={"dataset_revision": "refs/convert/parquet"},
        scores={"test": {"entities": {"micro avg": ROW}, "tags": {"B-LOC": ROW}}, "run": {}},
        base_model="google-bert/bert-base-cased",
        dataset="eriktks/conll2003",
        datasets=["eriktks/conll2003"],
    )
    card = render_card(tmp_path, "mara/tagger")
    assert check_metadata(str(card)) == []
    data = ModelCard(str(card)).data
    assert data.base_model == "google-bert/bert-base-cased"
    assert data.datasets == ["eriktks/conll2003"]
    assert data.license is None
    assert data.language is None
    [precision, recall, f1] = data.eval_results
    assert (precision.metric_value, recall.metric_value, f1.metric_value) == (0.5, 0.25, 1 / 3)
    assert (f1.dataset_type, f1.dataset_revision, f1.dataset_split) == (
        *("eriktks/conll2003", "refs/convert/parquet"),
        "test",
    )


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


def test_an_earlier_stage_passes_on_where_its_weights_come_from(tmp_path):
    write_run(tmp_path, base_model="owner/encoder", datasets=["owner/text"])
    model = ModelArguments(model_name_or_path=str(tmp_path))
    origin = trace_origin(model, NerArguments(dataset_name="owner/entities"))
    assert origin == {
        "base_model": "owner/encoder",
        "dataset": "owner/entities",
        "datasets": ["owner/entities", "owner/text"],
    }


def test_the_embedded_encoder_is_known_by_its_name_on_the_hub():
    model = ModelArguments(model_name_or_path="minilm-l6")
    assert trace_origin(model, NerArguments())["base_model"] == "sentence-transformers/all-MiniLM-L6-v2"


def test_settings_that_were_changed_are_listed(tmp_path):
    settings = {"max_seq_length": 512, "context": "none", "learning_rate": 3e-4, "seed": 42, "hub_token": "<HUB_TOKEN>"}
    settings |= {"pack_batches": False, "context_size": 0}
    text = str(render_card(write_run(tmp_path, settings), "mara/tagger"))
    changed = "context: none\ncontext_size: 0\nlearning_rate: 0.0003\npack_batches: false\n"
    assert f"```yaml\n{changed}```" in text
    assert FACTS["command"] in text


def test_the_learning_curve_is_thinned_out_and_keeps_its_end_and_all_evaluations(tmp_path):
    history = [{"step": step, "epoch": step / 100, "loss": 100.0 - step} for step in range(1, 101)]
    history += [{"step": step, "epoch": step / 100, "eval_loss": 1.5, "eval_f1": step / 100} for step in (50, 100)]
    text = str(render_card(write_run(tmp_path, history=history), "mara/tagger"))
    curve = text.split("## Learning curve")[1].split("##")[0].strip().splitlines()
    assert curve[0] == "| step | epoch | training loss | validation loss | dev F1 |"
    assert len(curve) <= 2 + 12 + 2
    assert curve[-1] == "| 100 | 1.00 | 0.000 | 1.500 | 1.000 |"
    assert any(line.startswith("| 50 |") and line.endswith("| 1.500 | 0.500 |") for line in curve)


@pytest.mark.parametrize(
    ("normalizer", "word"),
    [
        ({"type": "BertNormalizer", "lowercase": True}, "uncased"),
        ({"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Lowercase"}]}, "uncased"),
        ({"type": "BertNormalizer", "lowercase": False}, "cased"),
        (None, "cased"),
        (
            {"type": "Sequence", "normalizers": [{"content": "[unused1]"}, {"lowercase": True}]},
            "uncased, but [unused1] stands before each capitalised word",
        ),
    ],
)
def test_the_card_tells_whether_the_model_is_cased(tmp_path, normalizer, word):
    assert f"- Case: {word}" in str(render_card(write_run(tmp_path, normalizer=normalizer), "mara/tagger"))


def test_the_card_tells_what_was_trained_on_and_what_only_scored(tmp_path):
    extra = {"do_train": True, "extra_train_file": ["runs/ner/silver/predictions.conll"], "max_eval_samples": 10}
    scores = {"dev": {"entities": {"micro avg": ROW}, "tags": {"B-LOC": ROW}}}
    text = str(render_card(write_run(tmp_path, extra, scores=scores, resumed=True), "mara/tagger"))
    assert "trained on conll2003 and silver/predictions.conll." in text
    assert "The first sentences of a split are scored." in text
    assert "2.5 in all (in several starts)" in text
    text = str(render_card(write_run(tmp_path, {"do_train": False}, scores=scores), "mara/tagger"))
    assert "scored on conll2003." in text
    assert "Every word of a split is scored." in text
    assert "resumed" not in text
    settings = {"do_train": False, "test_file": ["corpora/other/b.conll"]}
    scores = {"test": scores["dev"]}
    card = render_card(write_run(tmp_path, settings, scores=scores, data="conll2003"), "mara/tagger")
    assert "scored on other/b.conll." in str(card)
    assert card.data.eval_results[0].dataset_name == "other/b.conll"
    assert card.data.eval_results[0].dataset_type == "local"  # what stands there is taken for a data set of the Hub
    settings = {"do_train": True, "train_file": ["mine/a.conll"], "data_dir": "corpora/conll2003"}
    card = render_card(write_run(tmp_path, settings, scores=scores, data="files"), "mara/tagger")
    assert "trained on mine/a.conll." in str(card)
    assert card.data.eval_results[0].dataset_name == "conll2003"


def test_a_checkpoint_has_the_facts_of_the_run_that_it_lies_in(tmp_path):
    write_run(tmp_path, {"hub_license": "mit"}, base_model="owner/encoder", datasets=["owner/text"])
    (tmp_path / "checkpoint-9").mkdir()
    write_run(tmp_path / "checkpoint-9")
    (tmp_path / "checkpoint-9" / "run.yaml").unlink()
    data = render_card(tmp_path / "checkpoint-9", "mara/tagger").data
    assert (data.license, data.base_model, data.datasets) == ("mit", "owner/encoder", ["owner/text"])
    origin = trace_origin(ModelArguments(model_name_or_path=str(tmp_path / "checkpoint-9")), MlmArguments())
    assert (origin["base_model"], origin["datasets"]) == ("owner/encoder", ["owner/text"])


def test_what_is_not_recorded_is_not_made_up(tmp_path):
    write_run(tmp_path)
    (tmp_path / "run.yaml").unlink()
    text = str(render_card(tmp_path, "mara/tagger"))
    assert check_metadata(text) == []
    assert "## Training\n\nNot recorded." in text
    assert "None: this is an intermediate checkpoint" in text
    assert "No licence is declared" in text


def test_the_note_on_the_data_stands_in_the_card(tmp_path):
    text = str(render_card(write_run(tmp_path, {"hub_data_note": "letters of 1820"}), "mara/tagger"))
    assert "Domain and year of the data: letters of 1820." in text


@pytest.mark.parametrize("spoilt", ["settings:\n  hub_language: no: en\n", "settings: {\n", "\x00"])
def test_a_record_spoilt_by_hand_is_named(tmp_path, spoilt):
    (write_run(tmp_path) / "run.yaml").write_text(spoilt)
    with pytest.raises(RecipeError, match=f"^{tmp_path}/run.yaml: .*: mend it$"):
        render_card(tmp_path, "mara/tagger")


def test_the_same_folder_makes_the_same_card(tmp_path):
    write_run(tmp_path)
    assert str(render_card(tmp_path, "mara/tagger")) == str(render_card(tmp_path, "mara/tagger"))

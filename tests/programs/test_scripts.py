"""Each script's `main`, from its settings to the files it leaves behind."""

import json
import math

import pytest
import torch
import yaml
from transformers import AutoModelForMaskedLM, AutoModelForTokenClassification, AutoTokenizer, pipeline

import run_mlm
import run_ner
from recipe.data.conll import read_columns, read_conll
from recipe.data.documents import list_tags
from recipe.errors import RecipeError
from recipe.evaluation.filled import read_filled
from recipe.evaluation.scoring import score_file
from recipe.hub.report import make_report
from recipe.inference.filler import Filler
from recipe.inference.recovery import EXAMPLES
from recipe.model.objective import Pretraining


def as_flags(**settings):
    return [f"--{name}={value}" for name, value in settings.items()]


@pytest.fixture(scope="module")
def ner_folder(encoder, column_files, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ner")
    run_ner.main(
        as_flags(
            model_name_or_path=encoder,
            data_dir=column_files,
            output_dir=folder,
            max_seq_length=64,
            do_train=True,
            do_eval=True,
            do_predict=True,
            num_train_epochs=80,
            learning_rate=5e-3,
            save_strategy="no",
            disable_tqdm=True,
        )
    )
    return folder


def test_ner_learns_and_reports(ner_folder):
    report = json.loads((ner_folder / "report.json").read_text())
    assert list(report) == ["dev", "test", "run"]
    assert list(report["test"]["entities"]) == ["LOC", "MISC", "ORG", "PER", "micro avg", "macro avg", "weighted avg"]
    assert report["test"]["entities"]["micro avg"]["support"] == 6
    assert report["test"]["tags"]["O"]["support"] == 7
    assert report["test"]["entities"]["micro avg"]["f1"] == 1.0  # test repeats train: the model has learnt it
    assert "== test ==" in (ner_folder / "report.txt").read_text()


def test_ner_predictions_keep_order_and_documents(ner_folder, column_files):
    gold = read_conll(column_files / "test.txt")
    assert read_columns(ner_folder / "predictions" / "test.conll", tag_column=1) == gold
    assert list_tags(read_columns(ner_folder / "predictions" / "test.conll", tag_column=2)) == list_tags(gold)
    report = json.loads((ner_folder / "report.json").read_text())
    assert list(report["test"]) == ["entities", "tags", "documents", "alone", "running_text"]
    assert report["test"] == score_file(ner_folder / "predictions" / "test.conll") | {
        part: report["test"][part] for part in ("alone", "running_text")
    }


def test_ner_writes_the_page_of_the_run_and_its_figures(ner_folder):
    page = (ner_folder / "report.html").read_text()
    for text in ("Okello", "Calibration", "Seen in training"):
        assert text in page
    assert "left out" not in page
    figures = json.loads((ner_folder / "analysis.json").read_text())
    assert figures["test"]["kinds"]["correct"] == 6
    assert figures["test"]["buckets"]["seen in training"]["seen"]["support"] == 6
    assert figures["test"]["calibration"]["count"] == 6
    assert "Okello" not in json.dumps(figures)
    made = make_report(ner_folder)
    assert (made.page, made.figures) == (page, figures)


def test_scoring_alone_does_not_replace_the_results_of_a_training(ner_folder, column_files, tmp_path):
    settings = {"model_name_or_path": ner_folder, "data_dir": column_files, "max_seq_length": 64, "do_predict": True}
    before = {path.name: path.read_bytes() for path in ner_folder.iterdir() if path.is_file()}
    with pytest.raises(RecipeError, match="contains a training: to score a model, set another output_dir"):
        run_ner.main(as_flags(**settings, output_dir=ner_folder))
    assert {path.name: path.read_bytes() for path in ner_folder.iterdir() if path.is_file()} == before
    for _ in range(2):  # what was only scored may be scored again
        run_ner.main(as_flags(**settings, output_dir=tmp_path))
    (tmp_path / "checkpoint-2").mkdir()  # of a training that was interrupted
    with pytest.raises(RecipeError, match="contains a training"):
        run_ner.main(as_flags(**settings, output_dir=tmp_path))


def test_run_yaml_tells_settings_and_circumstances(ner_folder, encoder):
    run = yaml.safe_load((ner_folder / "run.yaml").read_text())
    assert run["settings"]["model_name_or_path"] == encoder
    assert run["settings"]["learning_rate"] == 5e-3
    assert {"commit", "hardware", "seed", "train_minutes", "versions", "processes", "precision"} <= run.keys()


def test_a_push_leaves_the_text_of_the_data_out(ner_folder):
    assert {"predictions/", "report.html"} <= set((ner_folder / ".gitignore").read_text().splitlines())


def test_ner_checkpoint_is_a_standard_one(ner_folder):
    model = AutoModelForTokenClassification.from_pretrained(ner_folder)
    assert model.config.id2label[0] == "O"
    tagger = pipeline("token-classification", str(ner_folder), aggregation_strategy="first")
    text = "Mara Okello left Oslo ."
    found = [(entity["entity_group"], text[entity["start"] : entity["end"]]) for entity in tagger(text)]
    assert found == [("PER", "Mara Okello"), ("LOC", "Oslo")]


def test_ner_predicts_from_a_checkpoint_alone(ner_folder, column_files, tmp_path):
    run_ner.main(
        as_flags(
            model_name_or_path=ner_folder,
            test_file=column_files / "test.txt",
            output_dir=tmp_path,
            max_seq_length=32,
            context="none",
            do_predict=True,
            disable_tqdm=True,
        )
    )
    assert list(json.loads((tmp_path / "report.json").read_text())) == ["test", "run"]


def mlm_flags(articles_file, folder, **more):
    settings = {
        "train_file": articles_file,
        "output_dir": folder,
        "block_size": 32,
        "validation_split_percentage": 25,
        "do_train": True,
        "do_eval": True,
        "max_steps": 4,
        "save_strategy": "no",
        "disable_tqdm": True,
    }
    return as_flags(**settings | more)


def check_mlm(folder):
    metrics = json.loads((folder / "metrics.json").read_text())["dev"]
    assert metrics["perplexity"] == pytest.approx(math.exp(metrics["loss"]))
    assert 0 <= metrics["masked_accuracy"] <= 1
    assert metrics["masked_tokens"] > 0
    for rows in metrics["breakdown"].values():
        assert sum(row["tokens"] for row in rows.values()) == metrics["masked_tokens"]
    page = (folder / "report.html").read_text()
    assert 'id="tokens"' in page
    examples = read_filled(folder, "dev")
    assert 5 <= len(examples) <= EXAMPLES  # the text is small
    assert page.count("recovered</b>") == len(examples)
    filler = pipeline("fill-mask", str(folder))
    assert len(filler(f"article {filler.tokenizer.mask_token} tells")) == 5


def test_mlm_evaluates_without_training_text(encoder, articles_file, tmp_path):
    settings = {"model_name_or_path": encoder, "validation_file": articles_file, "block_size": 32, "do_eval": True}
    for streaming in (False, True):
        run_mlm.main(as_flags(**settings, output_dir=tmp_path, streaming=streaming))
        metrics = json.loads((tmp_path / "metrics.json").read_text())["dev"]
        assert metrics["masked_tokens"] > 0
        assert list(metrics["breakdown"]) == ["part"]  # nothing was trained on


def test_mlm_continues_a_checkpoint(encoder, articles_file, tmp_path):
    run_mlm.main(mlm_flags(articles_file, tmp_path, model_name_or_path=encoder))
    check_mlm(tmp_path)


def test_the_trained_tokens_are_those_of_batches_that_are_not_full(encoder, articles_file, tmp_path, capsys):
    more = {"model_name_or_path": encoder, "per_device_train_batch_size": 1000}
    run_mlm.main(mlm_flags(articles_file, tmp_path, **more))
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    trained = json.loads((tmp_path / "config.json").read_text())["masked_lm"]["trained_tokens"]
    assert trained == pytest.approx(last["tokens_per_second"] * last["train_seconds"], rel=0.1)
    assert 0 < trained < 4 * 1000 * 32


@pytest.mark.parametrize(("tokenizer_type", "model_type"), [("wordpiece", "bert"), ("bpe", "roberta")])
def test_mlm_starts_from_scratch(articles_file, tmp_path, tokenizer_type, model_type):
    overrides = "hidden_size=32,num_hidden_layers=1,num_attention_heads=2,intermediate_size=32"
    run_mlm.main(
        mlm_flags(
            articles_file,
            tmp_path,
            model_type=model_type,
            config_overrides=overrides,
            tokenizer_type=tokenizer_type,
            vocab_size=300,
            lowercase=True,
        )
    )
    check_mlm(tmp_path)
    assert len(AutoTokenizer.from_pretrained(tmp_path)) <= 300


def test_mlm_streams(encoder, articles_file, tmp_path, capsys):
    more = {"model_name_or_path": encoder, "streaming": True, "validation_file": articles_file}
    run_mlm.main(mlm_flags(articles_file, tmp_path, **more))
    check_mlm(tmp_path)
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last["tokens_per_second"] == pytest.approx(4 * 8 * 32 / last["train_seconds"], rel=0.1)


@pytest.mark.parametrize("start", ["mlm", "mlm/checkpoint-4"])
def test_ner_starts_from_an_mlm_checkpoint(encoder, articles_file, column_files, tmp_path, start):
    more = {"model_name_or_path": encoder, "do_eval": False, "save_strategy": "steps", "save_steps": 4}
    run_mlm.main(mlm_flags(articles_file, tmp_path / "mlm", **more))
    flags = as_flags(
        model_name_or_path=tmp_path / start,
        data_dir=column_files,
        output_dir=tmp_path / "ner",
        max_seq_length=32,
        do_train=True,
        do_eval=True,
        max_steps=1,
        disable_tqdm=True,
    )
    run_ner.main(flags)
    report = json.loads((tmp_path / "ner" / "report.json").read_text())
    assert report["run"]["model"] == start  # of a checkpoint, whose it is


def test_mlm_with_the_autoregressive_objective_is_used_as_it_was_trained(encoder, articles_file, tmp_path, capsys):
    flags = {"objective": "masked_autoregressive", "model_name_or_path": encoder}
    run_mlm.main(mlm_flags(articles_file, tmp_path / "first", **flags))
    run = yaml.safe_load((tmp_path / "first" / "run.yaml").read_text())["settings"]
    assert (run["mask_replace_prob"], run["random_replace_prob"]) == (1.0, 0.0)
    filler = Filler.load(tmp_path / "first", "fp32")
    assert filler.pretraining == Pretraining("masked_autoregressive", False, 4 * 8 * 32)
    left, right = (filler(text, mask_words=[2]) for text in ("article 3 tells of port", "article 3 ends its"))
    assert left.predictions[0].candidates == right.predictions[0].candidates  # what lies to the right is not seen
    stock = AutoModelForMaskedLM.from_pretrained(tmp_path / "first")
    for one, other in zip(stock.parameters(), filler.model.parameters(), strict=True):
        assert torch.equal(one, other)
    run_mlm.main(mlm_flags(articles_file, tmp_path / "second", model_name_or_path=tmp_path / "first"))
    assert Filler.load(tmp_path / "second").pretraining == Pretraining("masked_autoregressive", False, 2 * 4 * 8 * 32)
    run_mlm.main(
        mlm_flags(articles_file, tmp_path / "third", model_name_or_path=tmp_path / "first", objective="masked")
    )
    assert not Filler.load(tmp_path / "third").pretraining.is_causal

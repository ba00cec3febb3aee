"""A finished model, used as it was scored: from raw text, from words and from documents."""

import json
import math
import os
import shutil
import subprocess
import sys
from dataclasses import asdict, replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForTokenClassification, PreTrainedConfig

import recipe
import run_ner
from conftest import ROOT, make_tagger_folder, make_tokenizer
from recipe.data.conll import read_conll
from recipe.data.documents import list_sentences
from recipe.errors import RecipeError
from recipe.inference.settings import TaggerSettings, read_settings
from recipe.inference.tagger import Tagger
from recipe.inputs.case_markers import MARKERS, add_case_markers, find_markers
from recipe.inputs.tokenizer import load_tokenizer
from recipe.model.settings import ModelArguments

ODD = st.lists(st.sampled_from(["Oslo ", "\u200d", "&amp;", "\r\n", "\u05d0", "Mara "])).map("".join)


TEXTS = ["Mara Okello left Oslo.", "She joined Norvik.", "Lima. " * 9]


@pytest.fixture(scope="module")
def folder(encoder, column_files, tmp_path_factory):
    """A tagger that has learnt its few training sentences, with settings other than the defaults."""
    folder = tmp_path_factory.mktemp("tagger")
    flags = {"model_name_or_path": encoder, "data_dir": column_files, "output_dir": folder, "max_seq_length": 48}
    flags |= {"do_train": True, "do_eval": True, "context_size": 5, "num_train_epochs": 80, "learning_rate": 5e-3}
    flags |= {"save_strategy": "steps", "save_steps": 80, "precision": "fp32", "disable_tqdm": True}
    run_ner.main([f"--{key}={value}" for key, value in flags.items()])
    return folder


@pytest.fixture(scope="module")
def tagger(folder):
    return Tagger.load(folder, precision="fp32")


def test_settings_travel_with_the_weights_and_the_checkpoints(folder, tagger):
    expected = TaggerSettings(max_seq_length=48, context="document", context_size=5, constrained_decoding=True)
    assert replace(tagger.settings, temperature=1.0) == expected
    assert tagger.settings == read_settings(AutoConfig.from_pretrained(folder))
    for checkpoint in folder.glob("checkpoint-*"):
        assert read_settings(AutoConfig.from_pretrained(checkpoint)) == expected
    assert AutoModelForTokenClassification.from_pretrained(folder).config.num_labels == 9  # stock code loads it


def test_scoring_needs_no_settings_again(folder, column_files, tmp_path):
    flags = {"model_name_or_path": folder, "data_dir": column_files, "output_dir": tmp_path, "do_eval": True}
    outcome = run_ner.main([f"--{key}={value}" for key, value in (flags | {"precision": "fp32"}).items()])
    assert outcome.scores["dev"] == json.loads((folder / "report.json").read_text())["dev"]
    assert "max_seq_length: 48" in (tmp_path / "run.yaml").read_text()


def test_documents_are_tagged_as_the_report_scores_them(folder, tagger, column_files):
    documents = read_conll(column_files / "valid.txt")
    written = read_conll(folder / "predictions" / "dev.conll", tag_column=2)
    found = [sentence.tags for sentence in tagger.tag_documents(documents)]
    assert found == [sentence.tags for sentence in list_sentences(written)]


def test_raw_text_gives_entities_at_their_places(tagger):
    text = "Mara Okello left Oslo.\n\nShe joined Norvik."
    found = [(entity.text, entity.type) for entity in tagger(text)]
    assert found == [("Mara Okello", "PER"), ("Oslo", "LOC"), ("Norvik", "ORG")]
    assert all(text[entity.start : entity.end] == entity.text for entity in tagger(text))
    assert all(0 < entity.score <= 1 for entity in tagger(text))


def test_texts_are_answered_in_order_whatever_their_lengths(tagger):
    texts = ["Oslo", "", "Mara Okello left Oslo. " * 30, " \n\n ", "Norvik"]
    together = tagger(texts)
    assert [[e[:4] for e in found] for found in together] == [[e[:4] for e in tagger(text)] for text in texts]
    assert [len(found) for found in together][1] == 0


def test_words_keep_their_numbers(tagger):
    [one] = tagger.tag_words([["Mara", "Okello", "left", "Oslo", "."]])
    assert one == tagger.tag_words(["Mara", "Okello", "left", "Oslo", "."])
    assert one.tags == ["B-PER", "I-PER", "O", "B-LOC", "O"]
    assert [entity[:4] for entity in one.entities] == [(0, 2, "Mara Okello", "PER"), (3, 4, "Oslo", "LOC")]


def test_unlikely_entities_can_be_left_out(tagger):
    text = "Mara Okello left Oslo."
    scores = [entity.score for entity in tagger(text)]
    assert [entity.score for entity in tagger(text, min_score=max(scores))] == [max(scores)]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=60) | ODD)
def test_any_text_is_tagged_and_entities_are_slices_of_it(tagger, text):
    for entity in tagger(text):
        assert text[entity.start : entity.end] == entity.text
        assert entity.text.strip()


def test_a_line_of_a_megabyte_is_tagged(tagger):
    text = "Oslo " * 20_000 + "x" * 10_000
    assert len(tagger(text)) > 0


def test_odd_settings_of_a_model_are_refused(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    config = json.loads((copy / "config.json").read_text())
    config["tagger"]["context"] = "page"
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(RecipeError, match=r"config\.json of the model: tagger: .* cannot be read"):
        Tagger.load(copy)


def test_a_model_without_settings_is_read_within_its_length(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    config = json.loads((copy / "config.json").read_text())
    del config["tagger"]
    (copy / "config.json").write_text(json.dumps(config))
    assert Tagger.load(copy).settings == TaggerSettings(max_seq_length=64)


@pytest.mark.parametrize(
    "odd",
    [
        "context",
        ["context"],
        5,
        {"context_size": -5},
        {"max_seq_length": "64"},
        {"temperature": 0.0},
        {"word_splitter": "x"},
    ],
)
def test_odd_entries_of_a_configuration_are_refused(odd):
    with pytest.raises(RecipeError, match="cannot be read: fix or delete the entry"):
        read_settings(PreTrainedConfig(tagger=odd))


def test_a_temperature_is_fitted_on_dev_saved_and_used_for_confidences_alone(folder, tagger, column_files):
    assert tagger.settings.temperature != 1.0
    documents = read_conll(column_files / "valid.txt")
    unscaled = Tagger(
        tagger.labels, tagger.tokenizer, tagger.backend, **asdict(replace(tagger.settings, temperature=1.0))
    )
    found, other = tagger.tag_documents(documents), unscaled.tag_documents(documents)
    assert [sentence.tags for sentence in found] == [sentence.tags for sentence in other]
    assert [sentence.scores for sentence in found] != [sentence.scores for sentence in other]


def test_a_model_trained_on_words_between_spaces_splits_text_at_spaces(tagger):
    spaced = Tagger(tagger.labels, tagger.tokenizer, tagger.backend, word_splitter="spaces", max_seq_length=48)
    assert next(spaced.stream(["Mara left Oslo, twice."])).words == [["Mara", "left", "Oslo,", "twice."]]


def test_the_report_has_the_tagger_and_the_pipeline_on_running_text(folder):
    scores = json.loads((folder / "report.json").read_text())["dev"]["running_text"]
    assert scores["sentences"] == 3
    assert 0 < scores["tagger"] <= 1
    assert 0 <= scores["pipeline"] <= 1
    assert "Running text (3 sentences, each alone), entity F1: Tagger" in (folder / "report.txt").read_text()


def test_odd_words_and_references_are_tagged(tagger):
    assert len(tagger.tag_words([["\ud800", "Oslo"]])[0].tags) == 2
    assert tagger("&#" + "1" * 5000 + ";") is not None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "int8"}, "precision: int8 is not one of auto fp32 bf16 fp16"),
        ({"device": "tpu"}, "device: tpu cannot be used"),
        ({"device": "nonsense"}, "device: nonsense cannot be used"),
        ({"threads": 0}, "threads: 0 is not valid: expected a whole number of at least 1"),
        ({"threads": "2"}, "threads: '2' is not valid"),
    ],
)
def test_what_a_model_cannot_run_on_is_refused(folder, options, message):
    with pytest.raises(RecipeError, match=message) as caught:
        Tagger.load(folder, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kept", [[], ["tokenizer_config.json"]])
def test_a_model_without_its_tokenizer_is_refused(folder, tmp_path, kept):
    """Transformers would build one without words, and every tag would be garbage."""
    copy = shutil.copytree(folder, tmp_path / "copy", ignore=shutil.ignore_patterns("checkpoint-*"))
    for path in copy.glob("*tok*"):
        if path.name not in kept:
            path.unlink()
    with pytest.raises(RecipeError, match=r"copy: has no tokenizer \(tokenizer\.json\): copy it from a checkpoint"):
        Tagger.load(copy)


@pytest.mark.parametrize("name", ["tokenizer_config.json"])
def test_a_model_does_not_lose_its_case_markers(tmp_path, name):
    """Without this file transformers builds another class, which drops the normalizer that sets the markers."""
    add_case_markers(make_tokenizer(words=MARKERS)).save_pretrained(tmp_path)
    AutoConfig.for_model("bert").save_pretrained(tmp_path)
    assert find_markers(load_tokenizer(ModelArguments(model_name_or_path=str(tmp_path))))
    (tmp_path / name).unlink()
    with pytest.raises(RecipeError, match=r"case markers are lost without the right tokenizer_config\.json"):
        load_tokenizer(ModelArguments(model_name_or_path=str(tmp_path)))


def test_a_score_that_is_no_probability_is_refused(tagger):
    with pytest.raises(RecipeError, match="min_score: nan must be at least 0 and at most 1"):
        tagger("Oslo", min_score=float("nan"))


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("config.json", {"id2label": {"0": "O", "5": "B-LOC"}}, "id2label: its ids are not 0, 1, 2"),
        ("config.json", {"id2label": {"0": "O", "1": "B-LOC", "2": "B-LOC"}}, "needs IOB2 labels .*, each once"),
        ("tokenizer_config.json", {"model_max_length": "x"}, "model_max_length: is not a whole number"),
    ],
)
def test_damaged_values_of_a_model_are_refused(folder, tmp_path, name, change, message):
    copy = shutil.copytree(folder, tmp_path / "copy", ignore=shutil.ignore_patterns("checkpoint-*"))
    (copy / name).write_text(json.dumps(json.loads((copy / name).read_text()) | change))
    with pytest.raises(RecipeError, match=message):
        Tagger.load(copy)


def test_a_text_is_no_list_of_words(tagger):
    with pytest.raises(RecipeError, match="tag_words: expected a list of words, not a text"):
        tagger.tag_words("Oslo")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda tagger: tagger(None), "texts: expected a list of texts, not NoneType"),
        (lambda tagger: tagger(b"Oslo"), "texts: expected a list of texts, not bytes"),
        (lambda tagger: tagger(["Oslo", 5]), "text 2: expected a text, not int"),
        (lambda tagger: list(tagger.stream("Oslo")), "texts: expected a list of texts, not str"),
        (lambda tagger: tagger.tag_words(["Mara", 5]), "sentence 1: expected words, not int"),
        (lambda tagger: tagger.tag_words([["Mara"], "Oslo"]), "sentence 2: expected a list of words, not str"),
        (lambda tagger: tagger.tag_documents([["Mara", "left"]]), "sentence 1: expected a list of words, not str"),
        (lambda tagger: tagger.tag_documents([None]), "expected a list of sentences, not NoneType"),
    ],
)
def test_what_is_no_text_and_no_words_is_refused(tagger, call, message):
    with pytest.raises(RecipeError, match=message):
        call(tagger)


def test_documents_can_be_lists_of_sentences(tagger):
    words = [["Mara", "left"], ["Oslo", "."]]
    document = recipe.Document([recipe.Sentence(sentence, ["O", "O"]) for sentence in words])
    assert tagger.tag_documents([words, words]) == tagger.tag_documents([document, document])
    assert tagger.tag_documents([]) == []


def test_what_is_no_tagger_is_refused(encoder):
    with pytest.raises(RecipeError, match="a tagger needs IOB2 labels"):
        Tagger.load(encoder)


@pytest.mark.slow
def test_a_compiled_tagger_finds_the_same_and_is_kept_for_the_next_process(folder, tagger, tmp_path):
    program = (
        "import sys, time, recipe\n"
        f"tagger = recipe.Tagger.load({str(folder)!r}, 'fp32', 'cpu', compiled=True)\n"
        "started = time.perf_counter()\n"
        f"found = tagger({TEXTS!r})\n"
        "print(time.perf_counter() - started, [[entity[:4] for entity in entities] for entities in found])\n"
    )
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path)}
    environment.pop("TORCHINDUCTOR_CACHE_DIR", None)
    seconds = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        taken, _, found = done.stdout.partition(" ")
        seconds.append(float(taken))
        assert found.strip() == str([[entity[:4] for entity in entities] for entities in tagger(TEXTS)])
    assert list((tmp_path / "recipe" / "inductor").rglob("*.so"))
    assert seconds[1] < seconds[0]


def test_compiling_needs_a_compiler_and_a_model_on_torch(folder, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(RecipeError, match=r"compiled: needs a C\+\+ compiler: install g\+\+, or leave it out"):
        Tagger.load(folder, "fp32", compiled=True)


def test_a_tagger_whose_weights_are_missing_or_spoilt_is_refused(tmp_path):
    labels = ["O", "B-X", "I-X"]
    folder = make_tagger_folder(tmp_path / "tagger", labels)
    file = tmp_path / "tagger" / "model.safetensors"
    weights = load_file(file)
    save_file(weights | {"classifier.bias": torch.full((3,), math.inf)}, file, {"format": "pt"})
    with pytest.raises(
        RecipeError, match=r"^the model predicts NaN or infinity: restore its weights, or set precision"
    ):
        Tagger.load(folder, "fp32", "cpu")("abc d")
    save_file({name: weight for name, weight in weights.items() if name != "classifier.bias"}, file, {"format": "pt"})
    with pytest.raises(RecipeError, match="tagger: has no weights for its head: restore the file, or choose a"):
        Tagger.load(folder, "fp32", "cpu")
    save_file({name: weight for name, weight in weights.items() if "layer.1" not in name}, file, {"format": "pt"})
    with pytest.raises(RecipeError, match=r"tagger: has no weights for 16 parts of the encoder, such as bert\.encoder"):
        Tagger.load(folder, "fp32", "cpu")

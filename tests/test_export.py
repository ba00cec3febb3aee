"""`python -m recipe export`: exports are used like their model, and kept only if they agree with it."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import torch
import yaml

import run_mlm
import run_ner
from conftest import ROOT, make_config, spawn
from recipe.__main__ import main
from recipe.arguments import MlmArguments
from recipe.errors import RecipeError
from recipe.inference.exports import Export, count_threads
from recipe.inference.filler import Filler
from recipe.inference.measuring import measure
from recipe.inference.scorer import Scorer
from recipe.inference.tagger import Tagger
from recipe.model.settings import ModelArguments

pytest.importorskip("openvino", reason="needs the extra export: pip install -e '.[export]'")
from recipe import export as module
from recipe.exportable import open_source

pytestmark = pytest.mark.usefixtures("measured_here")

TEXT = "Mara Okello left Oslo.\n\nShe joined Norvik."


@pytest.fixture
def apart(measured_here, monkeypatch):
    """Measures in processes of their own, as users do."""
    monkeypatch.setattr("recipe.export.measure", measure)
    monkeypatch.setattr("recipe.exportable.measure", measure)


@pytest.fixture(scope="module")
def trained(encoder, column_files, tmp_path_factory):
    """A tagger that has learnt its few training sentences."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    flags = {"model_name_or_path": encoder, "data_dir": column_files, "output_dir": folder, "max_seq_length": 48}
    flags |= {"do_train": True, "do_eval": True, "num_train_epochs": 60, "learning_rate": 5e-3}
    flags |= {"save_strategy": "no", "precision": "fp32", "disable_tqdm": True}
    run_ner.main([f"--{key}={value}" for key, value in flags.items()])
    return folder


@pytest.fixture
def run(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "run")


@pytest.fixture(scope="module")
def trained_and_exported(trained, measured_here, tmp_path_factory):
    """The same with the exports that several tests use."""
    folder = shutil.copytree(trained, tmp_path_factory.mktemp("exported") / "run")
    for backend in ("onnx", "openvino"):
        export(folder, "--backend", backend, "--precision", "fp32")
    return folder


@pytest.fixture
def exported(trained_and_exported, tmp_path):
    return shutil.copytree(trained_and_exported, tmp_path / "exported")


def export(run, *flags):
    main(["export", str(run), *flags])


@pytest.mark.parametrize("form", [Export("onnx", "fp32"), Export("openvino", "fp32"), Export("torch", "fp32")])
def test_an_export_in_fp32_is_used_like_its_model(run, form, apart, capsys):
    export(run, "--backend", form.backend, "--precision", form.precision)
    model, exported = Tagger.load(run, "fp32"), Tagger.load(run / "export" / form.name)
    assert exported.settings == model.settings
    for one, other in zip(exported(TEXT), model(TEXT), strict=True):
        assert one[:4] == other[:4]
        assert one.score == pytest.approx(other.score, abs=1e-4)
    assert len(exported(TEXT)) == 3
    record = json.loads((run / "export" / form.name / "measured.json").read_text())
    assert record["export"]["passes"]
    assert record["export"]["different_tags"] == 0
    assert record["export"]["figures"]["f1"] == record["model"]["f1"]
    assert record["export"]["figures"]["memory"] > 50
    assert f"| {form.name} |" in (run / "README.md").read_text()
    assert "| passes |" in capsys.readouterr().out
    assert [path.name for path in (run / "export").iterdir()] == [form.name]


@pytest.mark.parametrize("backend", ["onnx", "openvino"])
def test_int8_is_smaller_and_judged(run, backend):
    export(run, "--backend", backend, "--precision", "int8", "--force")
    folder = run / "export" / f"{backend}-int8"
    record = json.loads((folder / "measured.json").read_text())
    assert record["export"]["largest_difference"] > 0
    assert len(Tagger.load(folder)(TEXT)) > 0


def test_an_export_that_loses_too_much_is_refused_unless_forced(run, monkeypatch, capsys):
    monkeypatch.setattr("recipe.inference.guard.MOST_DIFFERENCE", -1.0)
    with pytest.raises(RecipeError, match=r"no export passes, as the table shows: nothing is kept \(--force"):
        export(run, "--backend", "torch", "--precision", "fp32")
    assert "a logit differs by" in capsys.readouterr().out
    assert not (run / "export").exists()
    export(run, "--backend", "torch", "--precision", "fp32", "--force")
    assert "torch-fp32, loses too much: a logit differs by" in (run / "README.md").read_text()


def test_layers_stay_in_fp32_until_an_export_passes(run, monkeypatch, tmp_path):
    judge = module.judge
    verdicts = []

    def refuse_twice(export, trial, model, other, kept=None):
        judged = judge(export, trial, model, other, kept)
        verdicts.append(kept)
        return judged if len(verdicts) > 2 else replace(judged, reasons=("no",))

    monkeypatch.setattr(module, "judge", refuse_twice)
    with open_source(run, None, {}) as source:
        judged = module.make(source, Export("onnx", "int8"), tmp_path / "made")
    assert verdicts[0] is None
    assert 0 < verdicts[1] < verdicts[2] == judged.kept


def test_the_fastest_that_passes_is_kept(run, monkeypatch):
    speeds = {"onnx-fp32": 300.0, "openvino-fp32": 900.0, "torch-fp32": 1200.0}
    judge = module.judge

    def judge_by_name(export, trial, model, other, kept=None):
        judged = judge(export, trial, model, other, kept)
        costs = replace(judged.measured.costs, sentences_per_second=speeds[export.name])
        measured = replace(judged.measured, costs=costs)
        return replace(judged, measured=measured, reasons=("no",) * (export.backend == "torch"))

    monkeypatch.setattr(module, "judge", judge_by_name)
    export(run, "--precision", "fp32")
    assert [path.name for path in (run / "export").iterdir()] == ["openvino-fp32"]


def test_a_combination_that_does_not_exist_is_refused(run):
    with pytest.raises(RecipeError, match="onnx: not available in bf16: choose fp32 or int8"):
        export(run, "--backend", "onnx", "--precision", "bf16")


def test_what_cannot_be_exported_is_refused_by_name(run, encoder, tmp_path):
    with pytest.raises(RecipeError, match="no such folder"):
        export(tmp_path / "none")
    shutil.rmtree(run / "predictions")
    with pytest.raises(RecipeError, match=r"dev\.conll: no such file to compare .*: set --file"):
        export(run)
    (tmp_path / "empty").mkdir()
    with pytest.raises(RecipeError, match=r"empty: has no model \(config\.json\): give the folder of one"):
        export(tmp_path / "empty")
    assert list((tmp_path / "empty").iterdir()) == []
    for key in ("tag_column", "word_column"):
        with pytest.raises(RecipeError, match=f"{key}: .* is a masked language model, whose text has no columns"):
            main(["export", encoder, "--file", "text.txt", f"--{key}", "1"])
        with pytest.raises(RecipeError, match=f"{key}: is that of another file than the run's own: set --file too"):
            export(run, f"--{key}", "1")
    with pytest.raises(RecipeError, match="its record names no text to compare on: set --file to a text file"):
        main(["export", encoder])
    file = tmp_path / "dev.conll"
    file.write_text("Oslo B-SHIP\n")
    with pytest.raises(RecipeError, match="SHIP"):
        export(run, "--file", str(file))


def test_another_file_has_its_own_columns_and_encoding(run, tmp_path):
    lines = (run / "predictions" / "dev.conll").read_text().splitlines()
    rows = [f"1 {gold} {word}é" if line else "" for line in lines for word, gold, *_ in [line.split() or ["", ""]]]
    (tmp_path / "own.conll").write_text("\n".join(rows), encoding="latin-1")
    columns = ["--word_column", "2", "--tag_column", "1", "--encoding", "latin-1"]
    export(run, "--backend", "torch", "--precision", "fp32", "--file", str(tmp_path / "own.conll"), *columns)
    figures = json.loads((run / "export" / "torch-fp32" / "measured.json").read_text())
    assert figures["file"] == "own.conll"
    assert figures["export"]["words"] == sum(map(bool, rows))


def test_a_file_without_entities_and_a_folder_that_cannot_be_written_are_refused(run, tmp_path):
    file = tmp_path / "dev.conll"
    file.write_text("left O\n")
    with pytest.raises(RecipeError, match=r"dev\.conll: has no entities to compare on"):
        export(run, "--file", str(file))
    (run / "export").write_text("a file")
    with pytest.raises(RecipeError, match="export: File exists: export a copy of the run"):
        export(run)


def test_an_export_loads_only_as_what_it_is(exported):
    folder = exported / "export" / "onnx-fp32"
    with pytest.raises(RecipeError, match="is an export in fp32: leave precision at auto"):
        Tagger.load(folder, "bf16")
    with pytest.raises(RecipeError, match="is an export that runs on the CPU"):
        Tagger.load(folder, device="cuda")
    with pytest.raises(RecipeError, match="is an export: give the folder of the run"):
        main(["export", str(folder), "--file", str(exported / "predictions" / "dev.conll")])


def test_a_graph_that_cannot_be_loaded_is_named(exported):
    arguments = ModelArguments(model_name_or_path=str(exported / "export" / "onnx-fp32"))
    graph = exported / "export" / "onnx-fp32" / "model.onnx"
    graph.write_bytes(b"damaged")
    with pytest.raises(RecipeError, match=r"model\.onnx: cannot be loaded .*: export the model again"):
        Tagger.open(arguments)
    graph.unlink()
    with pytest.raises(RecipeError, match=r"model\.onnx: no such file: export the model again"):
        Tagger.open(arguments)


def test_a_missing_package_is_named(exported, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    folder = exported / "export" / "onnx-fp32"
    with pytest.raises(RecipeError, match=rf"run pip install -r {re.escape(str(folder))}/requirements\.txt"):
        Tagger.load(folder)
    assert "onnxruntime==" in (folder / "requirements.txt").read_text()


@pytest.mark.parametrize("odd", ["onnx", {"backend": "onnx"}, {"backend": "onnx", "precision": "bf16"}])
def test_an_odd_entry_of_the_configuration_is_refused(run, odd):
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(config | {"export": odd}))
    with pytest.raises(RecipeError, match=r"export: .* cannot be read: export the model again"):
        Tagger.load(run)


def test_an_export_is_found_by_its_name_in_the_folder_of_its_run(exported):
    assert [one[:4] for one in Tagger.load(exported, export="onnx-fp32")(TEXT)] == [
        one[:4] for one in Tagger.load(exported, "fp32")(TEXT)
    ]
    with pytest.raises(RecipeError, match=r"make it with python -m recipe export .* --backend onnx --precision int8$"):
        Tagger.load(exported, export="onnx-int8")
    with pytest.raises(RecipeError, match="export: onnx is not one of torch-fp32 torch-bf16 onnx-fp32"):
        Tagger.load(exported, export="onnx")


def cut(path):
    path.write_bytes(path.read_bytes()[:-10])


def overwrite(path):
    path.write_bytes(b"\0" * path.stat().st_size)


def rename_label(path):
    path.write_text(path.read_text().replace("B-LOC", "B-ORG"))


@pytest.mark.parametrize(
    ("name", "change", "damage"),
    [
        ("model.onnx", cut, r"model\.onnx has \d+ of \d+ bytes"),
        ("model.onnx", overwrite, r"model\.onnx has changed since it was saved"),
        (
            "config.json",
            lambda path: path.write_text(path.read_text().replace("B-LOC", "B-ORG")),
            "config.json has changed",
        ),
        ("tokenizer.json", Path.unlink, r"tokenizer\.json is missing"),
        ("measured.json", Path.unlink, r"measured\.json is missing"),
        ("measured.json", cut, r"measured\.json is damaged"),
        ("measured.json", lambda path: path.write_text("[" * 100_000), r"measured\.json is damaged"),
    ],
)
def test_a_damaged_export_is_used_neither_by_its_name_nor_by_its_folder(exported, name, change, damage):
    folder = exported / "export" / "onnx-fp32"
    change(folder / name)
    for load in (lambda: Tagger.load(exported, export="onnx-fp32"), lambda: Tagger.load(folder)):
        with pytest.raises(RecipeError, match=f"{folder}: {damage}.*: export the model again"):
            load()


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_an_export_of_other_weights_or_settings_is_not_used(exported, name, capsys):
    change = {"config.json": rename_label, "model.safetensors": overwrite}[name]
    change(exported / name)
    made, message = exported / "export" / "onnx-fp32", f"onnx-fp32: {name} of the model has changed since it was made"
    for load in (lambda: Tagger.load(exported, export="onnx-fp32"), lambda: Tagger.load(made)):
        with pytest.raises(RecipeError, match=f"{message}: export the model again"):
            load()
    shutil.copytree(made, exported.parent / "alone")
    assert len(Tagger.load(exported.parent / "alone")(TEXT)) == 3


def test_an_export_has_no_card_of_its_own(exported):
    with pytest.raises(RecipeError, match="onnx-fp32: is an export, which the card of its run describes"):
        main(["card", str(exported / "export" / "onnx-fp32")])


def test_a_card_names_the_exports_that_it_leaves_out(exported, caplog):
    (exported / "export" / "onnx-fp32" / "measured.json").write_text("")
    main(["card", str(exported)])
    assert "left out of the model card: " in caplog.text
    assert "onnx-fp32: measured.json is damaged: export the model again" in caplog.text


def test_the_readme_of_a_model_that_is_no_run_stays(run, tmp_path):
    (run / "run.yaml").unlink()
    (run / "README.md").write_text("my own")
    export(run, "--backend", "torch", "--precision", "fp32")
    assert (run / "README.md").read_text() == "my own"


def test_nothing_is_kept_if_the_model_finds_nothing_to_lose(run, tmp_path, capsys):
    (tmp_path / "dev.conll").write_text("left B-PER\nOslo O\n")
    with pytest.raises(RecipeError, match="no export passes"):
        export(run, "--backend", "torch", "--precision", "bf16", "--file", str(tmp_path / "dev.conll"))
    assert "the model itself finds no entity of the file: check its columns" in capsys.readouterr().out
    (tmp_path / "dev.jsonl").write_text("")
    with pytest.raises(RecipeError, match=r"dev\.jsonl: a \.jsonl file cannot be compared on: give a column file"):
        export(run, "--file", str(tmp_path / "dev.jsonl"))


def test_an_export_of_an_earlier_version_has_no_digests(exported):
    record = exported / "export" / "onnx-fp32" / "measured.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"sha256": {}, "model_sha256": {}}))
    assert len(Tagger.load(exported, export="onnx-fp32")(TEXT)) == 3


def test_an_export_under_the_name_of_another_is_refused(exported):
    made = exported / "export" / "onnx-fp32"
    made.rename(made.with_name("onnx-int8"))
    with pytest.raises(RecipeError, match="onnx-int8: is the export onnx-fp32: rename the folder"):
        Tagger.load(exported, export="onnx-int8")
    assert len(Tagger.load(made.with_name("onnx-int8"))(TEXT)) == 3  # a copy elsewhere can have any name


@pytest.mark.parametrize("form", ["onnx-fp32", "openvino-fp32", None])
def test_threads_that_share_a_tagger_get_what_each_would_get_alone(exported, form):
    tagger = Tagger.load(exported, threads=1 if form else None, export=form)
    texts = [" ".join(["Mara", "left", "Oslo", "in", "Lima"][: 1 + number % 5] * (1 + number)) for number in range(8)]
    alone = [tagger(text) for text in texts]
    with ThreadPoolExecutor(4) as workers:
        assert list(workers.map(tagger, texts * 8)) == alone * 8


def test_exports_go_when_the_settings_of_their_run_change(encoder, column_files, tmp_path):
    folder = tmp_path / "run"
    flags = {"model_name_or_path": encoder, "data_dir": column_files, "output_dir": folder, "max_seq_length": 48}
    flags |= {"do_train": True, "do_eval": True, "max_steps": 2, "save_steps": 2, "disable_tqdm": True}

    def start(**more):
        run_ner.main([f"--{key}={value}" for key, value in (flags | more).items()])

    start()
    made = folder / "export" / "onnx-fp32"
    made.mkdir(parents=True)
    start()  # again, from its last checkpoint
    assert made.exists()
    start(constrained_decoding=False)
    assert not made.exists()


def test_an_export_is_no_start_of_a_training(run, column_files, tmp_path):
    export(run, "--backend", "torch", "--precision", "bf16")
    folder = run / "export" / "torch-bf16"
    flags = {"model_name_or_path": folder, "data_dir": column_files, "output_dir": tmp_path / "next", "do_train": True}
    with pytest.raises(
        RecipeError, match=f"model_name_or_path {folder}: is an export: give the model that it was made"
    ):
        run_ner.main([f"--{key}={value}" for key, value in flags.items()])


# Masked language models


@pytest.fixture(scope="module", params=["masked", "masked_autoregressive"])
def pretrained(request, encoder, tmp_path_factory):
    """A run of a few steps, with its text beside it."""
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "text.txt").write_text("\n\n".join(f"article {n} tells of port {n * 7}." for n in range(60)))
    flags = {"model_name_or_path": encoder, "train_file": folder / "text.txt", "output_dir": folder / "run"}
    flags |= {"objective": request.param, "validation_split_percentage": 20, "block_size": 32, "do_train": True}
    flags |= {"do_eval": True, "max_steps": 20, "learning_rate": 5e-3, "save_strategy": "no", "precision": "fp32"}
    run_mlm.main([f"--{key}={value}" for key, value in flags.items()] + ["--disable_tqdm=true"])
    return folder / "run"


@pytest.fixture
def mlm_run(pretrained, tmp_path):
    return shutil.copytree(pretrained, tmp_path / "mlm-run")


MASKED = ["article [MASK] tells of [MASK:3].", "[MASK]", "port [MASK] " * 5]


@pytest.mark.parametrize("form", [Export("onnx", "fp32"), Export("openvino", "fp32"), Export("torch", "fp32")])
def test_an_export_fills_masks_like_its_model(mlm_run, form, capsys):
    export(mlm_run, "--backend", form.backend, "--precision", form.precision)
    record = json.loads((mlm_run / "export" / form.name / "measured.json").read_text())
    assert record["export"]["passes"]
    assert record["export"]["different_tokens"] == 0 < record["export"]["masked_tokens"]
    metrics = json.loads((mlm_run / "metrics.json").read_text())["dev"]
    assert record["export"]["figures"]["accuracy"] == pytest.approx(metrics["masked_accuracy"], abs=1e-6)
    assert record["export"]["figures"]["loss"] == pytest.approx(metrics["loss"], abs=1e-3)
    assert "| another best token |" in capsys.readouterr().out
    model, exported = Filler.load(mlm_run, "fp32"), Filler.load(mlm_run, export=form.name)
    for one, other in zip(exported(MASKED), model(MASKED), strict=True):
        assert one.text == other.text
        assert one.log_probability == pytest.approx(other.log_probability, abs=1e-3)
    drawn = {"temperature": 2.0, "seed": 3}
    assert [one.text for one in exported(MASKED, **drawn)] == [one.text for one in model(MASKED, **drawn)]
    assert f"| {form.name} |" in (mlm_run / "README.md").read_text()


@pytest.mark.parametrize("backend", ["onnx", "openvino"])
def test_int8_fills_masks_too(mlm_run, backend):
    export(mlm_run, "--backend", backend, "--precision", "int8", "--force")
    record = json.loads((mlm_run / "export" / f"{backend}-int8" / "measured.json").read_text())
    assert record["export"]["largest_difference"] > 0
    assert len(Filler.load(mlm_run, export=f"{backend}-int8")(MASKED)) == len(MASKED)


@pytest.mark.parametrize("threads", [0, -1, 1.5, "2", True])
def test_odd_numbers_of_threads_are_refused(run, mlm_run, threads):
    for load, folder in ((Tagger.load, run), (Filler.load, mlm_run), (Scorer.load, mlm_run)):
        with pytest.raises(RecipeError, match=f"threads: {threads!r} is not valid: expected a whole number"):
            load(folder, threads=threads)


def test_threads_are_those_of_an_export_and_not_more_than_the_cpus(exported, monkeypatch):
    with pytest.raises(RecipeError, match="runs on torch, whose threads OMP_NUM_THREADS sets: leave out threads"):
        Tagger.load(exported, threads=2)
    for backend in ("onnx", "openvino"):
        tagger = Tagger.load(exported, export=f"{backend}-fp32", threads=10**9)
        assert len(tagger(TEXT)) == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "99999999999")
    assert count_threads() == os.cpu_count()
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert [count_threads(), count_threads(10**9)] == [1, os.cpu_count()]


def test_options_that_no_model_has_are_refused(run, mlm_run):
    with pytest.raises(RecipeError, match="unknown options: compiled: leave them out"):
        Filler.load(mlm_run, compiled=True)
    with pytest.raises(RecipeError, match="export: is not one of torch-fp32"):
        Tagger.load(run, export="")  # an empty variable of a shell
    for name in (None, 3, ["a"]):
        with pytest.raises(RecipeError, match="expected the folder or Hub id of a model, as text or path"):
            Tagger.load(name)
    with pytest.raises(RecipeError, match=r"precision: int8 is not one of .*: make an export"):
        Tagger.load(run, "int8")


@pytest.mark.parametrize("form", ["torch-bf16", "onnx-int8"])
def test_the_precision_of_an_export_is_that_of_its_likelihoods(mlm_run, form, capsys):
    if Filler.load(mlm_run).pretraining.is_causal:
        pytest.skip("exports of masked autoregressive models have no likelihoods")
    export(mlm_run, "--backend", form.split("-")[0], "--precision", form.split("-")[1], "--force")
    capsys.readouterr()
    main(["likelihood", "--model", str(mlm_run), "--export", form, "port seven"])
    assert "port seven" in capsys.readouterr().out
    assert Scorer.load(mlm_run).model.dtype == torch.float32
    with pytest.raises(RecipeError, match="leave precision at auto"):
        main(["likelihood", "--model", str(mlm_run), "--export", form, "--precision", "fp32", "port seven"])


def test_a_model_that_needs_more_training_names_what_can_be_trained(mlm_run, monkeypatch, caplog):
    monkeypatch.setattr("recipe.inference.masked_model.FEWEST_TOKENS", 10**9)
    config = json.loads((mlm_run / "config.json").read_text())
    config["masked_lm"] |= {"new_head": True, "trained_tokens": 5}
    (mlm_run / "config.json").write_text(json.dumps(config))
    export(mlm_run, "--backend", "torch", "--precision", "fp32")
    caplog.clear()
    Filler.load(mlm_run, "fp32")
    Filler.load(mlm_run, export="torch-fp32")
    assert (
        f"train it: make mlm CONFIG=configs/mlm/own_text.yaml ARGS='--model_name_or_path {mlm_run} "
        in caplog.messages[0]
    )
    assert caplog.messages[1].endswith("are of little use: train the model that it was made of")


def test_a_comparison_on_very_little_says_so(run, mlm_run, tmp_path, capsys):
    export(run, "--backend", "torch", "--precision", "fp32")
    assert "words: one of them decides: compare on a larger --file" in capsys.readouterr().out
    (tmp_path / "text.txt").write_text("port seven " * 10)
    export(mlm_run, "--backend", "torch", "--precision", "fp32", "--file", str(tmp_path / "text.txt"))
    assert "masked tokens: one of them decides" in capsys.readouterr().out


@pytest.mark.parametrize("settings", [None, [1], {"validation_file": 5}])
def test_an_odd_record_of_a_run_is_named(mlm_run, settings):
    path = mlm_run / "run.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"settings": settings}))
    with pytest.raises(RecipeError, match=f"{path}: settings"):
        export(mlm_run, "--backend", "torch", "--precision", "fp32")


def test_a_package_that_an_export_needs_is_named_before_anything_is_measured(run, monkeypatch):
    monkeypatch.setattr(module, "PACKAGES", {"torch": (), "onnx": ("nosuchpackage", "onnx"), "openvino": ()})
    with pytest.raises(
        RecipeError, match=r"onnx: needs nosuchpackage, not installed: run pip install -e '\.\[export\]'"
    ):
        export(run, "--backend", "onnx", "--precision", "fp32")
    assert not (run / "export").exists()


@pytest.mark.parametrize("error", [OSError(28, "No space left"), RuntimeError("iostream error"), Exception("No space")])
def test_a_full_disk_is_told_from_a_model_that_cannot_be_exported(run, monkeypatch, error, capsys):
    def fail(*_):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(module, "write_companions", fail)
        patch.setattr(module.shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
        with pytest.raises(RecipeError, match=f"{run}/export: only 0 MB free on the disk: make room"):
            export(run, "--backend", "torch", "--precision", "fp32")
    assert not (run / "export").exists()
    assert "MB free" not in capsys.readouterr().out  # the error is not printed twice
    monkeypatch.setattr(module, "write_companions", fail)
    with pytest.raises(type(error), match=r"No space|iostream"):
        export(run, "--backend", "torch", "--precision", "fp32")


def test_an_export_that_is_a_link_is_replaced(run, tmp_path):
    export(run, "--backend", "torch", "--precision", "fp32")
    made = run / "export" / "torch-fp32"
    made.rename(tmp_path / "elsewhere")
    made.symlink_to(tmp_path / "elsewhere")
    for _ in range(2):
        export(run, "--backend", "torch", "--precision", "fp32")
        assert [path.name for path in (run / "export").iterdir()] == ["torch-fp32"]
    assert not made.is_symlink()
    assert (tmp_path / "elsewhere" / "measured.json").exists()


def test_likelihoods_come_from_an_export_unless_they_need_copies_of_the_text(mlm_run):
    export(mlm_run, "--backend", "onnx", "--precision", "fp32")
    exported = Scorer.load(mlm_run, export="onnx-fp32")
    if exported.pretraining.is_causal:
        with pytest.raises(RecipeError, match="masked autoregressive model fills only: give the folder of the run"):
            exported("port seven")
    else:
        expected = Scorer.load(mlm_run, "fp32")("port seven").log_probability
        assert exported("port seven").log_probability == pytest.approx(expected, abs=1e-3)


def test_text_to_compare_on_can_be_given_and_has_to_be_there(mlm_run, tmp_path):
    path = mlm_run / "run.yaml"
    path.write_text(path.read_text().replace("text.txt", "gone.txt"))
    with pytest.raises(RecipeError, match=r"gone\.txt.*; or set --file to a text file to compare the export on"):
        export(mlm_run, "--backend", "torch", "--precision", "fp32")
    (tmp_path / "other.txt").write_text("article 3 tells of port 8. " * 20)
    export(mlm_run, "--backend", "torch", "--precision", "fp32", "--file", str(tmp_path / "other.txt"))
    assert json.loads((mlm_run / "export" / "torch-fp32" / "measured.json").read_text())["file"] == "other.txt"


def test_a_model_that_is_no_run_is_compared_on_blocks_of_its_own_length(encoder, apart, tmp_path, capsys):
    shutil.copytree(encoder, tmp_path / "model")
    (tmp_path / "text.txt").write_text("Mara Lind went to Oslo. " * 100)
    flags = ["--backend", "onnx", "--precision", "fp32", "--file", str(tmp_path / "text.txt")]
    export(tmp_path / "model", *flags)
    assert make_config().max_position_embeddings < MlmArguments().block_size
    assert "passes" in capsys.readouterr().out


def test_models_of_one_kind_do_not_load_as_the_other(run, mlm_run):
    export(run, "--backend", "torch", "--precision", "fp32")
    export(mlm_run, "--backend", "torch", "--precision", "fp32")
    with pytest.raises(RecipeError, match="is an export of BertForTokenClassification: choose one of a MaskedLM"):
        Filler.load(run, export="torch-fp32")
    with pytest.raises(RecipeError, match="predicts LABEL_0 LABEL_1: a tagger needs IOB2 labels"):
        Tagger.load(mlm_run, export="torch-fp32")


def test_without_torch_an_export_runs_and_nothing_is_said_about_it(run, mlm_run):
    export(run, "--backend", "onnx", "--precision", "fp32")
    export(mlm_run, "--backend", "openvino", "--precision", "fp32")
    program = (
        "import sys; sys.modules['torch'] = None\n"  # importing it raises ImportError
        "import recipe\n"
        f"print(recipe.Filler.load({str(mlm_run)!r}, export='openvino-fp32')('port [MASK]').text)\n"
        f"print(len(recipe.Tagger.load({str(run)!r}, export='onnx-fp32')({TEXT!r})))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.splitlines() == [Filler.load(mlm_run, "fp32")("port [MASK]").text, "3"], done.stderr
    assert "PyTorch" not in done.stderr


# Interruptions


def heed_signals():
    """Heed signals as at a terminal: tests under nohup, or in the background of a shell, ignore some of them."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def start(run):
    """An export in a process of its own that is just being measured, and the process that measures it."""
    command = [sys.executable, "-m", "recipe", "export", str(run), "--backend", "onnx", "--precision", "fp32"]
    process = spawn(command, preexec_fn=heed_signals)
    while process.poll() is None:
        if list((run / "export").glob("saving-*/onnx-fp32/config.json")):
            found = psutil.Process(process.pid).children()
            if measuring := [one for one in found if "recipe.inference.measuring" in one.cmdline()]:
                return process, measuring[0]
        time.sleep(0.01)
    raise AssertionError(process.communicate()[1])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129), (signal.SIGKILL, -9)]
)
def test_an_export_that_is_ended_leaves_the_old_one_and_no_process(run, number, status):
    export(run, "--backend", "onnx", "--precision", "fp32")
    before = (run / "export" / "onnx-fp32" / "measured.json").read_text()
    process, measuring = start(run)
    os.kill(process.pid, number)
    process.communicate()
    assert process.returncode == status
    psutil.wait_procs([measuring], timeout=30)
    assert not measuring.is_running()
    assert (run / "export" / "onnx-fp32" / "measured.json").read_text() == before
    for unfinished in (run / "export").glob("saving-*/onnx-fp32"):
        with pytest.raises(RecipeError, match=r"measured\.json is missing: export the model again"):
            Tagger.load(unfinished)
    left = [path.name for path in (run / "export").iterdir()]
    assert (left == ["onnx-fp32"]) is (number != signal.SIGKILL)
    export(run, "--backend", "onnx", "--precision", "fp32")
    assert [path.name for path in (run / "export").iterdir()] == ["onnx-fp32"]
    assert Tagger.load(run, export="onnx-fp32")(TEXT)


@pytest.mark.slow
def test_a_run_that_is_being_exported_is_refused(run):
    process, _ = start(run)
    with pytest.raises(RecipeError, match=f"{run}: another run or export is using it: wait until that ends"):
        export(run)
    process.kill()
    process.wait()

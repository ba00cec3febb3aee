"""`python -m recipe export`: exports are used like their tagger, and kept only if they agree with it."""

import json
import re
import shutil
import sys
from dataclasses import replace

import pytest

import run_ner
from recipe.__main__ import main
from recipe.errors import RecipeError
from recipe.inference.exports import Export
from recipe.inference.tagger import Tagger

pytest.importorskip("openvino", reason="needs the extra export: pip install -e '.[export]'")
from recipe import export as module

TEXT = "Mara Okello left Oslo.\n\nShe joined Norvik."


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


def export(run, *flags):
    main(["export", str(run), *flags])


@pytest.mark.parametrize("form", [Export("onnx", "fp32"), Export("openvino", "fp32"), Export("torch", "fp32")])
def test_an_export_in_fp32_is_used_like_its_model(run, form, capsys):
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
    assert not list((run / "export").glob(".partial*"))


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
        export(run, "--backend", "onnx", "--precision", "fp32")
    assert "a logit differs by" in capsys.readouterr().out
    assert list((run / "export").iterdir()) == []
    export(run, "--backend", "onnx", "--precision", "fp32", "--force")
    assert "onnx-fp32, loses too much: a logit differs by" in (run / "README.md").read_text()


def test_layers_stay_in_fp32_until_an_export_passes(run, monkeypatch, tmp_path):
    source = module.load_source(run, None, None)
    judge = module.judge
    verdicts = []

    def refuse_twice(export, model, other, kept=None):
        judged = judge(export, model, other, kept)
        verdicts.append(kept)
        return judged if len(verdicts) > 2 else replace(judged, reasons=("no",))

    monkeypatch.setattr(module, "judge", refuse_twice)
    judged = module.make(source, Export("onnx", "int8"), tmp_path / "made")
    assert verdicts[0] is None
    assert 0 < verdicts[1] < verdicts[2] == judged.kept


def test_the_fastest_that_passes_is_kept(run, monkeypatch):
    speeds = {"onnx-fp32": 300.0, "openvino-fp32": 900.0, "torch-fp32": 1200.0}
    judge = module.judge

    def judge_by_name(export, model, other, kept=None):
        judged = judge(export, model, other, kept)
        figures = replace(judged.figures, sentences_per_second=speeds[export.name])
        return replace(judged, figures=figures, reasons=("no",) * (export.backend == "torch"))

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
    file = tmp_path / "dev.conll"
    file.write_text("Oslo B-LOC\n")
    with pytest.raises(RecipeError, match=r"is no tagger: give the folder of a run of run_ner\.py"):
        main(["export", encoder, "--file", str(file)])
    file.write_text("Oslo B-SHIP\n")
    with pytest.raises(RecipeError, match="SHIP"):
        export(run, "--file", str(file))


def test_a_file_without_entities_and_a_folder_that_cannot_be_written_are_refused(run, tmp_path):
    file = tmp_path / "dev.conll"
    file.write_text("left O\n")
    with pytest.raises(RecipeError, match=r"dev\.conll: has no entities to compare on"):
        export(run, "--file", str(file))
    shutil.rmtree(run / "export")
    (run / "export").write_text("a file")
    with pytest.raises(RecipeError, match="export: File exists: export a copy of the run"):
        export(run)


def test_an_export_loads_only_as_what_it_is(run):
    export(run, "--backend", "onnx", "--precision", "fp32")
    folder = run / "export" / "onnx-fp32"
    with pytest.raises(RecipeError, match="is an export in fp32: leave precision at auto"):
        Tagger.load(folder, "bf16")
    with pytest.raises(RecipeError, match="is an export that runs on the CPU"):
        Tagger.load(folder, device="cuda")
    with pytest.raises(RecipeError, match="is an export: give the folder of the run"):
        main(["export", str(folder), "--file", str(run / "predictions" / "dev.conll")])
    (folder / "model.onnx").write_bytes(b"damaged")
    with pytest.raises(RecipeError, match=r"model\.onnx: cannot be loaded .*: export the model again"):
        Tagger.load(folder)
    (folder / "model.onnx").unlink()
    with pytest.raises(RecipeError, match=r"model\.onnx: no such file: export the model again"):
        Tagger.load(folder)


def test_a_missing_package_is_named(run, monkeypatch):
    export(run, "--backend", "onnx", "--precision", "fp32")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    folder = run / "export" / "onnx-fp32"
    with pytest.raises(RecipeError, match=rf"run pip install -r {re.escape(str(folder))}/requirements\.txt"):
        Tagger.load(folder)
    assert "onnxruntime==" in (folder / "requirements.txt").read_text()


@pytest.mark.parametrize("odd", ["onnx", {"backend": "onnx"}, {"backend": "onnx", "precision": "bf16"}])
def test_an_odd_entry_of_the_configuration_is_refused(run, odd):
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(config | {"export": odd}))
    with pytest.raises(RecipeError, match=r"export: .* cannot be read: export the model again"):
        Tagger.load(run)

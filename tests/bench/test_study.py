"""The study's runs are settings of the scripts, its trials see no test split, and its tables say what was measured."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from bench import runs, study
from bench.report import format_study, format_tags, format_trials, load_study
from recipe.arguments import MlmArguments, NerArguments, RunArguments, parse
from recipe.data.conll import read_columns
from recipe.data.documents import list_sentences
from recipe.errors import RecipeError
from recipe.evaluation.scoring import REFERENCE
from recipe.model.settings import ModelArguments

DATA = study.Data("data", "conllpp.txt", "*.txt", "*.txt")
COUNTS = {"unit": "document", "number": 2}  # and more
FILES = {"train": [], "dev": ["eng.testa"]}


@pytest.fixture
def launched(monkeypatch, tmp_path):
    """The scripts that the study starts, with their parsed settings; none is run."""
    started = []

    def launch(script, **settings):
        kind = MlmArguments if script == "run_mlm.py" else NerArguments
        started.append((script, *parse(study.list_flags(settings), ModelArguments, kind, RunArguments)))
        if script == "run_mlm.py":
            settings["output_dir"].mkdir()
            (settings["output_dir"] / "metrics.json").write_text("{}")

    monkeypatch.setattr(study, "launch", launch)
    monkeypatch.setattr(study, "RUNS", tmp_path)
    monkeypatch.setattr(runs, "RUNS", tmp_path)
    monkeypatch.setattr(runs, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(study, "average", lambda folder: folder / "averaged")
    monkeypatch.setattr(study, "find_files", lambda folder: FILES)
    monkeypatch.setattr(study, "read_calibration", lambda folder: {"test": 0.02})
    (tmp_path / study.TEACHER.name / "silver").mkdir(parents=True)
    (tmp_path / study.TEACHER.name / "silver" / "report.json").touch()
    taught = [run for run in study.list_runs() if run.extra in runs.TAUGHT]
    for teacher in {teacher.name: teacher for run in taught for teacher in runs.list_teachers(run)}.values():
        (tmp_path / teacher.name).mkdir()
        (tmp_path / teacher.name / "report.json").touch()
    monkeypatch.setattr(study, "read_report", lambda folder: make_report(0.5))
    return started


def make_report(f1):
    scores = {"entities": {"micro avg": {"f1": f1}}, "documents": COUNTS}
    run = {"train_minutes": 7.6, "commit": "0123456789"}
    return {"dev": scores, "test": scores, "conllpp": scores, "run": run}


def test_runs_have_names_of_their_own():
    names = [run.name for run in study.list_runs()]
    assert len({*names}) == len(names)


@pytest.mark.parametrize("run", [run for run in study.list_runs() if not run.percent], ids=lambda run: run.name)
def test_a_run_is_started_with_what_its_name_says(launched, run):
    report = study.fine_tune(run, DATA)
    scripts = [script for script, *_ in launched]
    assert scripts == ["run_mlm.py"] * bool(run.millions) + ["run_ner.py"] * (2 if run.averaged or not run.trial else 1)
    _, model, data, training = launched[bool(run.millions)]
    assert (model.case_markers, data.context, training.seed) == (run.markers, run.context, run.seed)
    assert (model.model_name_or_path.startswith(str(study.RUNS))) == bool(run.millions)
    assert training.do_predict != bool(run.trial)
    silver = study.RUNS / study.TEACHER.name / "silver" / "predictions" / "test.conll"
    assert data.extra_train_file == {"": None, "dev": FILES["dev"], "silver": [str(silver)]}.get(run.extra)
    teachers = (
        [str(study.RUNS / teacher.name) for teacher in runs.list_teachers(run)] if run.extra in runs.TAUGHT else []
    )
    assert (data.teacher or []) == teachers
    assert data.unlabelled_file == ([DATA.silver] if teachers else None)
    assert model.student_layers == (run.layers or None)
    assert training.do_eval == (run.extra != "dev")  # what is trained on is no measure
    assert all(report[split]["documents"] == COUNTS for split in report.keys() - {"run", "study"})
    if not run.trial:  # CoNLL++: one split is scored, and nothing else is done
        assert [launched[-1][3].do_train, launched[-1][3].do_eval, launched[-1][3].do_predict] == [False, False, True]
    if run.millions:
        _, pretrained, text, pretraining = launched[0]
        assert pretrained.case_markers == run.markers
        assert text.train_file == [DATA.text, *[str(study.RUNS / "articles.txt")] * run.articles]
        # the checkpoints that the runs start from are saved, and kept
        assert study.MLM_STEPS % pretraining.save_steps == 0
        assert pretraining.max_steps == run.millions * study.MLM_STEPS
        assert pretraining.lr_scheduler_type == "constant_with_warmup"  # else a longer one could not go on from it
        step = text.block_size * pretraining.per_device_train_batch_size
        assert report["study"]["millions"] == run.millions
        assert run.pretraining_result.exists()
        assert step * study.MLM_STEPS == pytest.approx(1e6, rel=0.01)


@pytest.mark.parametrize("run", runs.list_augmented(), ids=lambda run: run.name)
def test_augmentations_of_a_share_differ_in_nothing_else(launched, run):
    report = study.fine_tune(run, DATA)
    *pretrained, (script, model, data, training) = launched  # CoNLL++ is not scored
    assert script == "run_ner.py"
    assert [one[3].max_steps for one in pretrained] == [7 * study.MLM_STEPS] * (run.augmentation in ("fill", "all"))
    fillers = [str(study.FILLER.pretraining / f"checkpoint-{one[3].max_steps}") for one in pretrained]
    assert [data.augmentation_model] == (fillers or [None])
    assert data.augmentation == (list(study.AUGMENTED[run.augmentation]) or None)
    assert (data.train_share, training.max_steps) == (run.percent / 100, study.AUGMENTED_STEPS[run.percent])
    assert (model.model_name_or_path, model.case_markers, data.context) == ("minilm-l6", True, "document")
    assert (training.do_eval, training.do_predict, str(training.eval_strategy.value)) == (True, True, "no")
    assert report["calibration"] == {"test": 0.02}
    assert study.Run(**report["study"]) == run


@pytest.mark.parametrize("run", runs.list_few(), ids=lambda run: run.name)
def test_nothing_but_a_tenth_of_the_documents_has_labels(launched, run):
    study.fine_tune(run, DATA)
    script, model, data, training = launched[-1]
    assert (script, data.train_share, data.augmentation, data.extra_train_file) == ("run_ner.py", 0.1, None, None)
    assert ("mpnet" in model.model_name_or_path) == (run.encoder == "mpnet")
    assert [one[0] for one in launched[:-1]] == ["run_mlm.py"] * bool(run.millions)
    if run.extra:
        assert data.teacher == [str(study.RUNS / "mpnet-train10-none-markers-document-seed42")]
        assert (data.unlabelled_file, training.max_steps) == ([DATA.silver], -1)
    else:
        assert (data.teacher, training.max_steps) == (None, study.AUGMENTED_STEPS[10])


def test_the_table_of_augmentation_has_each_share_and_each_way_with_three_seeds():
    augmented = [run for run in study.list_runs() if run.percent and run not in runs.list_few()]
    assert len({run.name for run in augmented}) == len(augmented) == 4 * 6 * 3
    assert {run.result.parent for run in augmented} == {runs.RESULTS / "study"}


def test_the_calibration_is_that_of_the_figures_of_the_page(tmp_path):
    figures = {"dev": {"calibration": {"ece": 0.01, "count": 3}}, "test": {"calibration": {}}}
    (tmp_path / "analysis.json").write_text(json.dumps(figures))
    assert study.read_calibration(tmp_path) == {"dev": 0.01}


def test_a_name_without_a_run_is_refused(monkeypatch):
    data = [word for key, value in vars(DATA).items() for word in (f"--{key}", value)]
    monkeypatch.setattr("sys.argv", ["study", *data, "mniilm-*"])
    with pytest.raises(RecipeError, match=r"names: mniilm-\*: no run has this name"):
        study.main()


def test_silver_data_are_tagged_by_the_trained_teacher(launched, tmp_path, monkeypatch):
    (tmp_path / study.TEACHER.name / "silver" / "report.json").unlink()
    monkeypatch.setattr(study, "SILVER_SHARE", 1)
    text = tmp_path / "news.txt"
    text.write_text("Ada met Bo.\n\nNobody else.\n")
    study.fine_tune(study.Run("minilm", extra="silver", trial="x"), replace(DATA, silver=str(text)))
    teacher, corrected, tagging, student = launched
    assert teacher[2].data_dir == DATA.data_dir
    assert [corrected[2].test_file, tagging[2].test_file] == [[DATA.conllpp], [str(tmp_path / "words.conll")]]
    assert tagging[1].model_name_or_path == teacher[3].output_dir
    assert student[2].extra_train_file == [f"{tagging[3].output_dir}/predictions/test.conll"]
    words = [sentence.words for sentence in list_sentences(read_columns(tmp_path / "words.conll"))]
    assert words == [["Ada", "met", "Bo", "."], ["Nobody", "else", "."]]


def test_the_training_split_is_text_to_pretrain_on(tmp_path, monkeypatch):
    (tmp_path / "train.txt").write_text(
        "-DOCSTART- O\n\nAda B-PER\nmet O\nBo B-PER\n\nNobody O\n\n-DOCSTART- O\n\nRain O\n"
    )
    monkeypatch.setattr(study, "RUNS", tmp_path / "runs")
    assert study.write_articles(replace(DATA, data_dir=str(tmp_path))).read_text() == "Ada met Bo\nNobody\n\nRain\n"


def test_the_weights_of_the_checkpoints_are_averaged(tmp_path):
    for value in (1.0, 4.0):
        (tmp_path / f"checkpoint-{value:.0f}").mkdir()
        save_file({"head.bias": torch.full((2,), value)}, tmp_path / f"checkpoint-{value:.0f}" / "model.safetensors")
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_text(name)
    folder = study.average(tmp_path)
    assert load_file(folder / "model.safetensors")["head.bias"].tolist() == [2.5, 2.5]
    assert (folder / "config.json").read_text() == "config.json"


def test_what_was_crossed_is_a_table_of_means():
    seeds = [(study.Run("minilm", seed=seed), make_report(f1)) for seed, f1 in ((1, 0.90), (2, 0.91))]
    table = format_study([*seeds, (study.Run("minilm", trial="bold"), make_report(0.5))])
    assert table.splitlines()[0].endswith("| no markers, context document | markers, context document |")
    assert table.splitlines()[2:] == ["| minilm | none |  |  |  |  | 90.5 ± 0.7 / 90.5 ± 0.7 / 90.5 ± 0.7 |"]


def test_tags_are_means_over_the_seeds_of_one_line(tmp_path):
    def tags(f1):
        return {"tags": {tag: {"f1": f1} for tag in REFERENCE}}

    labels = tmp_path / "labels.json"
    labels.write_text(json.dumps(tags(0.97)))
    first = {"dev": tags(0.95), "test": tags(0.90), "conllpp": tags(0.80)}
    second = {"dev": tags(0.97), "test": tags(0.92), "conllpp": tags(0.84)}
    seeds = [(study.Run("mpnet", seed=1), first), (study.Run("mpnet", seed=2), second)]
    others = [(study.Run("minilm"), {}), (study.Run("mpnet", trial="bold"), {})]
    table = format_tags([*seeds, *others], "mpnet-markers-document", labels)
    assert table.splitlines()[2] == "| B-LOC | 0.916 | 0.960 | 0.910 | 0.820 | 0.970 |"
    assert len(table.splitlines()) == 2 + len(REFERENCE)


def test_what_was_trained_on_has_no_score():
    report = make_report(0.9)
    del report["dev"]
    assert "| minilm | none | dev |  |  |  | - / 90.0 / 90.0 |" in format_study(
        [(study.Run("minilm", extra="dev"), report)]
    )


def test_trials_are_a_table_of_what_they_changed():
    trial = study.Run("mpnet", 1, markers=False, trial="bold", changes={"learning_rate": 1e-4, "weight_decay": 0})
    table = format_trials([(trial, make_report(0.9567)), (study.Run("mpnet"), make_report(0.5))])
    assert table.splitlines()[2:] == [
        "| mpnet-mlm1M-document |  | `--learning_rate 0.0001 --weight_decay 0` | 95.67 | 8 | 0123456789 |"
    ]


def test_written_results_are_of_runs_that_the_study_lists():
    written = {*runs.RESULTS.glob("*.json"), *runs.RESULTS.glob("study/*.json")}
    pretrained = {run.pretraining_result for run in study.list_runs() if run.millions}
    assert written <= pretrained | {run.result for run in study.list_runs()}
    assert {run.result for run, _ in load_study()} == written - pretrained
    assert all("test" not in report for run, report in load_study() if run.trial)

"""`report.html` and `analysis.json`: made from a run's folder alone, whatever parts of it are there."""

import json
import logging
import re
from pathlib import Path

import pytest
import yaml

from recipe.data.documents import Document, Sentence, list_sentences
from recipe.errors import RecipeError
from recipe.evaluation.filled import FilledExample, FilledPiece, name_filled, write_filled
from recipe.evaluation.predictions import Confidences, name_confidences, write_mentions, write_predictions
from recipe.evaluation.scoring import score
from recipe.hub import report
from recipe.hub.report import main, make_report, try_report

SECRET = "Zyxwia"
GOLD = [["B-PER", "O", "B-LOC"], ["O", "B-ORG"]]
PREDICTED = [["B-PER", "O", "B-ORG"], ["O", "B-ORG"]]
DOCUMENTS = [Document([Sentence([SECRET, "left", "Oslo"], GOLD[0]), Sentence(["the", "yard"], GOLD[1])])]
CONFIDENCES = [Confidences([0.9, 0.9, 0.95], [0.9, 0.95]), Confidences([0.9, 0.6], [0.6])]
HISTORY = [{"step": step, "loss": 1 / step, "eval_f1": 0.5} for step in (1, 2, 3)]


def write_json(path: Path, content) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


@pytest.fixture
def folder(tmp_path):
    """The folder of a finished tagger."""
    folder = tmp_path / "tagger"
    write_json(folder / "config.json", {"architectures": ["BertForTokenClassification"]})
    write_json(folder / "trainer_state.json", {"log_history": HISTORY})
    scores = score(GOLD, PREDICTED)
    write_json(folder / "report.json", {"dev": scores, "test": scores, "run": {}})
    settings = {"do_train": True, "learning_rate": 0.5, "model_name_or_path": str(tmp_path / "encoder")}
    record = {"settings": settings, "data": "newswire-mini", "model": "encoder", "train_minutes": 1.5}
    (folder / "run.yaml").write_text(yaml.safe_dump(record | {"precision": "bf16", "sentences": {"test": 2}}))
    for split in ("dev", "test"):
        write_predictions(folder, split, DOCUMENTS, PREDICTED, CONFIDENCES)
    write_mentions(folder, list_sentences(DOCUMENTS))
    return folder


def test_the_verb_writes_the_page_and_the_figures(folder, capsys):
    main([str(folder)])
    assert capsys.readouterr().out == f"{folder / 'report.html'}\n"
    page = (folder / "report.html").read_text()
    for text in (SECRET, "newswire-mini", "1.5 minutes, bf16", "learning_rate: 0.5", "Dev F1", 'id="labels"'):
        assert text in page
    figures = json.loads((folder / "analysis.json").read_text())
    assert list(figures) == ["test", "dev"]
    assert figures["test"]["kinds"] == {
        **{"correct": 2, "wrong type": 1, "wrong boundary": 0},
        **{"wrong type and boundary": 0, "missed": 0, "spurious": 0},
    }
    assert figures["test"]["buckets"]["seen in training"]["seen"]["support"] == 3
    assert figures["test"]["calibration"]["count"] == 3
    assert figures["test"]["suspects"] == {"backed": 0, "unknown": 0, "contradicted": 1}


def test_the_figures_contain_no_text_of_the_data(folder):
    made = make_report(folder)
    assert SECRET in made.page
    assert SECRET not in json.dumps(made.figures)
    assert "Oslo" not in json.dumps(made.figures)


def test_a_page_without_text_has_all_figures_and_no_word_of_the_data(folder):
    make_report(folder).write(folder)
    made = make_report(folder, with_text=False)
    for section in ("scores", "curves", "confusion", "errors", "buckets", "calibration"):
        assert f'id="{section}"' in made.page
    for word in (SECRET, "Oslo", "yard"):  # the other two are words of every page
        assert word in make_report(folder).page
        assert word not in made.page
    for path in (folder / "predictions").iterdir():
        path.unlink()
    assert make_report(folder, with_text=False) == made  # it reads no text at all


def test_a_page_without_text_says_if_there_is_no_analysis(folder):
    made = make_report(folder, with_text=False)
    assert made.page.count(report.NO_ANALYSIS) == 2
    assert 'id="scores"' in made.page


def test_the_same_folder_gives_the_same_page(folder):
    assert make_report(folder) == make_report(folder)


def test_an_older_folder_gives_a_page_that_says_what_is_left_out(folder):
    for split in ("dev", "test"):
        name_confidences(folder, split).unlink()
    (folder / "predictions" / "train_mentions.json").unlink()
    page = make_report(folder).page
    for note in (report.NO_CONFIDENCES, report.NO_MENTIONS):
        assert page.count(f'<p class="note">{note}</p>') == 2
    assert 'id="calibration"' not in page
    (folder / "predictions" / "test.conll").unlink()
    made = make_report(folder)
    assert made.page.count(report.NO_PREDICTIONS) == 1
    assert list(made.figures) == ["dev"]


@pytest.mark.parametrize("gone", [["test"], ["dev", "test"]])
def test_the_analysis_of_a_split_whose_predictions_are_gone_is_kept(folder, gone):
    main([str(folder)])
    figures = (folder / "analysis.json").read_text()
    for split in gone:
        (folder / "predictions" / f"{split}.conll").unlink()
    main([str(folder)])
    assert (folder / "analysis.json").read_text() == figures
    page = (folder / "report.html").read_text()
    assert page.count(report.NO_PREDICTIONS) == len(gone)
    assert page.count('class="matrix') == 2  # the confusion of both splits
    assert page.count('class="browser"') == 2 - len(gone)
    assert "None found." not in page
    assert ('id="labels"' in page) == (len(gone) == 1)


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        ([["B-PER", "O", "B-LOC"], ["O", "B-ORG"]], "micro avg: f1 1, reported 0.6666666667"),
        ([["B-ORG", "O", "B-LOC"], ["O", "B-ORG"]], "LOC: f1 1, reported 0"),  # as many hits, of other types
    ],
)
def test_predictions_of_another_model_are_refused(folder, tags, found):
    write_predictions(folder, "dev", DOCUMENTS, tags, CONFIDENCES)
    message = f"predictions/dev.conll: not the predictions that report.json scores ({found}): score the run again, or"
    with pytest.raises(RecipeError, match=re.escape(message)):
        main([str(folder)])
    assert not (folder / "report.html").exists()


def test_predictions_of_other_data_are_refused(folder):
    gold = [Document([Sentence(["Mara", "left", "Oslo"], ["O", "O", "B-LOC"]), DOCUMENTS[0].sentences[1]])]
    write_predictions(folder, "dev", gold, PREDICTED, CONFIDENCES)
    with pytest.raises(RecipeError, match=r"dev\.conll: .* \(micro avg: support 2, reported 3\)"):
        main([str(folder)])


def test_a_pushed_folder_without_predictions_and_record_has_a_page(folder):
    for path in (folder / "predictions").iterdir():
        path.unlink()
    (folder / "run.yaml").unlink()
    made = make_report(folder)
    assert made.figures == {}
    assert 'id="scores"' in made.page
    made.write(folder)
    assert not (folder / "analysis.json").exists()


def test_curves_of_the_pretraining_are_shown_where_its_folder_is_at_hand(folder, tmp_path, caplog):
    assert "Before: encoder" not in make_report(folder).page
    write_json(tmp_path / "encoder" / "trainer_state.json", {"log_history": HISTORY})
    assert "Before: encoder" in make_report(folder).page
    (tmp_path / "encoder" / "trainer_state.json").write_text("{")
    assert "Before: encoder" not in make_report(folder).page
    assert "trainer_state.json" in caplog.text


@pytest.mark.parametrize("name", ["x" * 5000, "x/" * 5000, "a\0b", "~nobody"])
def test_a_model_whose_name_can_be_no_folder_has_no_curves(folder, name):
    (folder / "run.yaml").write_text(yaml.safe_dump({"settings": {"model_name_or_path": name}}))
    assert "Before: " not in make_report(folder).page


def test_a_masked_language_model_has_a_page(tmp_path):
    scores = {"loss": 2.0, "perplexity": 7.4, "masked_accuracy": 0.5}  # of an earlier version
    write_json(tmp_path / "metrics.json", {"dev": scores, "run": {}})
    write_json(tmp_path / "trainer_state.json", {"log_history": [*HISTORY, {"step": 4, "eval_perplexity": 7.4}]})
    made = make_report(tmp_path)
    assert "Masked pretraining" in made.page
    assert "Perplexity by step" in made.page
    assert "quotes the data" not in made.page


def test_the_filled_examples_of_a_masked_language_model_are_shown_and_left_out_without_text(tmp_path):
    scores = {"loss": 2.0, "perplexity": 7.4, "masked_accuracy": 0.5}
    write_json(tmp_path / "metrics.json", {"dev": scores, "run": {}})
    piece = FilledPiece(SECRET, False, False)
    example = FilledExample(3, [piece], piece, [piece], [(SECRET, 0.25)], 1, 0.25)
    write_filled(tmp_path, "dev", [example])
    assert make_report(tmp_path).page.count(SECRET) == 4
    without = make_report(tmp_path, with_text=False).page
    assert SECRET not in without
    assert "7.40" in without
    name_filled(tmp_path, "dev").write_text("{}\n")
    with pytest.raises(RecipeError, match=r"dev.filled.jsonl: 'block': evaluate the run again, or delete the file"):
        make_report(tmp_path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("report.json", "{"),
        ("report.json", '{"test": {"entities": {}, "tags": {}}}'),
        ("report.json", '{"test": {"entities": {"micro avg": {"f1": "x"}}, "tags": {}}}'),
        ("report.json", '{"test": 1}'),
        *(("report.json", content) for content in ("[]", "null", '{"test": NaN}', "")),
        ("trainer_state.json", '{"log_history": [{"loss": 1.0}]}'),
        ("trainer_state.json", '{"log_history": 1}'),
        ("run.yaml", "- 1"),
        ("run.yaml", "settings: 1"),
        ("predictions/test.conll", "one two\n"),
        ("predictions/test.confidences.jsonl", "{}\n"),
        ("predictions/test.confidences.jsonl", '{"words":[1,1,1],"entities":[]}\n{"words":[1,1],"entities":[]}\n'),
    ],
)
def test_a_damaged_file_is_refused_in_one_line_and_only_warned_about_at_the_end_of_a_run(folder, name, content, caplog):
    (folder / name).write_text(content)
    with pytest.raises(RecipeError, match=str(folder)) as caught:
        main([str(folder)])
    assert "\n" not in str(caught.value)
    assert not (folder / "report.html").exists()
    with caplog.at_level(logging.WARNING):
        try_report(folder)
    [warning] = [record.getMessage() for record in caplog.records if record.name == "recipe.hub.report"]
    assert warning.startswith("no report.html: ")
    assert warning.endswith(f"(python -m recipe report {folder} makes it later)")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("report.json", {"test": 1}, "test: 1 is not an object with keys: fix the file"),
        (
            "report.json",
            {"test": {"entities": {"micro avg": {"f1": 2}}}},
            "test.entities.micro avg.f1: 2 is not between",
        ),
        ("report.json", {"test": {"entities": {}}}, "test.entities: has no 'micro avg': fix"),
        ("report.json", {"dev": {"loss": -1}}, "dev.loss: -1 is not at least 0: fix"),
        ("report.json", {"dev": {"loss": 1}}, "dev: has no 'perplexity': fix"),
        (
            "report.json",
            {"test": {"entities": {"micro avg": {"f1": 1}}}},
            "test.entities.micro avg: has no 'precision'",
        ),
        ("analysis.json", {"test": {"kinds": {"missed": 1}}}, "test.kinds: has no 'correct': fix the file"),
        (
            "run.yaml",
            {"settings": {"model_name_or_path": 5}},
            "settings.model_name_or_path: 5 is not text: fix the file",
        ),
        ("run.yaml", {"settings": {"test_file": 5}}, "settings.test_file: 5 is not a list: fix the file"),
        ("run.yaml", {"sentences": {"test": "x"}}, "sentences.test: 'x' is not a whole number of at least 0: fix"),
        ("run.yaml", {"train_minutes": "x" * 99}, f"train_minutes: '{'x' * 59}... is not a number: fix the file"),
        ("trainer_state.json", {"log_history": [{"loss": 1}]}, "log_history[0]: has no 'step': fix the file"),
        (
            "trainer_state.json",
            {"log_history": [{"step": 1, "eval_f1": 2}]},
            "log_history[0].eval_f1: 2 is not between",
        ),
        ("config.json", {"architectures": 7}, "architectures: 7 is not a list: fix the file"),
        ("analysis.json", {"test": {"buckets": {"a": {"b": {"f1": -1}}}}}, "test.buckets.a.b.f1: -1 is not between 0"),
        (
            "analysis.json",
            {"test": {"kinds": {"missed": -1}}},
            "test.kinds.missed: -1 is not a whole number of at least 0",
        ),
        (
            "predictions/test.filled.jsonl",
            {"rank": -1},
            "line 1.rank: -1 is not a whole number of at least 1: evaluate",
        ),
        ("predictions/test.filled.jsonl", {"probability": 3}, "line 1.probability: 3 is not between 0 and 1: evaluate"),
        (
            "predictions/test.filled.jsonl",
            {"candidates": [["a", 0.5], ["b", 3.0]]},
            "line 1.candidates[1]: 3.0 is not between 0 and 1: evaluate",
        ),
        ("predictions/train_mentions.json", {"Oslo": {"LOC": -1}}, "Oslo.LOC: -1 is not a whole number of at least 0"),
    ],
)
def test_a_value_that_the_recipe_does_not_write_is_named_with_its_file(folder, name, content, message):
    if name.endswith(".filled.jsonl"):
        write_json(folder / "report.json", {"test": {"loss": 2.0, "perplexity": 7.4, "masked_accuracy": 0.5}})
        piece = ["a", False, False]
        example = {"block": 3, "before": [piece], "original": piece, "after": [], "candidates": []}
        content = example | {"rank": 1, "probability": 0.5} | content
    (folder / name).write_text(json.dumps(content))
    with pytest.raises(RecipeError, match=re.escape(f"{folder / name}: {message}")):
        make_report(folder, with_text=name != "analysis.json")


def test_a_probability_of_a_word_that_is_none_is_named(folder):
    path = name_confidences(folder, "test")
    path.write_text(path.read_text().replace("0.6", "3"))
    with pytest.raises(RecipeError, match=r"test.confidences.jsonl: line 2: 3 is not between 0 and 1: score the run"):
        make_report(folder)


def test_an_unforeseen_error_of_the_page_ends_no_run(folder, monkeypatch, caplog):
    monkeypatch.setattr(report, "render_page", lambda page: 1 / 0)
    try_report(folder)
    assert "no report.html: " in caplog.text
    assert "ZeroDivisionError" in caplog.text


def test_a_page_that_cannot_be_written_is_an_error(folder):
    (folder / "report.html").mkdir()
    with pytest.raises(RecipeError, match=r"report.html: Is a directory"):
        try_report(folder)


def test_a_folder_without_results_is_refused(tmp_path):
    with pytest.raises(RecipeError, match="has neither scores nor learning curves"):
        main([str(tmp_path)])
    with pytest.raises(RecipeError, match="no-such: no such folder"):
        main(["no-such"])
    (tmp_path / "report.json").write_text("{}")
    with pytest.raises(RecipeError, match=r"report\.json: is a file: give its folder"):
        main([str(tmp_path / "report.json")])


def test_a_page_without_scores_says_so(folder):
    (folder / "report.json").unlink()
    assert "none in the folder (report.json or metrics.json)" in make_report(folder).page

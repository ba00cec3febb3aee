"""Early stopping, and the line that says that an earlier checkpoint was better."""

import json

import pytest
from transformers import TrainerControl, TrainerState

import run_ner
from conftest import fingerprint
from recipe.arguments import RunArguments, parse
from recipe.data.documents import Document, Sentence
from recipe.errors import RecipeError
from recipe.training.best import EarlyStopping, check_gold, describe_decline


def make_arguments(folder, **settings):
    flags = {"output_dir": folder, "eval_strategy": "steps", "save_strategy": "steps"} | settings
    return parse([f"--{key}={value}" for key, value in flags.items()], RunArguments)[0]


def make_state(key, values):
    return TrainerState(log_history=[{"step": 10 * number, key: value} for number, value in enumerate(values, 1)])


@pytest.mark.parametrize(
    ("metric", "values", "stops"),
    [
        ("f1", [0.1, 0.3, 0.2], False),
        ("f1", [0.1, 0.3, 0.2, 0.3], True),  # as good is not better
        ("f1", [0.1, 0.3, 0.2, 0.4], False),
        ("loss", [3.0, 1.0, 2.0, 1.5], True),
        ("loss", [3.0, 2.0, 1.0], False),
        ("f1", [], False),
    ],
)
def test_training_stops_after_evaluations_that_are_not_better(tmp_path, metric, values, stops):
    control = TrainerControl()
    args = make_arguments(tmp_path, metric_for_best_model=metric)
    EarlyStopping(2).on_evaluate(args, make_state(f"eval_{metric}", values), control)
    assert control.should_training_stop == stops


def test_without_evaluations_patience_is_refused(tmp_path):
    with pytest.raises(RecipeError, match="early_stopping_patience: there are no evaluations"):
        make_arguments(tmp_path, eval_strategy="no", early_stopping_patience=2)


def test_a_run_stops_early_and_a_resumed_one_at_the_same_step(encoder, column_files, tmp_path):
    def train(folder, *more):
        flags = {"model_name_or_path": encoder, "data_dir": column_files, "output_dir": folder, "max_seq_length": 48}
        flags |= {"do_train": True, "do_eval": True, "eval_strategy": "steps", "eval_steps": 2, "save_steps": 2}
        flags |= {"max_steps": 40, "learning_rate": 1e-9, "early_stopping_patience": 3, "metric_for_best_model": "f1"}
        run_ner.main([*(f"--{key}={value}" for key, value in (flags | {"precision": "fp32"}).items()), *more])
        return json.loads((folder / "trainer_state.json").read_text())["global_step"]

    assert train(tmp_path / "one") == 8
    whole = fingerprint(tmp_path / "one")
    (tmp_path / "two").mkdir()
    (tmp_path / "one" / "checkpoint-4").rename(tmp_path / "two" / "checkpoint-4")
    assert train(tmp_path / "two") == 8
    assert fingerprint(tmp_path / "two") == whole


def test_a_last_evaluation_that_is_clearly_worse_is_said(tmp_path):
    worse = make_state("eval_f1", [0.5, 0.655, 0.612])
    line = describe_decline(worse, make_arguments(tmp_path))
    assert line.startswith(
        "dev F1 is 0.612 at the last evaluation (step 30), but was 0.655 at step 20: to keep the best"
    )
    best = {"load_best_model_at_end": True, "metric_for_best_model": "f1"}
    assert describe_decline(worse, make_arguments(tmp_path, **best)) is None
    assert describe_decline(make_state("eval_f1", [0.65, 0.645]), make_arguments(tmp_path)) is None
    assert describe_decline(make_state("eval_loss", [1.0]), make_arguments(tmp_path)) is None


def test_dev_without_entities_chooses_no_checkpoint(tmp_path, caplog):
    rain = [Document([Sentence(["Rain"], ["O"])])]
    oslo = [Document([Sentence(["Oslo"], ["B-LOC"])])]
    best = {"do_train": True, "load_best_model_at_end": True, "metric_for_best_model": "f1"}
    check_gold({"train": rain, "dev": oslo, "test": oslo}, make_arguments(tmp_path, **best))
    assert not caplog.text
    message = "dev: has no entities, every tag is O, so no checkpoint is the best by f1: use other dev data, or set"
    for chosen in (best, {"do_train": True, "metric_for_best_model": "f1", "early_stopping_patience": 2}):
        with pytest.raises(RecipeError, match=message):
            check_gold({"train": oslo, "dev": rain}, make_arguments(tmp_path, **chosen))
    check_gold({"dev": rain, "test": rain}, make_arguments(tmp_path, **best | {"metric_for_best_model": "loss"}))
    assert "dev: has no entities, every tag is O: its F1 says nothing" in caplog.text
    assert "test: has no entities" in caplog.text

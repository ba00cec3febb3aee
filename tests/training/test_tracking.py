"""Trackers: refused before anything loads, and given names, settings and scores by transformers' own callbacks."""

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import run_mlm
import run_ner
from recipe.training import tracking
from recipe.training.settings import TrainingArguments
from recipe.training.tracking import check_trackers, name_run

# What the callbacks of transformers use of the two packages. Each call is kept; any other use is an AttributeError.
TRACKIO = """
__version__ = "0.43.0"
calls, config = [], {}
class Variable:
    value = None
    def get(self): return self.value
class context_vars: current_run, current_space_id = Variable(), Variable()
def init(**options): calls.append(("init", options)); context_vars.current_run.value = "run"
def log(figures): calls.append(("log", figures))
def finish(): calls.append(("finish", {})); context_vars.current_run.value = None
config = type("Config", (dict,), {"update": lambda self, given, **_: dict.update(self, given)})()
"""
WANDB = """
import types
calls, run = [], None
mode, has_login = "online", False
config = type("Config", (dict,), {"update": lambda self, given, **_: dict.update(self, given)})()
def setup(): return types.SimpleNamespace(settings=types.SimpleNamespace(mode=mode))
def login(prompt): return has_login
def init(**options):
    global run
    calls.append(("init", options))
    run = types.SimpleNamespace(summary={}, _label=lambda **_: None)
def log(figures): calls.append(("log", figures))
def finish(): calls.append(("finish", {}))
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a package of a few lines, and return it."""

    def install(name, text):
        (tmp_path / "site").mkdir(exist_ok=True)
        (tmp_path / "site" / f"{name}.py").write_text(text)
        monkeypatch.syspath_prepend(tmp_path / "site")
        monkeypatch.delitem(sys.modules, name, raising=False)
        module = importlib.import_module(name)
        monkeypatch.setitem(sys.modules, name, module)  # is taken out again after the test
        return module

    return install


@pytest.fixture
def run(encoder, column_files, tmp_path):
    """Train for two steps with trackers; returns the folder."""

    def run(*trackers, **more):
        settings = {"model_name_or_path": encoder, "data_dir": column_files, "output_dir": tmp_path / "ner" / "mara"}
        settings |= {"max_seq_length": 48, "do_train": True, "do_predict": True, "max_steps": 2, "logging_steps": 1}
        settings |= {"save_strategy": "no", "disable_tqdm": True}
        run_ner.main([*(f"--{name}={value}" for name, value in (settings | more).items()), "--report_to", *trackers])
        return tmp_path / "ner" / "mara"

    return run


def check_logs(calls, folder, last="finish"):
    """The losses, and the final scores under the name of their split."""
    logged = {name: value for kind, figures in calls if kind == "log" for name, value in figures.items()}
    report = json.loads((folder / "report.json").read_text())
    assert logged["test/f1"] == pytest.approx(report["test"]["entities"]["micro avg"]["f1"], abs=1e-4)
    assert logged["train/loss"] > 0
    assert calls[-1][0] == last


def check_settings(config):
    assert config["learning_rate"] == 5e-5
    assert config["max_seq_length"] == 48  # of another layer than the Trainer's
    assert config["context"] == "document"
    assert "hub_token" not in config or config["hub_token"] in (None, "<HUB_TOKEN>")


def test_trackio_gets_name_settings_and_scores_and_makes_no_space(run, install):
    trackio = install("trackio", TRACKIO)  # has neither `freeze` nor `sync`, which make Spaces
    folder = run("trackio")
    options = trackio.calls[0][1]
    assert (options["name"], options["project"], options["space_id"]) == ("ner/mara", "huggingface", None)
    assert options["private"] is True  # of a Space that the environment asks for
    check_settings(trackio.config)
    check_logs(trackio.calls, folder)


def test_wandb_gets_name_project_settings_and_scores(run, install, monkeypatch):
    wandb = install("wandb", WANDB)
    inner = ModuleType("config_util")  # the only one of its inner modules that the callback imports
    inner.ConfigError = ValueError
    monkeypatch.setitem(sys.modules, "wandb.sdk.lib.config_util", inner)
    wandb.has_login = True
    monkeypatch.setenv("WANDB_PROJECT", "entities")
    folder = run("wandb", project="other", run_name="mine")
    assert wandb.calls[0] == ("init", {"project": "entities", "name": "mine"})
    check_settings(wandb.config)
    check_logs(wandb.calls, folder)


def read_events(folder):
    """The last value of each figure, how often it was logged, and all texts."""
    text, figures, numbers = "", {}, {}
    for path in folder.glob("runs/*"):
        events = EventAccumulator(str(path)).Reload()
        for name in events.Tags()["scalars"]:
            figures[name], numbers[name] = events.Scalars(name)[-1].value, len(events.Scalars(name))
        for name in events.Tags()["tensors"]:
            text += events.Tensors(name)[0].tensor_proto.string_val[0].decode()
    return text, figures, numbers


def test_tensorboard_gets_settings_and_scores(run):
    folder = run("tensorboard")
    text, figures, _ = read_events(folder)
    assert "max_seq_length" in text
    check_logs([("log", figures)], folder, last="log")


def test_tensorboard_gets_the_settings_and_scores_of_a_run_without_training(run, tmp_path, monkeypatch):
    model = run("none")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    scored = tmp_path / "scored"
    run("tensorboard", model_name_or_path=model, do_train=False, output_dir=scored, max_steps=-1)
    text, figures, numbers = read_events(scored)
    assert "max_seq_length" in text
    report = json.loads((scored / "report.json").read_text())
    assert figures["test/f1"] == pytest.approx(report["test"]["entities"]["micro avg"]["f1"], abs=1e-4)
    assert numbers["test/f1"] == 1
    assert list((tmp_path / "here").iterdir()) == []


def test_tensorboard_gets_the_settings_and_figures_of_masked_tokens_without_training(encoder, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    (tmp_path / "text.txt").write_text("The port of Lima was open on Monday .\n\n" * 20)
    monkeypatch.chdir(tmp_path / "here")
    settings = {"model_name_or_path": encoder, "validation_file": tmp_path / "text.txt", "output_dir": tmp_path / "run"}
    settings |= {"do_eval": True, "do_train": False, "disable_tqdm": True, "report_to": "tensorboard", "block_size": 32}
    run_mlm.main([f"--{name}={value}" for name, value in settings.items()])
    text, figures, _ = read_events(tmp_path / "run")
    assert "block_size" in text
    assert figures["eval/perplexity"] > 1
    assert list((tmp_path / "here").iterdir()) == []


def test_a_tracker_that_is_given_twice_logs_once(tmp_path, run):
    arguments = TrainingArguments(output_dir=str(tmp_path), report_to=["tensorboard", "tensorboard"])
    assert arguments.report_to == ["tensorboard"]
    folder = run("tensorboard", "tensorboard")
    _, _, numbers = read_events(folder)
    assert len(list(folder.glob("runs/*/*"))) == 2  # the training, and the final scores
    assert numbers["test/f1"] == 1


@pytest.mark.parametrize("name", ["tensorboard", "trackio", "wandb"])
def test_a_missing_tracker_is_refused_with_the_command_that_installs_it(tmp_path, monkeypatch, name):
    monkeypatch.setattr(tracking, "get_available_reporting_integrations", list)
    with pytest.raises(
        ValueError, match=rf"report_to: {name} is not installed: run .*python.* -m pip install {name}, or"
    ):
        TrainingArguments(output_dir=str(tmp_path), report_to=name)


def test_wandb_without_a_login_is_refused_before_it_would_be_needed(install, monkeypatch):
    wandb = install("wandb", WANDB)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    with pytest.raises(ValueError, match="wandb has no login: run wandb login, or set WANDB_MODE=offline"):
        check_trackers(["wandb"])
    wandb.mode = "offline"
    check_trackers(["wandb"])
    wandb.mode, wandb.has_login = "online", True
    check_trackers(["wandb"])


@pytest.mark.parametrize(
    ("given", "kept"), [(None, False), ("false", False), ("None", False), ("mara/runs", "mara/runs")]
)
def test_trackio_makes_a_space_only_if_it_is_named(tmp_path, given, kept):
    arguments = TrainingArguments(output_dir=str(tmp_path), trackio_static_space_id=given)
    assert arguments.trackio_static_space_id == kept


def test_a_run_is_called_like_the_end_of_its_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert name_run(Path("runs/ner/minilm")) == "ner/minilm"
    assert name_run(Path("mine")) == f"{tmp_path.name}/mine"
    assert name_run(Path("/mine")) == "mine"
    assert TrainingArguments(output_dir="runs/ner/minilm").run_name == "ner/minilm"
    assert TrainingArguments(output_dir="runs/ner/minilm", run_name="mara").run_name == "mara"

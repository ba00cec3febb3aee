"""`--help` of both scripts: short enough to read, whole enough to find every setting of the recipe's own."""

import dataclasses
import re

import pytest
import transformers

import run_mlm
import run_ner
from recipe.arguments import MlmArguments, NerArguments, RunArguments
from recipe.model.settings import ModelArguments

SCRIPTS = {"run_ner": (run_ner, NerArguments), "run_mlm": (run_mlm, MlmArguments)}


@pytest.fixture(params=SCRIPTS)
def script(request, monkeypatch, tmp_path):
    """A script's classes of settings, and a function that prints its help in an empty folder, which stays empty."""
    module, own = SCRIPTS[request.param]
    monkeypatch.chdir(tmp_path)

    def show(*argv):
        with pytest.raises(SystemExit) as caught:
            module.main(list(argv))
        assert caught.value.code == 0
        assert not list(tmp_path.iterdir())

    return (ModelArguments, own, RunArguments), show


def list_own(classes):
    """The fields that the recipe declares, by name."""
    return {field.name: field for cls in classes for field in dataclasses.fields(cls) if "resume" in field.metadata}


def read_entries(text):
    """The text behind each flag, continued lines joined; a flag that is listed twice has two."""
    entries = re.findall(r"^  --(\w+) (.*(?:\n {20,}.*)*)", text, re.M)
    return [(name, " ".join(entry.split())) for name, entry in entries]


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_fits_a_few_screens(script, capsys, flag):
    script[1](flag)
    lines = capsys.readouterr().out.splitlines()
    assert 20 < len(lines) <= 132
    assert max(map(len, lines)) <= 120


def test_help_lists_each_setting_of_the_recipe_once_with_its_default(script, capsys):
    classes, show = script
    show("--help")
    entries = read_entries(capsys.readouterr().out)
    own = list_own(classes)
    assert sorted(name for name, _ in entries) == sorted(own)
    for name, entry in entries:
        field, shown = own[name], re.search(r" \[([^][]*)\]$", entry)
        assert field.metadata["help"].removesuffix(".") in entry
        if field.default is None or field.default is False:  # told in words, where it has to be
            assert shown is None, name
        else:
            assert shown[1] == ("true" if field.default is True else str(field.default)), name


def test_help_is_shown_whatever_else_is_asked_for(script, capsys):
    script[1]("--do_train", "--config", "no_such.yaml", "--no_such_flag", "--help")
    assert "--precision" in capsys.readouterr().out


def test_help_all_lists_every_setting_of_the_trainer_too(script, capsys):
    classes, show = script
    show("--help_all")
    shown = set(re.findall(r"--(\w+)", capsys.readouterr().out))
    settings = {field.name for field in dataclasses.fields(transformers.TrainingArguments) if field.init}
    assert len(settings) > 80
    assert settings | set(list_own(classes)) <= shown

"""`python -m recipe VERB`: what it lists, explains and refuses."""

import subprocess
import sys

import pytest

import recipe
from conftest import ROOT
from recipe.__main__ import VERBS, main
from recipe.command_line import VerbParser
from recipe.errors import LocalError, RecipeError, exit_with


def run(*argv):
    return subprocess.run([sys.executable, "-m", "recipe", *argv], cwd=ROOT, capture_output=True, text=True)


@pytest.mark.parametrize("argv", [(), ("--help",), ("-h",)])
def test_without_a_verb_the_verbs_are_listed(argv):
    done = run(*argv)
    assert (done.returncode, done.stderr) == (0, "")
    for name, verb in VERBS.items():
        assert f"  {name:<10} {verb.help}\n" in done.stdout
    assert "python -m recipe VERB" in done.stdout


@pytest.mark.parametrize(("name", "suggestion"), [("scor", " (did you mean score?)"), ("train", "")])
def test_an_unknown_verb_is_refused_in_one_line_with_the_list(name, suggestion):
    done = run(name, "--help")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: unknown verb {name}{suggestion}: expected one of {' '.join(VERBS)}\n"


def test_a_verb_that_misses_its_argument_says_so_in_one_line():
    done = run("score")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert done.stderr.endswith(": file: see python -m recipe score --help\n")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_explains_itself_with_an_example(verb, capsys):
    with pytest.raises(SystemExit) as caught:
        main([verb, "--help"])
    shown = capsys.readouterr().out
    assert caught.value.code == 0
    assert shown.startswith(f"usage: python -m recipe {verb} ")
    assert f"\nexample:\n  python -m recipe {verb} " in shown
    assert all(len(line) <= 120 for line in shown.splitlines())


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("argv", [[], ["--no_such_flag"]])
def test_each_verb_refuses_a_wrong_command_line_in_one_line(verb, argv, capsys):
    with pytest.raises(SystemExit) as caught:
        exit_with(lambda: main([verb, *argv]))
    printed = capsys.readouterr()
    assert (caught.value.code, printed.out) == (2, "")
    assert printed.err.startswith("error: ")
    assert printed.err.endswith(f": see python -m recipe {verb} --help\n")
    assert printed.err.count("\n") == 1


@pytest.mark.parametrize(("error", "status"), [(RecipeError, 2), (LocalError, 2), (ValueError, 70)])
def test_the_line_of_an_error_has_no_control_characters_of_the_data(error, status, capsys):
    def fail():
        raise error("a.conll: P\x1b[31mER\u202e \u05e9\x9b caf\u00e9")

    with pytest.raises(SystemExit) as caught:
        exit_with(fail)
    line = capsys.readouterr().err.splitlines()[-1]
    assert caught.value.code == status
    assert line.endswith("a.conll: P\\x1b[31mER\\u202e \u05e9\\x9b caf\u00e9")


def test_flags_of_a_verb_are_written_out():
    """An abbreviation would change its meaning as soon as another flag begins alike."""
    parser = VerbParser("score", "Score.", "python -m recipe score FILE")
    parser.add_argument("--json", action="store_true")
    assert parser.parse_args(["--json"]).json
    with pytest.raises(RecipeError, match=r"unrecognized arguments: --js: see python -m recipe score --help"):
        parser.parse_args(["--js"])


def test_every_exported_name_is_found_where_it_is_said_to_be():
    assert recipe.__all__
    for name in recipe.__all__:
        assert getattr(recipe, name).__name__ == name
        assert name in dir(recipe)


def test_a_name_that_is_not_exported_is_refused_with_the_list():
    with pytest.raises(AttributeError, match=r"'recipe' has no attribute 'Taggr'.*Tagger"):
        recipe.Taggr  # noqa: B018

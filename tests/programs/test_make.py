"""The Makefile passes names of files and folders on as they are, or refuses them."""

import os
import subprocess

import pytest

from conftest import ROOT


def run_make(*words, **environment):
    return subprocess.run(
        ["make", "-n", *words], cwd=ROOT, env=os.environ | environment, capture_output=True, text=True
    )


@pytest.mark.parametrize("value", ["a`touch {}`", "a$(touch {})", "$(shell touch {})", 'a"; touch {}; "', "a$HOME"])
@pytest.mark.parametrize("name", ["CKPT", "DATA", "MODEL"])
@pytest.mark.parametrize("origin", ["command line", "environment"])
def test_signs_that_the_shell_would_run_are_refused(tmp_path, name, value, origin):
    value = value.format(tmp_path / "made")
    words = {"CKPT": "runs/ner/name", "REPO": "user/name"} | {name: value}
    if origin == "environment":
        done = run_make("push", REPO="user/name", **{name: value})
    else:
        done = run_make("push", *(f"{key}={value}" for key, value in words.items()))
    assert done.returncode == 2
    assert f"*** {name}: contains " in done.stderr
    assert not (tmp_path / "made").exists()


def test_a_name_with_spaces_and_other_signs_stays_one_word():
    done = run_make("push", "CKPT=runs/ner/it's; a & (b)", "REPO=user/name")
    assert '"runs/ner/it\'s; a & (b)" "user/name"' in done.stdout


def test_a_target_whose_command_failed_is_not_taken_for_done():
    assert "\n.DELETE_ON_ERROR:\n" in (ROOT / "Makefile").read_text()

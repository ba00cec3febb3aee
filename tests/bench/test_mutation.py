"""The counts of mutants, and survivors as the lines that differ. No test runs mutmut: `make mutation` does."""

import json

from bench.mutation import GROUPS, summarize
from conftest import ROOT

MUTATED = """
def x__add__mutmut_orig(a, b=1):
    return (
        a + b
    )


def x__add__mutmut_1(a, b=2):
    return (
        a + b
    )


def x__add__mutmut_2(a, b=1):
    return (
        a - b
    )


class Box:
    def xǁBoxǁ__len____mutmut_orig(self):
        return 1

    def xǁBoxǁ__len____mutmut_1(self):
        return 2
"""


def test_survivors_are_the_lines_that_differ(tmp_path):
    (tmp_path / "sums.py").write_text(MUTATED)
    codes = {"sums.x__add__mutmut_1": 0, "sums.x__add__mutmut_2": 1, "sums.xǁBoxǁ__len____mutmut_1": 33}
    (tmp_path / "sums.py.meta").write_text(json.dumps({"exit_code_by_key": codes | {"sums.x_late__mutmut_1": -24}}))
    assert summarize(tmp_path, "sums.py") == {
        "mutants": 4,
        "killed": 1,
        "timed_out": 1,
        "survived": 2,
        "survivors": [
            {"function": "_add", "before": "def (a, b=1):", "after": "def (a, b=2):"},
            {"function": "Box.__len__", "before": "return 1", "after": "return 2"},
        ],
    }


def test_groups_name_files_that_exist():
    for modules, tests in GROUPS.values():
        files = [*modules, *(test.partition("::")[0] for test in tests if test.endswith(".py") or "::" in test)]
        assert [file for file in files if not (ROOT / file).is_file()] == []

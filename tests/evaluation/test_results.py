"""The tables of results stand for any finished run's report, and the reference beside its own test split alone."""

import json
from pathlib import Path

import pytest

from recipe.errors import RecipeError
from recipe.evaluation.results import format_reference, format_table, main
from recipe.evaluation.scoring import REFERENCE

RUN = {"model": "m", "data": "d", "seed": 1, "total_minutes": 2.4, "hardware": "h", "commit": "c"}


def write_report(path, tags, config):
    rows = {tag: {"precision": 0.5, "recall": 0.5, "f1": 0.5, "support": support} for tag, support in tags.items()}
    split = {"entities": {"micro avg": {"f1": 0.5}}, "tags": rows}
    command = {"command": f"python run_ner.py --config {config}"} if config else {}  # none in older reports
    path.write_text(json.dumps({"test": split, "run": RUN | {"config": config} | command}))
    return str(path)


def test_runs_on_other_data_or_without_a_configuration_have_rows_too(tmp_path):
    conll2003 = {tag: row[3] for tag, row in REFERENCE.items()}
    paths = [
        write_report(tmp_path / "own-seed1.json", conll2003, "configs/ner/own.yaml"),
        write_report(tmp_path / "wnut-seed1.json", {"B-group": 3, "O": 9}, None),
        write_report(tmp_path / "spanish-seed1.json", conll2003 | {"O": 9}, None),
    ]
    assert format_table(paths).splitlines()[2:] == [
        "| own | - | 50.0 | 1 | 2 | `python run_ner.py --config configs/ner/own.yaml` |",
        "| spanish | - | 50.0 | 1 | 2 |  |",
        "| wnut | - | 50.0 | 1 | 2 |  |",
    ]
    assert format_reference(paths).splitlines()[0] == "| tag | reference | own | support |"


def test_what_is_no_report_is_refused(tmp_path):
    with pytest.raises(RecipeError, match=r"none.json: .*: expected a copy of report.json"):
        format_table([str(tmp_path / "none.json")])


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["run"], []),
        (["run", "total_minutes"], ["a"]),
        (["run", "seed"], None),
        (["run", "changed"], "a"),
        (["test"], True),
        (["test", "entities"], []),
        (["test", "entities", "micro avg", "f1"], float("nan")),
        (["test", "entities", "micro avg", "f1"], 10**400),
        (["test", "entities", "micro avg", "f1"], 5),
        (["test", "tags", "O", "f1"], -0.5),
        (["test", "tags"], ["a"]),
        (["test", "tags", "O", "f1"], "0.5"),
        (["test", "tags", "O"], {"f1": 0.5}),
    ],
)
def test_a_report_without_the_figures_of_the_tables_is_refused_by_name(tmp_path, path, value):
    report = json.loads(Path(write_report(tmp_path / "a-seed1.json", {"O": 3}, None)).read_text())
    node = report
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    (tmp_path / "a-seed1.json").write_text(json.dumps(report))
    with pytest.raises(RecipeError, match=r"a-seed1\.json: not (as the recipe writes it|the report of a run)"):
        format_table([str(tmp_path / "a-seed1.json")])


def test_seeds_of_which_one_has_other_data_have_no_reference(tmp_path):
    tags = {tag: row[3] for tag, row in REFERENCE.items()}
    paths = [write_report(tmp_path / f"a-seed{seed}.json", tags if seed == 1 else {"O": 9}, None) for seed in (1, 2)]
    assert format_reference(paths) == ""


def test_a_report_in_its_folder_has_the_name_of_the_folder_and_no_reference_of_other_data(tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    main([write_report(tmp_path / "mine" / "report.json", {"B-group": 3, "O": 9}, None)])
    printed = capsys.readouterr().out
    assert "| mine | - | 50.0 |" in printed
    assert "reference" not in printed
    main([str(tmp_path / "mine")])  # the folder of the run
    assert capsys.readouterr().out == printed
    (tmp_path / "empty").mkdir()
    with pytest.raises(RecipeError, match=r"empty/report.json: "):
        main([str(tmp_path / "empty")])
    (tmp_path / "list.json").write_text("[1]")
    with pytest.raises(RecipeError, match="not the report of a run"):
        main([str(tmp_path / "list.json")])
    (tmp_path / "dev.json").write_text('{"train": {}, "run": {}}')
    with pytest.raises(RecipeError, match="has no scores"):
        main([str(tmp_path / "dev.json")])


def test_runs_with_other_settings_are_not_merged_into_one_mean(tmp_path):
    paths = []
    for seed, rate, f1 in ((1, 1e-4, 0.5), (2, 1e-4, 0.6), (3, 8e-4, 0.9)):
        path = tmp_path / f"own-seed{seed}.json"
        facts = RUN | {"seed": seed, "config": None, "changed": {"learning_rate": rate, "seed": seed}}
        path.write_text(json.dumps({"test": {"entities": {"micro avg": {"f1": f1}}, "tags": {}}, "run": facts}))
        paths.append(str(path))
    rows = [row.split(" | ")[:4] for row in format_table(paths).splitlines()[2:]]
    assert rows == [
        ["| own (learning_rate 0.0001)", "-", "55.0 ± 7.1", "1 2"],
        ["| own (learning_rate 0.0008)", "-", "90.0", "3"],
    ]

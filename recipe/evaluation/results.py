"""The result tables of the README, made from the reports of finished runs: `python -m recipe tables results/*.json`."""

import json
import math
import re
import statistics
from collections import defaultdict
from pathlib import Path

from recipe.command_line import VerbParser
from recipe.errors import RecipeError
from recipe.evaluation.scoring import REFERENCE, is_conll2003_test
from recipe.evaluation.shapes import FIGURES, each, keys

VARYING = ("seed", "data_seed", "output_dir", "run_name", "logging_dir", "hub_model_id", "restart", "config")
SPLITS = ("dev", "test")  # every finished run has at least one of them; a report can have others
ROWS = each(keys(FIGURES, ["f1"]))
TABLES = keys({"entities": ROWS, "tags": ROWS}, ["entities", "tags"])  # of a split
HEADER = ["recipe", "dev F1", "test F1", "seeds", "minutes", "rebuild it with"]


def format_table(paths: list[str]) -> str:
    """A Markdown table with one row per recipe: F1 (strict, micro average) in percent, mean ± sd over its seeds.

    paths: reports of runs, or copies of them; the name up to `-seed` names the recipe. That is the name of the file,
    or for a file called `report.json` the name of its folder.
    """
    rows = [
        [
            name,
            format_mean(reports, "dev"),
            format_mean(reports, "test"),
            " ".join(str(report["run"]["seed"]) for report in reports),
            f"{statistics.mean(report['run']['total_minutes'] for report in reports):.0f}",
            _find_command(name, reports[0]),
        ]
        for name, reports in _group_reports(paths).items()
    ]
    return format_markdown(HEADER, rows)


def _find_command(name: str, report: dict) -> str:
    """The command that makes all reports of a row, or for a run of your own its command."""
    if "study" in report:
        return f'`make study AGAIN=1 RUNS="{name}-seed*"`'
    return f"`{report['run']['command']}`" if "command" in report["run"] else ""


def format_reference(paths: list[str]) -> str:
    """A Markdown table of F1 by tag on the CoNLL-2003 test split: the reference, and each recipe's mean over seeds.

    Empty if no report is of that split.
    """
    groups = {
        name: group
        for name, group in _group_reports(paths).items()
        if all("test" in report and is_conll2003_test(report["test"]) for report in group)
    }
    if not groups:
        return ""
    rows = []
    for tag, (_, _, reference, support) in REFERENCE.items():
        scores = [mean_tag_f1(group, "test", tag) for group in groups.values()]
        rows.append([tag, f"{reference:.3f}", *(f"{score:.3f}" for score in scores), str(support)])
    return format_markdown(["tag", "reference", *groups, "support"], rows)


def find_best(paths: list[str]) -> str:
    """One line that names the recipe with the best mean F1 on dev; empty if there is only one."""
    groups = {name: reports for name, reports in _group_reports(paths).items() if all("dev" in one for one in reports)}
    if len(groups) < 2:
        return ""
    best = max(groups, key=lambda name: statistics.mean(read_f1(report, "dev") for report in groups[name]))
    return f"Best on dev: {best}, {format_mean(groups[best], 'dev')}"


def _group_reports(paths: list[str]) -> dict[str, list[dict]]:
    """The reports of each recipe. Reports of one name are separate recipes if other settings than the seed differ.

    paths: of reports, or of folders of runs.
    """
    groups: dict[str, dict[str, list[dict]]] = defaultdict(lambda: defaultdict(list))
    files = sorted(str(Path(path) / "report.json") if Path(path).is_dir() else path for path in paths)
    reports = {path: read_report(path) for path in files}
    names = {path: name_run(path).split("-seed")[0] for path in reports}
    recorded = {name: set[str]() for name in names.values()}
    for path, report in reports.items():
        if "changed" in report["run"]:
            recorded[names[path]].add(json.dumps(list_settings(report), sort_keys=True))
    for path, report in reports.items():
        if "test" in report or "dev" in report:
            own, known = json.dumps(list_settings(report), sort_keys=True), recorded[names[path]]
            # reports of earlier versions do not say what was changed: they go with the others of their name
            settings = next(iter(known)) if len(known) == 1 and "changed" not in report["run"] else own
            groups[names[path]][settings].append(report)
    if not groups:
        raise RecipeError(f"{paths[0]}: has no scores: run run_ner.py with do_eval or do_predict")
    return {
        name + label: reports
        for name, variants in groups.items()
        for label, reports in zip(_list_differences(list(variants)), variants.values(), strict=True)
    }


def list_splits(report: dict) -> list[str]:
    """The scored splits of a report."""
    parts = report.items()
    return [name for name, part in parts if name in SPLITS or (isinstance(part, dict) and "entities" in part)]


def name_run(path: str | Path) -> str:
    """The name of a run: that of the file of its report, or for a file called `report.json` that of its folder."""
    file = Path(path).resolve()
    return file.parent.name if file.name == "report.json" else file.stem


def list_settings(report: dict) -> dict:
    """The settings of a run that differ from their defaults, apart from those in which seeds of a recipe differ."""
    return {key: value for key, value in report["run"].get("changed", {}).items() if key not in VARYING}


def read_report(path: str | Path) -> dict:
    """One report. Raises RecipeError if it is not a report, or a figure is missing or not finite."""
    try:
        report = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(f"{path}: {error.strerror}: expected a copy of report.json") from None
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"{path}: {error}: expected a copy of report.json") from None
    if not isinstance(report, dict) or not isinstance(report.get("run"), dict):
        raise RecipeError(f"{path}: not the report of a run: expected a copy of report.json")
    try:
        splits = list_splits(report)
        keys(dict.fromkeys(splits, TABLES))(report, "")
        figures = [row["support"] for split in splits for row in report[split]["tags"].values()]
        figures += [read_f1(report, split) for split in splits]
        figures += [report["run"]["total_minutes"], report["run"]["seed"]] if splits else []
        if not all(map(math.isfinite, figures)):
            raise ValueError("a figure that is not finite")
        if not isinstance(report["run"].get("changed", {}), dict):
            raise ValueError("`changed` is no object")
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise RecipeError(f"{path}: not as the recipe writes it ({reason}): expected a copy of report.json") from None
    return report


def _list_differences(variants: list[str]) -> list[str]:
    """What tells variants of a recipe apart: ` (setting value, ...)`; nothing if there is only one."""
    settings = [json.loads(variant) for variant in variants]
    keys = sorted({key for one in settings for key in one if any(one[key] != other.get(key) for other in settings)})
    if not keys:
        return [""]
    return [" ({})".format(", ".join(f"{key} {one.get(key, 'default')}" for key in keys)) for one in settings]


def escape_markdown(text: object) -> str:
    """One line of Markdown that shows `text` as it is, also in the cell of a table."""
    return re.sub(r"([\\|<`*\[])", r"\\\1", " ".join(str(text).split()))


def format_markdown(header: list[str], rows: list[list[str]]) -> str:
    """Format `header` and `rows` as a Markdown table."""
    return "\n".join(f"| {' | '.join(row)} |" for row in [header, ["---"] * len(header), *rows])


def read_f1(report: dict, split: str) -> float:
    """F1 (strict, micro average) of one split in a `report.json`, in percent."""
    return 100 * report[split]["entities"]["micro avg"]["f1"]


def mean_tag_f1(reports: list[dict], split: str, tag: str) -> float:
    """F1 of one tag of a split, mean over the reports of several seeds."""
    return statistics.mean(report[split]["tags"][tag]["f1"] for report in reports)


def format_mean(reports: list[dict], split: str) -> str:
    """The mean of `read_f1` over the reports of several seeds, ± its standard deviation if there is more than one.

    A dash if the split was not scored, for example dev if it was used for training.
    """
    if any(split not in report for report in reports):
        return "-"
    scores = [read_f1(report, split) for report in reports]
    deviation = f" ± {statistics.stdev(scores):.1f}" if len(scores) > 1 else ""
    return f"{statistics.mean(scores):.1f}{deviation}"


def main(argv: list[str]) -> None:
    """`python -m recipe tables`: print tables from the reports of several runs."""
    parser = VerbParser(
        "tables",
        "Print Markdown tables from reports: one row per recipe, and F1 by tag with the reference.",
        "python -m recipe tables results/*.json",
    )
    parser.add_argument("reports", nargs="+", help="folders of runs, or reports named RECIPE-seedN.json")
    args = parser.parse_args(argv)
    best = find_best(args.reports)
    print("\n\n".join(filter(None, [format_table(args.reports), best, format_reference(args.reports)])))

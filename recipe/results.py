"""The README's table of results: `python -m recipe.results results/*.json` prints it from reports of finished runs."""

import json
import statistics
import sys
from collections import defaultdict
from pathlib import Path

from recipe.errors import RecipeError, exit_with

HEADER = ["recipe", "model", "data", "dev F1", "test F1", "seeds", "minutes", "hardware", "config", "commit"]


def format_table(paths: list[str]) -> str:
    """A Markdown table with a row for each group of reports alike but for their seed: F1 in percent, mean ± sd.

    paths: copies of `report.json`; the file name up to `-seed` names the recipe. F1 is the strict micro average.
    """
    groups = defaultdict(list)
    for path in sorted(paths):
        report = json.loads(Path(path).read_text(encoding="utf-8"))
        if "test" in report:
            groups[Path(path).stem.split("-seed")[0]].append(report)
    rows = [HEADER, ["---"] * len(HEADER)]
    for name, reports in groups.items():
        run = reports[0]["run"]
        rows.append(
            [
                name,
                run["model"],
                run["data"],
                _format_f1(reports, "dev"),
                _format_f1(reports, "test"),
                " ".join(str(report["run"]["seed"]) for report in reports),
                f"{statistics.mean(report['run']['total_minutes'] for report in reports):.0f}",
                run["hardware"],
                f"[{Path(run['config']).name}]({run['config']})",
                " ".join(sorted({report["run"]["commit"] for report in reports})),
            ]
        )
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _format_f1(reports: list[dict], split: str) -> str:
    scores = [100 * report[split]["entities"]["micro avg"]["f1"] for report in reports]
    deviation = f" ± {statistics.stdev(scores):.1f}" if len(scores) > 1 else ""
    return f"{statistics.mean(scores):.1f}{deviation}"


def main() -> None:
    """Print the table of the reports named on the command line."""
    if len(sys.argv) < 2:
        raise RecipeError("usage: python -m recipe.results report.json ...")
    print(format_table(sys.argv[1:]))


if __name__ == "__main__":
    exit_with(main)

"""Two or more systems side by side: differences in F1 with intervals and p-values, seeds, settings, time, examples.

`python -m recipe compare A B` compares finished runs, groups of seeds, or prediction files of any program.
"""

from collections.abc import Callable, Sequence
from math import isnan, nan
from pathlib import Path
from statistics import mean

from recipe.command_line import VerbParser
from recipe.errors import RecipeError
from recipe.evaluation.disagreements import tabulate_disagreements
from recipe.evaluation.rendering import FORMATS, Part, render
from recipe.evaluation.results import format_mean, list_settings
from recipe.evaluation.scoring import MICRO
from recipe.evaluation.systems import System, read_systems
from recipe.evaluation.uncertainty import (
    SIGNIFICANT,
    find_difference_intervals,
    find_intervals,
    find_least_seed_p,
    find_p_values,
    find_seed_p_value,
)
from recipe.files import check_output, write_whole

NO_COUNTS = (
    "has reports of an earlier version, without counts by document, so there are no intervals and p-values over "
    "documents: score these runs again, or give their folders."
)
SIGNED = "+z.1f"  # without -0.0
WEIGHTS = "model.safetensors"
UNCORRECTED = "The p-values of several rows, splits and systems are not corrected for their number."


def compare(arguments: Sequence[str], examples: int = 5) -> list[Part]:
    """The parts of a comparison. arguments: see `read_systems`. examples: number of each kind to show.

    The first system is the baseline that each other one is compared with; a single system is only described.
    Raises RecipeError if the systems cannot be compared.
    """
    return compare_systems(read_systems(arguments), examples)


def compare_systems(systems: Sequence[System], examples: int = 5) -> list[Part]:
    """`compare` for systems that were read."""
    results = [result for system in systems for result in system.results]
    splits = [split for split in results[0].splits if all(split in result.splits for result in results)]
    if not splits:
        scored = "; ".join(f"{result.path}: {' '.join(result.splits)}" for result in results)
        raise RecipeError(f"no split is scored in all systems ({scored}): score them on the same data")
    parts = [_list_systems(systems, splits)]
    for split in splits:
        parts += [_compare_split(systems[0], other, split) for other in systems[1:]]
        if len(systems) == 1:
            parts.append(_score_split(systems[0], split))
    parts += [_compare_seeds(systems, splits), _compare_settings(systems), _compare_costs(systems)]
    for split in splits:
        for other in systems[1:]:
            parts += _show_examples(systems[0], other, split, examples)
    return parts


def _list_systems(systems: Sequence[System], splits: Sequence[str]) -> Part:
    rows = [
        [system.letter, system.name, str(len(system.results)), _list_facts(system, lambda run: run["seed"], " ")]
        for system in systems
    ]
    lacking = [system.letter for system in systems if not all(system.has_counts(split) for split in splits)]
    notes = [f"{letter} {NO_COUNTS}" for letter in lacking]
    return Part("Systems", notes, ["", "name", "runs", "seeds"], rows)


def _list_types(systems: Sequence[System], split: str) -> list[str]:
    rows = {name for system in systems for report in system.reports for name in report[split]["entities"]}
    return sorted(name for name in rows if not name.endswith(" avg"))


def _compare_split(first: System, other: System, split: str) -> Part:
    """F1 of both systems by row, the difference, its interval and its p-value."""
    types = _list_types([first, other], split)
    rows, notes = [], []
    for name, interval, p in zip([*types, MICRO], *find_differences(first, other, split, types), strict=True):
        a, b = (mean_f1(system, split, name) for system in (first, other))
        change = f"{b - a:{SIGNED}}"
        rows.append([name, f"{a:.1f}", f"{b:.1f}", change, format_interval(interval, SIGNED), format_p(p)])
        if name == MICRO and not isnan(p):
            facts = f"{change} points (95 % interval {format_interval(interval, SIGNED)}, p {format_p(p, '= ')})"
            verdict = f"{other.letter} is {'better' if b > a else 'worse'} than {first.letter}"
            verdict = verdict if p <= SIGNIFICANT else "No difference between these trained models is shown"
            notes = [f"{verdict}: {facts}.", f"{first.describe_units(split)}. {UNCORRECTED}"]
    title = f"{split}: {other.letter} compared with {first.letter}"
    header = ["F1", first.letter, other.letter, f"{other.letter} - {first.letter}", "95 % interval", "p"]
    return Part(title, notes, header, rows)


def find_differences(first: System, other: System, split: str, types: Sequence[str]) -> tuple[list, list]:
    """95 % intervals of the difference in points, and p-values, of `types` and all in sum; NaN without counts."""
    ours, theirs = first.count(split, types), other.count(split, types)
    if ours is None or theirs is None:
        return [(nan, nan)] * (len(types) + 1), [nan] * (len(types) + 1)
    return (100 * find_difference_intervals(ours, theirs)).tolist(), find_p_values(ours, theirs).tolist()


def mean_f1(system: System, split: str, name: str) -> float:
    """F1 in percent of a row, mean over the seeds; 0 where a report lacks the row."""
    return mean(100 * report[split]["entities"].get(name, {}).get("f1", 0) for report in system.reports)


def format_interval(interval: Sequence[float], form: str = ".1f") -> str:
    """Both ends of an interval; a dash for NaN."""
    return "-" if isnan(interval[0]) else f"{interval[0]:{form}} to {interval[1]:{form}}"


def format_p(p: float, sign: str = "") -> str:
    """A p-value, after `sign` unless it is too small to be shown; a dash for NaN."""
    return "-" if isnan(p) else "< 0.001" if p < 0.001 else f"{sign}{p:.3f}"


def _score_split(system: System, split: str) -> Part:
    """F1 of one system by row, with its interval."""
    types = _list_types([system], split)
    counts = system.count(split, types)
    intervals = [(nan, nan)] * (len(types) + 1) if counts is None else (100 * find_intervals(counts)).tolist()
    rows = [
        [name, f"{mean_f1(system, split, name):.1f}", format_interval(interval)]
        for name, interval in zip([*types, MICRO], intervals, strict=True)
    ]
    notes = [] if counts is None else [f"{system.describe_units(split)}."]
    return Part(f"{split}: {system.letter}", notes, ["", "F1", "95 % interval"], rows)


def _compare_seeds(systems: Sequence[System], splits: Sequence[str]) -> Part:
    """Mean, spread, best and worst of each group, the test over seeds, and what so many seeds can show."""
    if not any(system.is_group for system in systems):
        note = "Each system is one run. These results are about these trained models: another seed gives another F1."
        return Part("Seeds", [note] * any(system.results[0].report["run"] for system in systems))
    rows = []
    for split in splits:
        for system in systems:
            scores = system.scores(split)
            p = nan if system is systems[0] else find_seed_p_value(systems[0].scores(split), scores)
            ends = [f"{max(scores):.1f}", f"{min(scores):.1f}"]
            rows.append([split, system.letter, format_mean(system.reports, split), *ends, format_p(p)])
    notes = [_explain_group(system) for system in systems if system.is_group]
    notes += [_explain_groups(systems[0], other) for other in systems[1:]]
    header = ["split", "system", "mean ± sd", "best", "worst", f"p over seeds, against {systems[0].letter}"]
    return Part("Seeds", notes, header, rows)


def _explain_group(system: System) -> str:
    """What a group of seeds says of a further seed, if all seeds are alike: no distribution is assumed."""
    number = len(system.results)
    return (
        f"{system.letter}: {number} seeds. The F1 of a further seed has a chance of {2 / (number + 1):.0%} to be above "
        "the best or below the worst, or less where seeds have equal F1."
    )


def _explain_groups(first: System, other: System) -> str:
    """What a test over the seeds of two groups can show at best."""
    numbers = [len(system.results) for system in (first, other)]
    least, runs = find_least_seed_p(*numbers), f"{first.letter} and {other.letter}, {numbers[0]} and {numbers[1]} runs"
    if least <= SIGNIFICANT:
        return f"{runs}: the p over seeds is about the recipes, with other seeds too; it is {least:.2g} at best."
    enough = next(number for number in range(1, 100) if find_least_seed_p(number, number) <= SIGNIFICANT)
    return (
        f"{runs}: a p over seeds is {least:.2f} at best, so these runs cannot show that the recipes differ with other "
        f"seeds. {enough} seeds of each could. The p-values over documents are about these trained models."
    )


def _compare_settings(systems: Sequence[System]) -> Part:
    """The settings that differ, with those of the first run of each group; a dash where they were not recorded."""
    runs = [system.results[0].report for system in systems]
    settings = [_collect_settings(report) for report in runs]
    keys = list(dict.fromkeys(key for one in settings for key in one))
    missing = ["default" if "changed" in report["run"] else "-" for report in runs]  # or an earlier version
    rows = [[key, *(one.get(key, other) for one, other in zip(settings, missing, strict=True))] for key in keys]
    differing = [row for row in rows if len(set(row[1:]) - {"-"}) > 1]
    return Part("Settings that differ", [], ["setting", *(system.letter for system in systems)], differing)


def _collect_settings(report: dict) -> dict[str, str]:
    facts = {key: report["run"][key] for key in ("config", "model", "data") if key in report["run"]}
    return {key: str(value) for key, value in (facts | list_settings(report)).items()}


def _compare_costs(systems: Sequence[System]) -> Part:
    """Time, hardware and size, where the runs have them: figures are means over the seeds."""
    rows = [
        ["minutes of training", *(_mean_minutes(system, "train_minutes") for system in systems)],
        ["minutes in total", *(_mean_minutes(system, "total_minutes") for system in systems)],
        ["training sentences", *(_list_facts(system, lambda run: run["sentences"]["train"]) for system in systems)],
        *(
            [key, *(_list_facts(system, lambda run, key=key: run[key]) for system in systems)]
            for key in ("hardware", "processes", "precision", "commit")
        ),
        ["weights, MB", *map(_measure_weights, systems)],
    ]
    header = ["", *(system.letter for system in systems)]
    return Part("Time and size", header=header, rows=[row for row in rows if set(row[1:]) != {"-"}])


def _mean_minutes(system: System, key: str) -> str:
    values = [report["run"].get(key) for report in system.reports]
    return f"{mean(values):.1f}" if all(isinstance(value, int | float) for value in values) else "-"


def _list_facts(system: System, read: Callable[[dict], object], separator: str = ", ") -> str:
    """The different values of a fact among the runs of a system; a dash where a run lacks it."""
    try:
        return separator.join(dict.fromkeys(str(read(report["run"])) for report in system.reports))
    except (LookupError, TypeError):
        return "-"


def _measure_weights(system: System) -> str:
    files = [result.path.parent / WEIGHTS for result in system.results if result.path.name == "report.json"]
    sizes = {f"{file.stat().st_size / 1e6:.0f}" for file in files if file.exists()}
    return ", ".join(sorted(sizes)) or "-"


def _show_examples(first: System, other: System, split: str, number: int) -> list[Part]:
    """What one of two runs has right and the other wrong, in context, in both directions."""
    letters = [first.letter, other.letter]
    ours, theirs = (system.results[0].tagged.get(split) for system in (first, other))
    if ours is None or theirs is None or first.is_group or other.is_group:
        return []
    predicted = ours.predicted, theirs.predicted
    parts = []
    for right in (0, 1):
        title = f"{split}: {letters[right]} right, {letters[1 - right]} wrong"
        try:
            total, rows = tabulate_disagreements(ours.documents, predicted, right, number)
        except ValueError:
            parts.append(Part(title, ["No examples: the two files are divided into other sentences."]))
            continue
        note = f"Entities: {total}, of which shown: {len(rows)}."
        parts.append(Part(title, [note], ["sentence", "context", "gold", *letters], rows))
    return parts


def main(argv: list[str]) -> None:
    """`python -m recipe compare`: print or write a comparison."""
    parser = VerbParser(
        "compare",
        "Compare finished runs, groups of seeds, or prediction files. The first one is the baseline.",
        "python -m recipe compare 'results/mine-seed*.json' 'results/other-seed*.json'",
    )
    parser.add_argument(
        "systems",
        nargs="+",
        help="a run's folder, a copy of its report.json, a column file with gold and predicted tags as its last two "
        "columns, or a group of seeds: a pattern in quotes, or several of these joined by commas",
    )
    parser.add_argument("--format", choices=FORMATS, default="text", help="(default: text)")
    parser.add_argument("--examples", type=int, default=5, help="examples of each kind and split (default: 5)")
    parser.add_argument("--output", type=Path, help="file to write (default: standard output)")
    args = parser.parse_args(argv)
    if args.examples < 0:
        raise RecipeError(f"--examples {args.examples}: must be at least 0")
    systems = read_systems(args.systems)
    if args.output is not None:
        check_output(args.output, [file for system in systems for file in system.files])
    page = render("Comparison", compare_systems(systems, args.examples), args.format)
    if args.output is not None:
        write_whole(args.output, page)
    else:
        print(page, end="")

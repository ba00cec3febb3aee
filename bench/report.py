"""Tables and plots of speed and of the study, and the other tables: `python -m bench.report [folder for plots]`."""

import json
import sys
from collections import defaultdict
from itertools import product
from pathlib import Path
from statistics import mean, stdev

from bench.augmentation import format_augmentation
from bench.claims import format_claims, list_claims, list_students
from bench.ensembles import format_ensembles, load_ensembles
from bench.frontier import format_frontier, load_frontier, plot_frontier
from bench.runs import RESULTS, TAUGHT, Run
from bench.serving_tables import print_serving
from bench.speed import FOLDER, TABLES
from bench.tables import print_tables
from recipe.evaluation.comparison import format_p
from recipe.evaluation.results import format_markdown, format_mean, mean_tag_f1, read_f1
from recipe.evaluation.scoring import REFERENCE
from recipe.evaluation.uncertainty import find_seed_p_value

TITLES = {
    "mlm-minilm": "Masked pretraining, 6 x 384",
    "mlm-bert-base": "Masked pretraining, 12 x 768",
    "ner-minilm": "Entities, 6 x 384",
    "ner-bert-base": "Entities, 12 x 768",
}
SPLITS = ("dev", "test", "conllpp")
LAYERS = {"minilm": 6, "mpnet": 12}
BEST = "mpnet-markers-document"  # the line for the table of tags
LABELS = RESULTS / "labels" / "conllpp.json"  # test labels scored against CoNLL++, by python -m recipe score --json


def load_tables(folder: Path = FOLDER) -> list[dict]:
    """The measured tables, in the order of `TABLES`."""
    paths = [folder / f"{name}.json" for name in TABLES]
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths if path.exists()]


def is_total(name: str) -> bool:
    """Whether all improvements are switched on in a row."""
    return name.startswith("all")


def format_speed(tables: list[dict]) -> str:
    """A Markdown table with one row per contestant: tokens per second, factor over the first row, peak memory in GB."""
    names = sorted(dict.fromkeys(name for table in tables for name in table["rows"]), key=is_total)
    lines = []
    for name in names:
        cells = [name]
        for table in tables:
            row, plain = table["rows"].get(name), next(iter(table["rows"].values()))
            if row is None:
                cells.append("")
                continue
            speed = row["tokens_per_second"]
            cells.append(f"{speed:,.0f} ({speed / plain['tokens_per_second']:.2f}x), {row['peak_mb'] / 1000:.1f} GB")
        lines.append(cells)
    return format_markdown(["", *(TITLES[table["table"]] for table in tables)], lines)


def format_rates(tables: list[dict]) -> str:
    """A Markdown table of the useful arithmetic of a row, as a share of the machine's rate for matrix products."""
    header = ["", "fp32 GFLOP/s", "by oneDNN", "bf16", "plain of fp32", "all, fp32, of oneDNN", "all, of bf16"]
    lines = []
    for table in tables:
        rates, rows = table["gflops"], table["rows"]
        shares = [("plain Trainer, `python`", "fp32"), ("all, fp32", "onednn"), ("all", "bf16")]
        cells = [
            f"{rows[name]['tokens_per_second'] * table['flops_per_token'] / 1e9 / rates[rate]:.0%}"
            for name, rate in shares
        ]
        lines.append([TITLES[table["table"]], *(f"{rates[name]:.0f}" for name in ("fp32", "onednn", "bf16")), *cells])
    return format_markdown(header, lines)


def format_f1(path: Path = FOLDER / "f1.json") -> str:
    """A Markdown table of F1 in percent, mean and standard deviation over the seeds; p: against the first row."""
    rows, splits = json.loads(path.read_text(encoding="utf-8"))["rows"], ("dev", "test")
    first, lines = next(iter(rows.values())), []
    for name, row in rows.items():
        scores = [f"{100 * row[split]['mean']:.1f} ± {100 * row[split]['sd']:.1f}" for split in splits]
        p = [format_p(find_seed_p_value(row[split]["values"], first[split]["values"])) for split in splits]
        memory = f"{max(row['peak_mb']['values']) / 1000:.1f}"
        lines.append([name, *scores, "" if row is first else " / ".join(p), memory])
    return format_markdown(["", "dev F1", "test F1", "p over seeds", "highest memory, GB"], lines)


def plot_speed(tables: list[dict], path: Path) -> None:
    """Plot the rows of each table as bars, as factors over the first row, with the spread over the rounds."""
    from matplotlib import pyplot

    heights = [len(table["rows"]) for table in tables]
    size = (9, 0.28 * sum(heights) + 2)
    figure, axes = pyplot.subplots(len(tables), figsize=size, height_ratios=heights, squeeze=False)
    for axis, table in zip(axes[:, 0], tables, strict=True):
        plain = next(iter(table["rows"].values()))["tokens_per_second"]
        names = [name.replace("`", "") for name in table["rows"]]
        rows = list(table["rows"].values())
        times = [row["tokens_per_second"] / plain for row in rows]
        spread = [
            [(row["tokens_per_second"] - row["least"]) / plain for row in rows],
            [(row["most"] - row["tokens_per_second"]) / plain for row in rows],
        ]
        colors = ["#888888" if "plain" in name or "off" in name else "#2b6cb0" for name in names]
        colors = ["#c05621" if is_total(name) else color for name, color in zip(names, colors, strict=True)]
        bars = axis.barh(names, times, xerr=spread, color=colors, error_kw={"ecolor": "#444444", "lw": 1})
        axis.bar_label(bars, [f"{time:.1f}x" for time in times], padding=6, fontsize=8)
        axis.set_title(TITLES[table["table"]], fontsize=10)
        axis.set_xlim(0, max(times) * 1.2)
        axis.invert_yaxis()
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    figure.supxlabel("training tokens a second, times the plain Trainer under python", fontsize=9)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def load_study(folder: Path = RESULTS) -> list[tuple[Run, dict]]:
    """The runs of the study, including trials, each with its report."""
    paths = sorted([*folder.glob("*.json"), *folder.glob("study/*.json")], key=lambda path: path.name)
    reports = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    return [(Run(**report["study"]), report) for report in reports if "study" in report]


def format_study(study: list[tuple[Run, dict]]) -> str:
    """A Markdown table of the crossed factors: F1 of dev / test / CoNLL++ in percent, mean ± sd over the seeds."""
    cells = defaultdict(list)
    for run, report in study:
        if not (run.trial or run.percent or run.extra in TAUGHT):
            row = (run.encoder, run.millions, run.autoregressive, run.extra)
            cells[*row, run.context, run.markers].append(report)
    columns = list(product(("none", "document"), (False, True)))
    header = ["encoder", "tokens of masked pretraining", "also trained on"]
    header += [f"{'' if markers else 'no '}markers, context {context}" for context, markers in columns]
    lines = []
    for row in sorted({key[:4] for key in cells}):
        encoder, millions, autoregressive, extra = row
        line = [encoder, f"{millions} M{', autoregressive' * autoregressive}" if millions else "none", extra]
        for column in columns:
            reports = cells.get((*row, *column), [])
            line.append(" / ".join(format_mean(reports, split) for split in SPLITS if reports))
        lines.append(line)
    return format_markdown(header, lines)


def format_contexts(study: list[tuple[Run, dict]]) -> str:
    """A Markdown table of F1 (dev / test / CoNLL++, mean ± sd over the seeds) with and without context when tagging."""
    cells = defaultdict(list)
    for run, report in study:
        if run == Run(run.encoder, context=run.context, seed=run.seed):
            cells[run.encoder, run.context].append(report)
    lines = []
    for (encoder, context), reports in sorted(cells.items()):
        alone = [{split: {"entities": report[split].get("alone")} for split in SPLITS} for report in reports]
        alone = [report for report in alone if report["dev"]["entities"]]
        scores = [" / ".join(format_mean(group, split) for split in SPLITS if group) for group in (reports, alone)]
        scores = ["", scores[0]] if context == "none" else scores
        lines.append([encoder, context, *scores, str(len(reports))])
    return format_markdown(["encoder", "trained with context", "documents", "single sentences", "seeds"], lines)


def format_distilled(study: list[tuple[Run, dict]]) -> str:
    """A Markdown table of students and their teacher: F1 of dev / test / CoNLL++ on documents and single sentences."""
    cells = defaultdict(list)
    for run, report in study:
        if run.context == "mixed" and not run.trial:
            cells[run.encoder, run.extra, run.layers or LAYERS[run.encoder], run.millions].append(report)
    lines = []
    for (encoder, extra, layers, millions), reports in sorted(cells.items(), reverse=True):
        alone = [{split: {"entities": report[split]["alone"]} for split in SPLITS} for report in reports]
        scores = [" / ".join(format_mean(group, split) for split in SPLITS) for group in (reports, alone)]
        minutes = f"{mean(report['run']['train_minutes'] for report in reports):.0f}"
        name = f"{encoder}, {extra}" if extra else encoder
        lines.append([name, str(layers), f"{millions} M" if millions else "none", *scores, minutes, str(len(reports))])
    header = ["tagger", "layers", "tokens of masked pretraining", "documents", "single sentences", "minutes", "seeds"]
    return format_markdown(header, lines)


def format_trials(study: list[tuple[Run, dict]]) -> str:
    """A Markdown table of the trials: changed settings, F1 on dev in percent, minutes of training."""
    lines = []
    for run, report in study:
        if run.trial:
            score, minutes = f"{read_f1(report, 'dev'):.2f}", f"{report['run']['train_minutes']:.0f}"
            pretraining = spell_flags(run.mlm_changes) + "the training split's articles too" * run.articles
            changes = [pretraining, spell_flags(run.changes) + ", averaged" * run.averaged]
            lines.append([run.line, *changes, score, minutes, report["run"]["commit"]])
    return format_markdown(["line", "masked pretraining", "fine-tuning", "dev F1", "minutes", "commit"], lines)


def format_tags(study: list[tuple[Run, dict]], line: str, labels: Path = LABELS) -> str:
    """A Markdown table of F1 by tag of the runs of `line` on dev, test and CoNLL++, mean over the seeds.

    It also has the F1 of the reference, and that of the test labels scored against CoNLL++.
    """
    reports = [report for run, report in study if run.line == line and not run.trial]
    agreement = json.loads(labels.read_text(encoding="utf-8"))["tags"]
    lines = []
    for tag, (_, _, reference, _) in REFERENCE.items():
        scores = [mean_tag_f1(reports, split, tag) for split in SPLITS]
        lines.append([tag, *(f"{score:.3f}" for score in (reference, *scores, agreement[tag]["f1"]))])
    header = ["tag", "reference, test", "dev", "test", "CoNLL++", "test's labels against CoNLL++'s"]
    return format_markdown(header, lines)


def spell_flags(settings: dict) -> str:
    """Settings as flags of the command line, in Markdown."""
    return f"`{' '.join(f'--{key} {value}' for key, value in settings.items())}`" if settings else ""


def plot_growth(study: list[tuple[Run, dict]], path: Path) -> None:
    """Plot the F1 of MiniLM (markers, document context; mean ± sd over the seeds) by tokens of masked pretraining."""
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(7, 4))
    reports = defaultdict(list)
    for run, report in study:
        if run == Run("minilm", run.millions, seed=run.seed):
            reports[run.millions].append(report)
    for split, color in zip(SPLITS, ("#888888", "#c05621", "#2b6cb0"), strict=True):
        scores = [(millions, [read_f1(report, split) for report in reports[millions]]) for millions in sorted(reports)]
        points = [(millions, mean(values)) for millions, values in scores]
        spread = [stdev(values) if len(values) > 1 else 0 for _, values in scores]
        tokens, means = zip(*points, strict=True)
        axis.errorbar(tokens, means, spread, marker="o", capsize=3, color=color, label=split)
        for millions, score in points:
            axis.annotate(
                f"{score:.1f}", (millions, score), (16, 5), textcoords="offset points", ha="center", fontsize=8
            )
    axis.set_xscale("symlog", base=2, linthresh=1, linscale=0.5)  # the same distance from 0 to 1, 1 to 2 and 14 to 28
    axis.set_xticks(sorted(reports), map(str, sorted(reports)))
    axis.minorticks_off()
    axis.set_xlabel("millions of tokens of masked pretraining on news text")
    axis.set_ylabel("entity F1, percent")
    axis.set_title("MiniLM, case markers, document context", fontsize=10)
    axis.margins(x=0.08, y=0.15)
    axis.legend(loc="center", ncols=len(SPLITS), frameon=False)
    axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    """Print the tables; save the plots if a folder for them is given."""
    tables, study = load_tables(), load_study()
    print(format_speed(tables), format_rates(tables), format_f1(), sep="\n\n")
    print(format_tags(study, BEST), format_study(study), format_contexts(study), format_trials(study), sep="\n\n")
    print(format_distilled(study), format_augmentation(study), sep="\n\n")
    print(*map(format_claims, (list_claims(), list_students())), *map(format_ensembles, load_ensembles()), sep="\n\n")
    print_tables()
    print_serving()
    frontier = load_frontier()
    print(format_frontier(frontier))
    if len(sys.argv) > 1:
        folder = Path(sys.argv[1])
        plot_speed(tables, folder / "speed.png")
        plot_growth(study, folder / "growth.png")
        if frontier:
            plot_frontier(frontier, folder / "frontier.png")


if __name__ == "__main__":
    main()

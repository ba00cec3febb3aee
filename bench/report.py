"""The README's tables and plot of speed, from `results/speed/*.json`: `python -m bench.report [plot.png]`."""

import json
import sys
from pathlib import Path

from bench.speed import FOLDER, TABLES
from recipe.results import format_markdown

TITLES = {
    "mlm-minilm": "Masked pretraining, 6 x 384",
    "mlm-bert-base": "Masked pretraining, 12 x 768",
    "ner-minilm": "Entities, 6 x 384",
    "ner-bert-base": "Entities, 12 x 768",
}


def load_tables(folder: Path = FOLDER) -> list[dict]:
    """The tables that have been measured, in the order of `TABLES`."""
    paths = [folder / f"{name}.json" for name in TABLES]
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths if path.exists()]


def is_total(name: str) -> bool:
    """Whether a row has everything switched on."""
    return name.startswith("all")


def format_speed(tables: list[dict]) -> str:
    """A Markdown table: a row for each contestant; tokens a second, times the first row, and peak memory in GB."""
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
    """A Markdown table: how much of the machine's matrix-product rate the useful arithmetic of a row comes to."""
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
    """A Markdown table of F1 in percent, mean and standard deviation over the seeds."""
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
    lines = []
    for name, row in rows.items():
        scores = [f"{100 * row[split]['mean']:.1f} ± {100 * row[split]['sd']:.1f}" for split in ("dev", "test")]
        lines.append([name, *scores, f"{max(row['peak_mb']['values']) / 1000:.1f}"])
    return format_markdown(["", "dev F1", "test F1", "highest memory, GB"], lines)


def plot_speed(tables: list[dict], path: str) -> None:
    """Draw each table's rows as bars, times the first row, with the spread over the rounds."""
    from matplotlib import pyplot

    heights = [len(table["rows"]) for table in tables]
    figure, axes = pyplot.subplots(len(tables), 1, figsize=(9, 0.28 * sum(heights) + 2), height_ratios=heights)
    for axis, table in zip(axes, tables, strict=True):
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


def main() -> None:
    """Print the tables; draw the plot if a file is named for it."""
    tables = load_tables()
    print(format_speed(tables), format_rates(tables), format_f1(), sep="\n\n")
    if len(sys.argv) > 1:
        plot_speed(tables, sys.argv[1])


if __name__ == "__main__":
    main()

"""Tables of every form of finished taggers in docs/serving.md, made from `results/serving`."""

import json
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Any

from bench.runs import RESULTS
from recipe.evaluation.results import format_markdown

SERVING = RESULTS / "serving"
# MiniLM again: on a processor that multiplies half as fast, and on one that multiplies bf16 slower than fp32.
OTHERS = (SERVING / "slower", SERVING / "without-bf16")
ENVIRONMENTS, SERVICE = SERVING / "environments.json", SERVING / "service.json"
BASES = {"1 at a time": "pipeline, batch_size=1"}  # what the factors are over; elsewhere `BASE`
BASE = "pipeline, batch_size=32"


def load_serving(folder: Path = SERVING) -> list[dict]:
    """The measurements of taggers, one for each, from the smallest model to the largest."""
    results = [json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.json")]
    return sorted((one for one in results if "forms" in one), key=lambda one: one["products_per_token"])


def format_forms(result: dict) -> str:
    """A Markdown table of F1 on test, differences from the model, costs, and the verdict of the comparison on dev."""
    model = next(iter(result["forms"].values()))["test"]
    lines = []
    for name, form in result["forms"].items():
        found, dev = form.get("test", {}), form.get("dev")
        lines.append(
            [
                name,
                f"{100 * found['f1']:.2f} ({100 * (found['f1'] - model['f1']):+.2f})" if found else "",
                _format(found, "different_tags", ","),
                _format(found, "largest_difference", ".1g"),
                _format(found, "load_seconds", ".1f"),
                *(_format(found, key, ",.0f") for key in ("memory", "size")),
                _format_verdict(dev) if dev else form.get("error", ""),
            ]
        )
    header = ["", "test F1", "other tags", "largest difference of a logit", "seconds to load", "MB of memory"]
    return format_markdown([*header, "MB on disk", "on dev"], lines)


def _format(found: dict[str, Any], key: str, form: str) -> str:
    return format(found[key], form) if key in found else ""


def _format_verdict(dev: dict[str, Any]) -> str:
    kept = f", {dev['kept']} layers in fp32" if dev["kept"] else ""
    return ("passes" if dev["passes"] else "refused: " + "; ".join(dev["reasons"])) + kept


def format_serving_speed(result: dict) -> str:
    """A Markdown table of sentences a second, the factor over the pipeline, and words a second, by size of batch."""
    speed = result["speed"]
    names = sorted(dict.fromkeys(chain(*speed.values())), key=lambda name: "pipeline" not in name)
    lines = []
    for name in names:
        cells = [name]
        for kind, rows in speed.items():
            row, base = rows.get(name), rows[BASES.get(kind, BASE)]["sentences_per_second"]
            cells.append(_format_rate(row, base) if row else "")
        together = list(speed.values())[-1][name]
        lines.append([*cells, f"{together['words_per_second']:,.0f}"])
    return format_markdown(["", *speed, "words a second, all at once"], lines)


def _format_rate(row: dict[str, Any], base: float) -> str:
    rate, slowest, fastest = row["sentences_per_second"], row["slowest"], row["fastest"]
    return f"{rate:,.0f} ({slowest:,.0f} to {fastest:,.0f}), {rate / base:.1f}x"


def format_limits(results: list[dict]) -> str:
    """A Markdown table of what bounds the speed of the fastest passing form, and what share of it is reached."""
    lines = []
    for result in results:
        name = find_fastest(result)
        row = list(result["speed"].values())[-1][name]
        operations = 2 * result["products_per_token"] * result["tokens_per_word"] * row["words_per_second"] / 1e9
        rates = {rate: median(one[rate] for one in result["products"]) for rate in ("fp32", "onednn", "bf16")}
        best = max(rates, key=rates.__getitem__)
        lines.append(
            [
                result["run"],
                name,
                f"{result['tokenizer']:,.0f}",
                f"{row['sentences_per_second'] / result['tokenizer']:.0%}",
                *(f"{rate:,.0f}" for rate in rates.values()),
                f"{operations:,.0f} ({operations / rates[best]:.0%} of {best})",
            ]
        )
    header = ["tagger", "fastest that passes", "tokenizer, sentences a second", "share of it"]
    header += ["GFLOP/s, fp32", "fp32 by oneDNN", "bf16", "reached"]
    return format_markdown(header, lines)


def find_fastest(result: dict) -> str:
    """The fastest form with all sentences at once whose export passes; of one with streams too."""
    rows = list(result["speed"].values())[-1]
    passing = {name for name, form in result["forms"].items() if form.get("dev", {}).get("passes")}
    return max(
        (name for name in rows if name.partition(",")[0] in passing),
        key=lambda name: rows[name]["sentences_per_second"],
    )


def format_environments(path: Path = ENVIRONMENTS) -> str:
    """A Markdown table of the sizes of environments that tag, in MB, and their largest packages."""
    rows = json.loads(path.read_text(encoding="utf-8"))["environments"]
    lines = [
        [name, f"{row['mb']:,.0f}", ", ".join(f"{package} {size:,.0f}" for package, size in row["largest"].items())]
        for name, row in rows.items()
    ]
    return format_markdown(["environment", "MB", "largest packages, MB"], lines)


def print_serving() -> None:
    """Print all tables of this module."""
    results = load_serving()
    for result in results:
        print(result["run"], format_forms(result), format_serving_speed(result), sep="\n\n")
    print(format_limits(results), format_environments(), sep="\n\n")
    for folder in OTHERS:
        for result in load_serving(folder):
            print(f"{result['run']}, {folder.name}", format_serving_speed(result), format_limits([result]), sep="\n\n")

"""Tables of tagging, filling, statistics and reliability, made from `results`; `bench.report` prints them."""

import json
from pathlib import Path

from bench.runs import RESULTS
from recipe.evaluation.results import format_markdown

TAGGING = RESULTS / "tagging"
FILLING = RESULTS / "filling"
FILLING_SPEED = FILLING / "minilm_newswire-mini-speed.json"
COVERAGE = RESULTS / "statistics" / "coverage.json"  # by python -m bench.coverage
FUZZING = RESULTS / "reliability" / "fuzz.json"  # by make fuzz
SPLITS = ("dev", "test")


def load_tagging(folder: Path = TAGGING) -> dict:
    """The measurements of the tagger in docs/tagging.md."""
    return json.loads((folder / "minilm-markers-mixed-seed42.json").read_text(encoding="utf-8"))


def format_tagging_f1(result: dict) -> str:
    """A Markdown table of strict F1 in percent: gold words and raw text, the Tagger and the pipeline."""
    rows = [("f1", "gold words"), ("f1", "raw text"), ("f1", "raw sentences"), ("f1", "pipeline, raw sentences")]
    rows += [("f1_bf16", "gold words"), ("f1_bf16", "raw text")]
    lines = [
        [f"{name}, {'bf16' if part == 'f1_bf16' else 'fp32'}", *(f"{result[part][s][name]:.1f}" for s in SPLITS)]
        for part, name in rows
    ]
    return format_markdown(["", *SPLITS], lines)


def format_tagging_speed(result: dict) -> str:
    """A Markdown table of sentences and words a second, and the factor over the pipeline."""
    pipeline = next(iter(result["speed"].values()))["sentences_per_second"]
    lines = [
        [
            name,
            f"{row['sentences_per_second']:,.0f}",
            f"{row['words_per_second']:,.0f}",
            f"{row['sentences_per_second'] / pipeline:.1f}x",
        ]
        for name, row in result["speed"].items()
    ]
    return format_markdown(["", "sentences a second", "words a second", "factor"], lines)


def format_calibration(result: dict) -> str:
    """A Markdown table of the expected calibration error in percent, before and after the temperature."""
    names = {"uncalibrated": "without", "calibrated": f"temperature {result['temperature']}"}
    lines = [[names[part], *(f"{result[part][split]['ece']:.1f}" for split in SPLITS)] for part in names]
    return format_markdown(["expected calibration error", *SPLITS], lines)


def load_filling(folder: Path = FILLING) -> list[dict]:
    """The measurements of docs/filling.md, one for each model; first the masked model."""
    results = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    return sorted((result for result in results if "spans" in result), key=lambda result: result["objective"])


def format_orders(result: dict, part: str) -> str:
    """A Markdown table for one model: exact matches in percent, and the log-probability of the chain, by order.

    part: "spans", by the number of masked tokens, or "names", by the pieces of a masked name.
    """
    orders = list(next(iter(result[part].values())))
    lines = [
        [count, *(f"{row[order]['exact_match']:.1f} ({row[order]['log_probability']:.2f})" for order in orders)]
        for count, row in result[part].items()
    ]
    return format_markdown(["masked", *orders], lines)


def format_passes(result: dict, length: str = "8") -> str:
    """A Markdown table for spans of one length: forward passes, masked tokens a second, tokens that are recovered."""
    lines = [
        [order, f"{row['passes']:.0f}", f"{row['tokens_per_second']:,.0f}", f"{row['tokens_recovered']:.1f}"]
        for order, row in result["spans"][length].items()
    ]
    return format_markdown(["order", "passes", "tokens a second", "tokens recovered, percent"], lines)


def format_likelihood(results: list[dict]) -> str:
    """A Markdown table of bits for each character and token of held-out sentences, and sentences scored a second."""
    keys = {"bits_per_character": ".3f", "bits_per_token": ".2f", "sentences_per_second": ",.0f"}
    lines = [
        [result["objective"], *(format(result["likelihood"][key], form) for key, form in keys.items())]
        for result in results
    ]
    return format_markdown(["objective", *(key.replace("_", " ") for key in keys)], lines)


def format_filling_speed(path: Path = FILLING_SPEED) -> str:
    """A Markdown table of texts a second, the factor over the pipeline, and equal first candidates in percent."""
    result = json.loads(path.read_text(encoding="utf-8"))
    plain = result["speed"]["pipeline"]["sentences_per_second"]
    lines = [
        [
            name,
            f"{row['sentences_per_second']:,.0f}",
            f"{row['sentences_per_second'] / plain:.1f}x",
            f"{100 * result['same_first_candidate'][name]:.2f}",
        ]
        for name, row in result["speed"].items()
    ]
    return format_markdown(["", "texts a second", "factor", "same first candidate, percent"], lines)


def format_coverage(path: Path = COVERAGE) -> str:
    """A Markdown table of how many of 100 intervals contain the true F1, by the number of documents."""
    rows = json.loads(path.read_text(encoding="utf-8"))["coverage"]
    methods = list(next(iter(rows.values())))
    lines = [[documents, *(f"{row[method]:.1f}" for method in methods)] for documents, row in rows.items()]
    return format_markdown(["documents", *methods], lines)


def format_fuzzing(path: Path = FUZZING) -> str:
    """A Markdown table of the spoilt files that each reader was given, and what became of them."""
    rows = json.loads(path.read_text(encoding="utf-8"))["readers"]
    keys = ("inputs", "read", "refused", "faults")
    return format_markdown(
        ["reader", "files", *keys[1:]], [[name, *(f"{row[key]:,}" for key in keys)] for name, row in rows.items()]
    )


def print_tables() -> None:
    """Print all tables of this module."""
    tagging = load_tagging()
    print(format_tagging_f1(tagging), format_calibration(tagging), format_tagging_speed(tagging), sep="\n\n")
    print(format_fuzzing(), format_coverage(), sep="\n\n")
    for result in load_filling():
        print(result["objective"], format_orders(result, "spans"), format_orders(result, "names"), sep="\n\n")
        print(format_passes(result), sep="\n\n")
    print(format_likelihood(load_filling()))
    for path in sorted(FILLING.glob("*-speed.json")):
        print(format_filling_speed(path))

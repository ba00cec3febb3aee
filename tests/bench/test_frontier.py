"""The frontier takes the exports that pass, and its table and picture show every form."""

import json

import pytest

from bench.frontier import format_frontier, list_forms, plot_frontier


def make_row(run, form, speed, f1):
    shape = {"layers": 6, "width": 384, "parameters": 20_000_000, "embeddings": 15_000_000, "size": 90.4}
    speeds = {
        "words_per_second": speed,
        "sentences_per_second": speed / 10,
        "slowest": speed / 20,
        "fastest": speed / 5,
    }
    return {"run": run, "form": form, "f1": f1} | shape | speeds


ROWS = [make_row("large-markers-seed1", "torch-fp32", 500, 0.92), make_row("small", "onnx-int8", 4000, 0.9)]


def test_exports_that_pass_are_taken(tmp_path):
    for name, passes in (("onnx-int8", True), ("onnx-fp32", False)):
        folder = tmp_path / "export" / name
        folder.mkdir(parents=True)
        (folder / "measured.json").write_text(json.dumps({"export": {"passes": passes}}))
    assert list_forms(tmp_path) == {"torch-fp32": tmp_path, "onnx-int8": tmp_path / "export" / "onnx-int8"}


def test_the_table_has_speed_in_words_with_its_spread_and_the_factor_over_the_first_row():
    *_, last = format_frontier(ROWS).splitlines()
    cells = [cell.strip() for cell in last.strip("|").split("|")]
    assert cells == ["small", "6 x 384", "20.0 M (75%)", "onnx-int8", "90.0", "4,000 (2,000 to 8,000)", "8.0x", "90"]


def test_the_picture_has_a_line_for_each_tagger(tmp_path):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    plot_frontier(ROWS, tmp_path / "frontier.png")
    labels = pyplot.gca().get_legend_handles_labels()[1]
    assert labels == ["6 x 384, large", "6 x 384, small"]
    assert (tmp_path / "frontier.png").stat().st_size > 1000
    pyplot.close("all")

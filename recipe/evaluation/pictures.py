"""Pictures of a page as SVG inside it: learning curves and reliability diagrams, in the colours of the page.

matplotlib is imported when a picture is drawn, so that scripts start fast.
"""

import io
import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from markupsafe import escape

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Points = Sequence[tuple[float, float]]

SIZE = (4.6, 2.7)  # inches; the page scales pictures to its columns
# matplotlib writes these colours into the SVG, where they are replaced by the page's, which differ by theme.
INK, MUTED, GRID, FIRST, SECOND = "#010203", "#010204", "#010205", "#010206", "#010207"
VARIABLES = {INK: "--ink", MUTED: "--muted", GRID: "--line", FIRST: "--accent", SECOND: "--second"}
STYLE: dict[str, Any] = {
    "svg.fonttype": "none",  # text stays text, in the font of the page
    "font.size": 9.5,
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "text.color": INK,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "lines.linewidth": 1.6,
    "figure.constrained_layout.use": True,
}


def draw_curves(series: Mapping[str, Points], label: str, is_logarithmic: bool = False) -> str:
    """Up to two curves over training steps as SVG.

    label: what the picture shows, for screen readers;
    each picture of a page needs its own.
    """

    def draw(axes: "Axes") -> None:
        for (name, points), colour in zip(series.items(), (FIRST, SECOND), strict=False):
            steps, values = zip(*points, strict=True)
            marker = "o" if len(points) <= 20 else ""
            axes.plot(steps, values, color=colour, label=name, marker=marker, markersize=3.5)
        axes.set_xlabel("step")
        if is_logarithmic:
            axes.set_yscale("log")
        if len(series) > 1:
            axes.legend()

    return _draw(draw, label)


def draw_reliability(bins: Sequence[Mapping[str, Any]], label: str) -> str:
    """A reliability diagram as SVG: the accuracy of each bin of `recipe.evaluation.calibration` by its confidence.

    The area of a point grows with its number of predictions. label: see `draw_curves`.
    """
    filled = [one for one in bins if one["count"]]
    most = max(one["count"] for one in filled)

    def draw(axes: "Axes") -> None:
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        x, y = [one["confidence"] for one in filled], [one["accuracy"] for one in filled]
        axes.plot(x, y, color=FIRST, linewidth=1)
        sizes = [12 + 110 * math.sqrt(one["count"] / most) for one in filled]
        axes.scatter(x, y, s=sizes, color=FIRST, edgecolors="none", zorder=3)
        axes.set(xlabel="confidence", ylabel="share that is correct", xlim=(-0.02, 1.04), ylim=(-0.02, 1.06))

    return _draw(draw, label)


def _draw(draw: Any, label: str) -> str:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    # The ids in a picture depend on its label: they are the same each time, and differ between pictures.
    with rc_context(STYLE | {"svg.hashsalt": label}), io.StringIO() as file:
        figure = Figure(figsize=SIZE)
        draw(figure.subplots())
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(file, format="svg", transparent=True, metadata=nothing)
        return _adapt(file.getvalue(), label)


def _adapt(svg: str, label: str) -> str:
    """The SVG without its XML header, in the page's fonts and colours, described by `label`."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r' (?:width|height)="[\d.]+pt"', "", svg, count=2)
    svg = re.sub(r"<style.*?</style>", "", svg, flags=re.S)  # for the whole page, if it is inside one
    svg = re.sub(r"font: ([\d.]+px)[^;\"]*", r"font-size: \1", svg)
    svg = re.sub(r"font-family: [^;\"]*;?", "", svg)
    svg = re.sub(r' id="(?:figure|axes|patch|line2d|text|xtick|ytick|legend|matplotlib|PathCollection)[\w.]*"', "", svg)
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    return svg.replace("<svg ", f'<svg role="img" aria-label="{escape(label)}" ', 1)

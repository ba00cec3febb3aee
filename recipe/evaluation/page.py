"""The page of a run, one HTML file that loads nothing: rendered from figures and examples by `page.html.jinja`."""

import base64
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from recipe.evaluation.examples import Example, Suspect
from recipe.evaluation.filled import FilledExample
from recipe.evaluation.matches import KINDS, NO_ENTITY
from recipe.evaluation.pictures import Points, draw_curves, draw_reliability
from recipe.evaluation.scoring import REFERENCE, is_conll2003_test

HUES = (212, 28, 150, 290, 350, 185, 55, 320)  # of entity types, in alphabetical order


@dataclass(frozen=True)
class SplitPart:
    """What the page shows of one split.

    scores: its part of `report.json` or `metrics.json`. analysis: from `recipe.evaluation.analysis`; empty if there are
    no predictions. examples, suspects, filled: what quotes the data. notes: what is left out and why, one line each.
    """

    name: str
    scores: Mapping[str, Any]
    analysis: Mapping[str, Any] = field(default_factory=dict)
    examples: Sequence[Example] = ()
    suspects: Sequence[Suspect] = ()
    filled: Sequence[FilledExample] = ()
    notes: Sequence[str] = ()

    @property
    def has_reference(self) -> bool:
        """Whether the scores can be compared with those of the reference."""
        return "tags" in self.scores and is_conll2003_test(dict(self.scores))

    @property
    def interval(self) -> str:
        """The 95 % interval of F1 in percent; empty if the report has none."""
        ends = self.scores.get("documents", {}).get("intervals", {}).get("micro avg")
        return f"{100 * ends[0]:.1f} to {100 * ends[1]:.1f}" if ends else ""

    @property
    def reliability(self) -> Markup:
        """The reliability diagram."""
        return Markup(draw_reliability(self.analysis["calibration"]["bins"], f"Reliability diagram of {self.name}"))


@dataclass(frozen=True)
class Curves:
    """The curves of one training: its name and its log, as the Trainer keeps it."""

    name: str
    history: Sequence[Mapping[str, Any]]

    @property
    def pictures(self) -> list[tuple[str, Markup]]:
        """Titles and pictures: the loss, dev F1 or the perplexity; those that were not recorded are left out."""
        loss = self._collect(loss="training", eval_loss="dev")
        panels = {"Loss": loss, "Dev F1": self._collect(eval_f1="dev F1")}
        if any("eval_perplexity" in row for row in self.history):
            panels["Perplexity"] = {
                name: [(step, math.exp(min(value, 700))) for step, value in points] for name, points in loss.items()
            }
            panels["Accuracy of masked tokens"] = self._collect(eval_masked_accuracy="dev")
        return [
            (title, Markup(draw_curves(series, f"{title} by step, {self.name}", title == "Perplexity")))
            for title, series in panels.items()
            if series
        ]

    def _collect(self, **names: str) -> dict[str, Points]:
        """The points of the log's values, each under its name; those without a finite value are left out."""
        found = {
            name: [(row["step"], row[key]) for row in self.history if math.isfinite(row.get(key, math.nan))]
            for key, name in names.items()
        }
        return {name: points for name, points in found.items() if points}


@dataclass(frozen=True)
class Page:
    """What a page shows. facts: of the run, by name. settings: those that differ from their defaults, as YAML.

    with_text: whether it quotes the data. If not, its splits have neither examples nor suspects.
    """

    title: str
    task: str
    facts: Mapping[str, Any]
    splits: Sequence[SplitPart]
    curves: Sequence[Curves] = ()
    settings: str = ""
    command: str = ""
    with_text: bool = True

    @property
    def types(self) -> list[str]:
        """The entity types in the scores and examples of all splits."""
        names = {name for split in self.splits for name in split.scores.get("entities", {})}
        return sorted(name for name in names if not name.endswith(" avg"))


def render_page(page: Page) -> str:
    """The HTML of a page. All text is escaped, and the policy of the page allows only its own script."""
    environment = _load_environment()
    script = environment.get_template("page.js.jinja").render()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    curves = [(one.name, pictures) for one in page.curves if (pictures := one.pictures)]
    html = environment.get_template("page.html.jinja").render(
        page=page,
        curves=curves,
        sections=_list_sections(page, bool(curves)),
        kinds=KINDS,
        no_entity=NO_ENTITY,
        reference=REFERENCE,
        hues={name: HUES[number % len(HUES)] for number, name in enumerate(page.types)},
        script=Markup(script),
        digest=digest,
    )
    return html.strip() + "\n"


def _list_sections(page: Page, has_curves: bool) -> dict[str, str]:
    """The anchors of the page's sections and their names in the menu, in order; what was not recorded has none."""
    analysed = any(split.analysis for split in page.splits)
    calibrated = any(split.analysis.get("calibration") for split in page.splits)
    quoted = any(split.examples for split in page.splits)
    sections = {
        "scores": (bool(page.types), "Scores"),
        "curves": (has_curves, "Curves"),
        "tokens": (any(split.scores.get("breakdown") for split in page.splits), "Masked tokens"),
        "filled": (any(split.filled for split in page.splits), "Filled examples"),
        "confusion": (analysed, "Confusion"),
        "errors": (analysed, "Errors"),
        "buckets": (analysed, "Buckets"),
        "calibration": (calibrated, "Calibration"),
        "examples": (quoted, "Examples"),
        "labels": (calibrated and quoted, "Labels"),
    }
    return {anchor: name for anchor, (is_shown, name) in sections.items() if is_shown}


@cache
def _load_environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": _format_percent, "number": "{:,}".format, "figure": "{:.3f}".format}
    return environment


def _format_percent(share: float) -> str:
    """0.8941 -> 89.4"""
    return f"{100 * share:.1f}"

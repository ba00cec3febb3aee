"""Pages of tables, notes and examples as text, Markdown or HTML."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from recipe.console import show_controls
from recipe.evaluation.results import escape_markdown, format_markdown

FORMATS = ("text", "markdown", "html")


@dataclass(frozen=True)
class Part:
    """A part of a page: its title, sentences, and a table whose first column names the rows."""

    title: str
    notes: list[str] = field(default_factory=list)
    header: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)


def render(title: str, parts: Sequence[Part], kind: str = "text") -> str:
    """The page in a format of `FORMATS`, with a line feed at its end. Parts without notes and rows are left out.

    Characters of the data that control a terminal or a direction become escapes.
    """
    kept = [_show_controls(part) for part in parts if part.notes or part.rows]
    if kind == "html":
        folder = FileSystemLoader(Path(__file__).parent)
        environment = Environment(
            loader=folder, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
        )
        return environment.get_template("comparison.html.jinja").render(title=title, parts=kept) + "\n"
    if kind == "markdown":
        return "\n\n".join([f"# {escape_markdown(title)}", *map(_format_markdown_part, kept)]) + "\n"
    return "\n\n".join([title, *map(_format_text_part, kept)]) + "\n"


def _show_controls(part: Part) -> Part:
    notes, header, *rows = [list(map(show_controls, row)) for row in (part.notes, part.header, *part.rows)]
    return Part(show_controls(part.title), notes, header, rows)


def _format_markdown_part(part: Part) -> str:
    rows = [list(map(escape_markdown, row)) for row in part.rows]
    table = [format_markdown(part.header, rows)] if rows else []
    return "\n\n".join([f"## {escape_markdown(part.title)}", *map(escape_markdown, part.notes), *table])


def _format_text_part(part: Part) -> str:
    return "\n".join(
        [f"== {part.title} ==", *part.notes, *(format_columns(part.header, part.rows) if part.rows else [])]
    )


def format_columns(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table, with columns as wide as their longest cell."""
    table = [header, *rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in table]

"""Formats for tagged texts and documents: JSON lines, column files, marked text, or an HTML page with colours."""

import html
import json
from collections.abc import Iterable
from typing import Any
from zlib import crc32

from recipe.console import escape_json, show_text
from recipe.data.conll import DOCUMENT_START, format_cells
from recipe.data.untagged import Item
from recipe.inference.tagger import Entity, TaggedText

PAGE_START = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Tagged text</title>
<style>
:root { color-scheme: light dark; --background: #fff; --ink: #1c1c1c; --line: #ddd; --light: 88%; }
@media (prefers-color-scheme: dark) { :root { --background: #161616; --ink: #e8e8e8; --line: #333; --light: 28%; } }
body { background: var(--background); color: var(--ink); font: 17px/1.7 system-ui, sans-serif; margin: 0 auto;
  max-width: 48rem; padding: 1rem; }
p { border-bottom: 1px solid var(--line); margin: 0; padding: .8rem 0; overflow-wrap: anywhere; white-space: pre-wrap; }
mark { background: hsl(var(--hue) 70% var(--light)); border-radius: .25rem; color: inherit; padding: .1rem .25rem; }
mark b { font-size: .65em; margin-left: .35em; opacity: .75; }
</style></head><body>
<div class="legend">__LEGEND__</div>
"""
PAGE_END = "</body></html>\n"
FORMATS = ("jsonl", "conll", "text", "html")


def format_start(kind: str, types: Iterable[str]) -> str:
    """The output before the first item. types: entity types of the model."""
    if kind != "html":
        return ""
    return PAGE_START.replace("__LEGEND__", " ".join(_mark(html.escape(name), name, "") for name in types))


def format_end(kind: str) -> str:
    """The output after the last item."""
    return PAGE_END if kind == "html" else ""


def format_item(kind: str, item: Item, tagged: TaggedText) -> str:
    """One item in the format `kind` (one of `FORMATS`), with its line ends."""
    if kind == "jsonl":
        return json.dumps(_make_row(item, tagged), ensure_ascii=False) + "\n"
    if kind == "conll":
        return _format_columns(tagged)
    parts = [_mark_entities(text, entities, kind == "html") for text, entities in _list_texts(tagged)]
    return f"<p>{chr(10).join(parts)}</p>\n" if kind == "html" else "\n".join([*parts, "", ""])


def show_output(kind: str, text: str) -> str:
    """Output in the format `kind` for a terminal, with escapes in place of characters that control it.

    JSON lines mean the same with them. Only a terminal gets them: files and pipes keep the characters of the data, so
    that they can be searched, and an interrupted file continues to the same bytes.
    """
    return escape_json(text) if kind == "jsonl" else show_text(text)


def _make_row(item: Item, tagged: TaggedText) -> dict[str, Any]:
    """A row of JSON lines: text and entities, or tokens, tags and entities, and the other keys of the input row."""
    if tagged.text is not None:
        return item.keep_keys({item.key or "text": tagged.text, "entities": _list_rows(tagged.entities)})
    words = [word for sentence in tagged.words for word in sentence]
    entities, first = [], 0
    for sentence in tagged.sentences:
        entities += [
            entity._replace(start=entity.start + first, end=entity.end + first) for entity in sentence.entities
        ]
        first += len(sentence.tags)
    tags = [tag for sentence in tagged.sentences for tag in sentence.tags]
    return item.keep_keys({item.key or "tokens": words, "tags": tags, "entities": _list_rows(entities)})


def _list_rows(entities: Iterable[Entity]) -> list[dict[str, Any]]:
    return [entity._asdict() | {"score": round(entity.score, 4)} for entity in entities]


def _format_columns(tagged: TaggedText) -> str:
    lines = [f"{DOCUMENT_START} O", ""]
    for words, sentence in zip(tagged.words, tagged.sentences, strict=True):
        words = ["_DOCSTART-" if word == DOCUMENT_START else word for word in words]
        lines += [*(format_cells((word, tag)) for word, tag in zip(words, sentence.tags, strict=True)), ""]
    return "\n".join([*lines, ""])


def _list_texts(tagged: TaggedText) -> list[tuple[str, list[Entity]]]:
    """The text and its entities, with character offsets; for a document, this for each sentence, joined by spaces."""
    if tagged.text is not None:
        return [(tagged.text, tagged.entities)]
    texts = []
    for words, sentence in zip(tagged.words, tagged.sentences, strict=True):
        places = [0]
        for word in words:
            places.append(places[-1] + len(word) + 1)
        entities = [
            entity._replace(start=places[entity.start], end=places[entity.end] - 1) for entity in sentence.entities
        ]
        texts.append((" ".join(words), entities))
    return texts


def _mark_entities(text: str, entities: list[Entity], as_page: bool) -> str:
    escape = html.escape if as_page else str
    parts, last = [], 0
    for entity in entities:
        shown = escape(text[entity.start : entity.end])
        marked = _mark(shown, entity.type, f"{entity.score:.2f}") if as_page else f"[{shown}]({entity.type})"
        parts += [escape(text[last : entity.start]), marked]
        last = entity.end
    return "".join([*parts, escape(text[last:])])


def _mark(shown: str, kind: str, score: str) -> str:
    """A coloured entity of the HTML page; the colour depends on the name of the type."""
    hue = crc32(kind.encode()) % 360
    title = f' title="{score}"' if score else ""
    label = f"<b>{html.escape(kind)}</b>" if score else ""
    return f'<mark style="--hue: {hue}"{title}>{shown}{label}</mark>'

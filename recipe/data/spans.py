"""Text with entities as character spans -> documents of words with tags; the words are those of the Tagger."""

import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from recipe.data.documents import Document, Notes, Sentence
from recipe.data.raw_text import Word, find_sentences
from recipe.errors import RecipeError

STARTS = ("start", "start_offset", "begin", "start_char")
ENDS = ("end", "end_offset", "stop", "end_char")
KINDS = ("label", "labels", "type", "entity", "tag", "entity_type", "entity_group")


class Span(NamedTuple):
    """An entity in a text: `text[start:end]`, in characters. quoted: that text, if the data give it."""

    start: int
    end: int
    kind: str
    quoted: str | None = None


def tag_text(text: str, spans: Iterable[Span], place: str, notes: Notes) -> Document:
    """The words of a text, in sentences, with IOB2 tags.

    A span that begins or ends inside a word is extended to the whole word. Of spans that share a word, the longest is
    kept, because entities cannot be nested. Both, and spans without a word, are counted in `notes`.
    place: of the text, for errors and notes. Raises RecipeError if a span is not inside the text.
    """
    sentences = find_sentences(text)
    words = [word for sentence in sentences for word in sentence]
    tags = ["O"] * len(words)
    inside: set[int] = set()  # words that cannot begin a sentence, because an entity continues there
    for span in sorted(spans, key=lambda span: (span.start - span.end, span.start)):
        if not 0 <= span.start < span.end <= len(text):
            raise RecipeError(
                f"{place}: the span {span.start} to {span.end} ({span.kind}) is not in the text, which has {len(text)} "
                "characters: check that offsets count characters, and that end comes after the last one"
            )
        if span.quoted is not None and span.quoted.split() != text[span.start : span.end].split():
            raise RecipeError(
                f"{place}: the span {span.start} to {span.end} ({span.kind}) is {text[span.start : span.end]!r} in the "
                f"text, but {span.quoted!r} in the data: check that offsets count characters (not bytes or UTF-16 "
                "units), and that line ends were not converted"
            )
        covered = [number for number, word in enumerate(words) if word.start < span.end and word.end > span.start]
        if not covered:
            notes.remark("span(s) without a word were left out", place)
        elif any(tags[number] != "O" for number in covered):
            lost = f"{place}: {text[span.start : span.end]!r}, {span.kind}"
            notes.remark("span(s) inside or across longer ones, or in the same word, were left out", lost)
        else:
            if _cuts(words[covered[0]], words[covered[-1]], text, span):
                whole = text[words[covered[0]].start : words[covered[-1]].end]
                grown = f"{place}: {text[span.start : span.end]!r} to {whole!r}"
                notes.remark("span(s) cut words and were extended to whole words", grown)
            for number in covered:
                tags[number] = f"{'B' if number == covered[0] else 'I'}-{span.kind}"
            inside.update(covered[1:])
    return Document(_divide(sentences, tags, inside, place))


def read_spans(annotation: Any, place: str) -> Iterator[Span]:
    """The spans of one annotation: `[start, end, label]`, an object with such keys, or one of a known tool.

    place: for errors. Raises RecipeError for anything else.
    """
    if isinstance(annotation, dict) and isinstance(annotation.get("result"), list):  # Label Studio: one annotator
        for result in annotation["result"]:
            value = result.get("value") if isinstance(result, dict) else None
            labelled = isinstance(value, dict) and "start" in value and {"labels", "label"} & value.keys()
            if labelled:  # others are choices, ratings or comments
                yield from read_spans(value, place)
        return
    if isinstance(annotation, dict) and isinstance(annotation.get("points"), list):  # Dataturks
        for point in annotation["points"]:
            if isinstance(point, dict) and isinstance(point.get("end"), int):  # the last character
                yield from read_spans({"label": annotation.get("label"), **point, "end": point["end"] + 1}, place)
        return
    parts = annotation if isinstance(annotation, list) else [None]
    if isinstance(annotation, dict):
        parts = [next((annotation[key] for key in keys if key in annotation), None) for keys in (STARTS, ENDS, KINDS)]
    start, end, kind = parts if len(parts) == 3 else (None, None, None)
    kind = kind[0] if isinstance(kind, list) and len(kind) == 1 else kind
    if type(start) is not int or type(end) is not int or not isinstance(kind, str) or not kind.strip():
        shown = json.dumps(annotation, ensure_ascii=False)[:80]
        raise RecipeError(f"{place}: {shown}: expected a span [start, end, label], in characters: fix the row")
    quoted = annotation.get("text") if isinstance(annotation, dict) else None
    yield Span(start, end, kind.strip(), quoted if isinstance(quoted, str) else None)


def _cuts(first: Word, last: Word, text: str, span: Span) -> bool:
    """Whether letters of the first or last word are outside of the span; white space at its ends does not count."""
    return bool(text[first.start : span.start].strip() or text[span.end : last.end].strip())


def _divide(sentences: list[list[Word]], tags: list[str], inside: set[int], place: str) -> list[Sentence]:
    """The sentences with their tags, joined where an entity continues from one to the next."""
    divided: list[Sentence] = []
    number = 0
    for sentence in sentences:
        texts, own = [word.text for word in sentence], tags[number : number + len(sentence)]
        if number in inside:
            divided[-1].words.extend(texts)
            divided[-1].tags.extend(own)
        else:
            divided.append(Sentence(texts, own, place))
        number += len(sentence)
    return divided

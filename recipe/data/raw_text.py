"""Raw text -> sentences of words with their positions in the text.

Words are split as in entity corpora; the `words` command splits them in the same way. The `text` of a word is the input
of the model, with HTML entities resolved and characters composed (NFC). `start` and `end` are character offsets in the
original text.
"""

import html
import re
import unicodedata
from collections.abc import Sequence
from html.entities import html5
from itertools import pairwise
from typing import NamedTuple

import nupunkt
import regex

# Scripts that are written without spaces. Each of their characters is a word, as in entity corpora of Chinese.
UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
LETTER = rf"[\w--[{UNSPACED}]]"
CLITIC = rf"(?i:['\u2019](?:s|re|ve|ll|d|m)|n['\u2019]t)(?!{LETTER})"
# In order: clitics; a character of an unspaced script; the part of a word before n't; initials such as U.S., or a word
# with inner signs, such as 1,250.75; any other sign by itself, with its combining characters.
WORD = regex.compile(
    rf"(?V1){CLITIC}|[{UNSPACED}]\p{{M}}*\u30fc*|{LETTER}+?(?=(?i:n['\u2019]t)(?!{LETTER}))"
    rf"|(?:(?:[{LETTER}--\d]\.){{2,}}(?!{LETTER})|{LETTER}+)(?:(?!{CLITIC})[\-.,/&@'\u2019]{LETTER}+)*|(?=[^\w\s\x1c-\x1f])\X"
)
HTML_ENTITY = re.compile(r"&(#\d{1,7};|#[xX][0-9a-fA-F]{1,6};|\w+;)")
BLANK_LINE = re.compile(r"\n\s*\n|\r\s*\r|\u2029")
# Full stops, exclamation and question marks of scripts without spaces, with closing quotes and brackets after them.
STOP = re.compile("[\u3002\uff01\uff1f\uff61]+[\u300d\u300f\u201d\u2019\uff09)\\]]*")


class Word(NamedTuple):
    """A word as the model reads it; in the original text it is `original[start:end]`."""

    text: str
    start: int
    end: int


def find_words(text: str) -> list[Word]:
    """The words of a text, in order, without white space."""
    clean, starts, ends = _resolve_entities(text)
    words = []
    for match in WORD.finditer(clean):
        start, end = match.span()
        word = unicodedata.normalize("NFC", match[0]).encode("utf-8", "replace").decode()  # replaces lone surrogates
        words.append(Word(word, starts[start], ends[end - 1]))
    return words


def find_sentences(text: str) -> list[list[Word]]:
    """The words of each sentence of a text. Blank lines end sentences; single line breaks do not."""
    sentences, start = [], 0
    for end in [*(match.start() for match in BLANK_LINE.finditer(text)), len(text)]:
        for first, last in _split_sentences(text[start:end]):
            words = [
                Word(word.text, word.start + start + first, word.end + start + first)
                for word in find_words(text[start + first : start + last])
            ]
            if words:
                sentences.append(words)
        start = end
    return sentences


def _split_sentences(paragraph: str) -> list[tuple[int, int]]:
    """The start and end of each sentence of a paragraph, without gaps."""
    ends = {end for _, end in nupunkt.sent_spans(paragraph)} | {match.end() for match in STOP.finditer(paragraph)}
    borders = sorted({0, *ends, len(paragraph)})
    return list(pairwise(borders))


def _resolve_entities(text: str) -> tuple[str, Sequence[int], Sequence[int]]:
    """The text with HTML entities resolved, and for each of its characters the start and end offset in `text`."""
    found = [match for match in HTML_ENTITY.finditer(text) if match[1].startswith("#") or match[1] in html5]
    if not found:
        return text, range(len(text)), range(1, len(text) + 1)
    parts: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    last = 0
    for match in found:
        resolved = html.unescape(match[0])
        parts += [text[last : match.start()], resolved]
        starts += [*range(last, match.start()), *[match.start()] * len(resolved)]
        ends += [*range(last + 1, match.start() + 1), *[match.end()] * len(resolved)]
        last = match.end()
    return (
        "".join([*parts, text[last:]]),
        [*starts, *range(last, len(text))],
        [*ends, *range(last + 1, len(text) + 1)],
    )

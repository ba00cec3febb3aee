"""Raw text -> sentences of words with their positions in the text, and words -> running text.

Words are split as in entity corpora; the `words` command splits them in the same way. The `text` of a word is the input
of the model, with HTML entities resolved and characters composed (NFC). `start` and `end` are character offsets in the
original text.
"""

import html
import re
import unicodedata
from bisect import bisect_left
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
# In order: clitics; dashes, dots and quotes of several characters; numbers with a sign, such as +48, .496, 1:18.48 or
# 10=; currencies such as C$; a character of an unspaced script; the part of a word before n't; initials such as U.S.,
# or a word with inner signs, such as 1,250.75; any other sign by itself, with its combining characters. A sign that
# combines with the next character stands alone: that can be a space.
NUMBER = r"(?<!\S)(?>[+.]?\d+(?:[.,:/\-]\d+)*=?)(?=[\s,;?!)\]]|\.(?:\s|$)|$)"
WORD = regex.compile(
    rf"(?V1){CLITIC}|-{{2,}}|\.{{2,}}|''|``|{NUMBER}|(?:US|[A-Z])\$(?=\s?\d)|[{UNSPACED}]\p{{M}}*\u30fc*|{LETTER}+?(?=(?i:n['\u2019]t)(?!{LETTER}))"
    rf"|(?:(?:[{LETTER}--\d]\.){{2,}}(?!{LETTER})|{LETTER}+)(?:(?!{CLITIC})(?:[\-./&@'\u2019]|(?<=\d),(?=\d)){LETTER}+)*|(?=[^\w\s\x1c-\x1f])(?:\p{{GCB=Prepend}}|\X)"
)
# How text is split into words; a model keeps the key that fits its training data.
SPLITTERS = {"punctuation": WORD, "spaces": regex.compile(r"[^\s\x1c-\x1f]+")}
ATTACHED = re.compile(r".*\w[,;:?!]", re.DOTALL)
MOST_ATTACHED = 0.02  # share of words; in running text 4 to 7 % have a sign attached, in entity corpora at most 0.5 %
# These can follow the last full stop of a sentence.
AFTER_STOP = {'"', "'", "''", "\u2019", "\u201d", ")", "]", "}", "\u00bb"}
CLOSING = re.compile(r"[.,;:!?%)\]}]+|'s|n't|'(?:re|ve|ll|d|m)|\.\.\.", re.IGNORECASE)  # no space before these
OPENING = re.compile(r"[(\[{$\u00a3#]+")  # nor after these
HTML_ENTITY = re.compile(r"&(#\d{1,7};|#[xX][0-9a-fA-F]{1,6};|\w+;)")
BLANK_LINE = re.compile(r"\n\s*\n|\r\s*\r|\u2029")
# Full stops, exclamation and question marks of scripts without spaces, with closing quotes and brackets after them.
STOP = re.compile("[\u3002\uff01\uff1f\uff61]+[\u300d\u300f\u201d\u2019\uff09)\\]]*")


class Word(NamedTuple):
    """A word as the model reads it; in the original text it is `original[start:end]`."""

    text: str
    start: int
    end: int


def find_words(text: str, splitter: str = "punctuation") -> list[Word]:
    """The words of a text, in order, without white space. splitter: a key of `SPLITTERS`."""
    clean, starts, ends = _resolve_entities(text)
    words = []
    for match in SPLITTERS[splitter].finditer(clean):
        start, end = match.span()
        word = unicodedata.normalize("NFC", match[0]).encode("utf-8", "replace").decode()  # replaces lone surrogates
        words.append(Word(word, starts[start], ends[end - 1]))
    return words


def choose_splitter(words: Sequence[str]) -> str:
    """The key of `SPLITTERS` for a model trained on these words: "spaces" if punctuation is attached to them."""
    attached = sum(ATTACHED.fullmatch(word) is not None for word in words)
    return "spaces" if attached > MOST_ATTACHED * len(words) else "punctuation"


def find_sentences(text: str, splitter: str = "punctuation") -> list[list[Word]]:
    """The words of each sentence of a text. Blank lines end sentences; single line breaks do not."""
    sentences, start = [], 0
    for end in [*(match.start() for match in BLANK_LINE.finditer(text)), len(text)]:
        paragraph = text[start:end]
        words = [Word(word, start + first, start + last) for word, first, last in find_words(paragraph, splitter)]
        begins = [word.start - start for word in words]
        # a word belongs to the sentence in which it begins
        borders = [bisect_left(begins, border) for border in _find_borders(paragraph)]
        found = [words[first:last] for first, last in pairwise(borders) if last > first]
        sentences += map(_attach_stops, found) if splitter == "punctuation" else found
        start = end
    return sentences


def _attach_stops(words: list[Word]) -> list[Word]:
    """The words of a sentence, in which a full stop inside the sentence belongs to the abbreviation before it."""
    attached: list[Word] = []
    last = max((number for number, word in enumerate(words) if word.text not in AFTER_STOP), default=0)
    for number, word in enumerate(words):
        before = attached[-1] if attached else None
        if before and word.text == "." and number < last and before.end == word.start and before.text[-1].isalnum():
            attached[-1] = Word(before.text + ".", before.start, word.end)
        else:
            attached.append(word)
    return attached


def join_words(words: Sequence[str]) -> tuple[str, list[tuple[int, int]]]:
    """The words of one sentence as running text, and the start and end of each word in it, in characters.

    Quotes that stand alone open and close in turn.
    """
    text, places = "", []
    glued, quoted = True, False
    for word in words:
        is_quote = word in ('"', "'", "``", "''")
        closes = bool(CLOSING.fullmatch(word)) or (is_quote and quoted)
        if not glued and not closes:
            text += " "
        places.append((len(text), len(text) + len(word)))
        text += word
        quoted = quoted != is_quote
        glued = bool(OPENING.fullmatch(word)) or (is_quote and quoted)
    return text, places


def _find_borders(paragraph: str) -> list[int]:
    """The character offsets at which the sentences of a paragraph begin, and its end."""
    ends = {end for _, end in nupunkt.sent_spans(paragraph)} | {match.end() for match in STOP.finditer(paragraph)}
    return sorted({0, *ends, len(paragraph)})


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

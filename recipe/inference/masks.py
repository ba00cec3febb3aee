"""Text with masks: which tokens are masked, what may stand there, and how predicted tokens are written into the text.

Masks are mask tokens in the text, or tokens and words that you choose by number.
"""

import random
import re
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from tokenizers import Encoding
from transformers import PreTrainedTokenizerBase

from recipe.data.raw_text import find_words
from recipe.errors import RecipeError
from recipe.inputs.case_markers import CAPITALISED, find_markers

ANY, START, FIRST, INNER, MARKER = range(5)  # what may stand at a masked position, see `Vocabulary.allowed`
MOST_PIECES = 20  # of one word
SPACELESS = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
MOST_SHOWN = 600  # characters of the list of tokens or words in an error


class Slot(NamedTuple):
    """A masked position: its place in the ids, what may stand there, and the original token, if it is known."""

    place: int
    kind: int
    original: int | None = None


class Gap(NamedTuple):
    """Neighbouring masked positions, and the characters of the text, from start to end, that their tokens replace."""

    slots: list[Slot]
    start: int
    end: int


class MaskedText(NamedTuple):
    """A text, its token ids with masks, and the gaps in it, from left to right."""

    text: str
    ids: list[int]
    gaps: list[Gap]

    @property
    def slots(self) -> list[Slot]:
        """The masked positions, from left to right."""
        return [slot for gap in self.gaps for slot in gap.slots]


class Vocabulary:
    """What the tokens of a tokenizer are, and how they are written.

    size: entries of the model's vocabulary, which can be larger than the tokenizer's.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, size: int):
        self.tokenizer, self.size = tokenizer, size
        self.markers = find_markers(tokenizer)
        self.capitalised = tokenizer.convert_tokens_to_ids(CAPITALISED) if self.markers else None
        self.special = {*tokenizer.all_special_ids} - self.markers - {tokenizer.unk_token_id}
        own = re.escape(str(tokenizer.mask_token))
        self.typed = re.compile(rf"{own}|\[MASK(?::({'|'.join(map(str, range(MOST_PIECES, 0, -1)))}))?\]")

    @cached_property
    def tokens(self) -> list[str]:
        """The tokens, by id, as the tokenizer spells them."""
        names: Any = self.tokenizer.convert_ids_to_tokens(list(range(min(self.size, len(self.tokenizer)))))
        return names

    @cached_property
    def marks_spaces(self) -> bool:
        """Whether tokens contain the space before a word, as in BPE and SentencePiece; WordPiece marks inner pieces."""
        return any(token.startswith(("\u0120", "\u2581")) for token in self.tokens)

    @cached_property
    def allowed(self) -> np.ndarray:
        """For each kind of slot, the tokens that may stand there: (5, vocabulary).

        ANY: no special token and no case marker. INNER: of these, tokens that continue a word. START: all others.
        FIRST: tokens that begin a word with a letter or digit. MARKER: case markers.
        """
        others = {*self.tokenizer.all_special_ids, *self.markers}
        allowed = np.zeros((5, self.size), bool)
        for number, token in enumerate(self.tokens):
            if number in others:
                continue
            begins = token.startswith(("\u0120", "\u2581")) if self.marks_spaces else not token.startswith("##")
            continues = not begins and (not self.marks_spaces or token[:1].isalnum())
            letter = token.lstrip("\u0120\u2581")[:1].isalnum()
            allowed[:MARKER, number] = [True, not continues, begins and letter, continues]
        allowed[MARKER, list(self.markers)] = True
        return allowed

    def write(self, ids: Sequence[int], before: int) -> str:
        """Token ids as text without white space around it. A case marker, also `before` the ids, sets their case."""
        written: list[str] = []
        marker = before if before in self.markers else None
        run: list[int] = []
        for token in [*ids, None]:
            if token is None or token in self.markers:
                written += [self._set_case(self._decode(run), marker)] if run else []
                marker, run = token, []
            else:
                run.append(token)
        return " ".join(written)

    def _decode(self, ids: list[int]) -> str:
        text: Any = self.tokenizer.decode(ids, clean_up_tokenization_spaces=False)
        return text.strip().removeprefix("##")

    def _set_case(self, text: str, marker: int | None) -> str:
        if marker is None:
            return text
        return text[:1].upper() + text[1:] if marker == self.capitalised else text.upper()

    def describe(self, ids: Sequence[int]) -> str:
        """The positions of an encoded text and their tokens, for errors."""
        names = self.tokenizer.convert_ids_to_tokens(list(ids))
        parts = [
            f"{place} {name}{' (special)' if token in self.special else ''}"
            for place, (token, name) in enumerate(zip(ids, names, strict=True))
        ]
        return _shorten(", ".join(parts))


def mask_typed(texts: Sequence[str], vocabulary: Vocabulary, pieces: Sequence[Sequence[tuple[int, bool]]] = ()) -> list:
    """The `MaskedText` of texts that contain masks, such as `[MASK]` or, for a word of three pieces, `[MASK:3]`.

    pieces: for each text and each of its masks, the number of pieces, and whether a case marker stands before them;
    default: as written, without a marker. Texts without masks have no gaps. A single mask stands for a word or sign,
    and directly behind a letter, digit or mask also for a piece that continues a word.
    """
    masked = []
    mask, mask_id = str(vocabulary.tokenizer.mask_token), vocabulary.tokenizer.mask_token_id
    found = [list(vocabulary.typed.finditer(text)) for text in texts]
    shapes = pieces or [[(int(match[1] or 1), False) for match in matches] for matches in found]
    replaced = []
    for text, matches, shape in zip(texts, found, shapes, strict=True):
        parts, last = [], 0
        for match, (count, marked) in zip(matches, shape, strict=True):
            parts += [text[last : match.start()], mask * (count + marked)]
            last = match.end()
        replaced.append("".join([*parts, text[last:]]))
    for text, matches, shape, encoding in zip(texts, found, shapes, _encode(vocabulary, replaced), strict=True):
        ids = list(encoding.ids)
        places = iter([place for place, token in enumerate(ids) if token == mask_id])
        gaps = []
        for match, (count, marked) in zip(matches, shape, strict=True):
            glued = text[: match.start()][-1:].isalnum() or (bool(gaps) and gaps[-1].end == match.start())
            first = FIRST if marked or count > 1 else ANY if glued else START
            kinds = [MARKER] * marked + [first] + [INNER] * (count - 1)
            gaps.append(Gap([Slot(next(places), kind) for kind in kinds], *match.span()))
        masked.append(MaskedText(text, ids, gaps))
    return masked


def mask_positions(text: str, vocabulary: Vocabulary, positions: Iterable[int]) -> MaskedText:
    """Mask tokens by their positions in the encoded text, special tokens included.

    Raises RecipeError, with all positions and tokens, for a position that is out of range, special or repeated.
    """
    [encoding] = _encode(vocabulary, [text])
    ids, chosen = encoding.ids, list(positions)
    for number, place in enumerate(chosen):
        reason = None
        if not 0 <= place < len(ids):
            reason = "is out of range"
        elif ids[place] in vocabulary.special:
            reason = "is a special token"
        elif place in chosen[:number]:
            reason = "is given twice"
        if reason:
            raise RecipeError(f"mask_positions: {place} {reason}: choose among {vocabulary.describe(ids)}")
    return _mask(text, vocabulary, encoding, [[place] for place in sorted(chosen)])


def mask_words(text: str, vocabulary: Vocabulary, numbers: Iterable[int]) -> MaskedText:
    """Mask whole words by their numbers, from 1; the words are those of the Tagger.

    A token that two of the words share, as `can` in `ca n't`, is masked with the first.
    Raises RecipeError, with all words, for a number that is out of range or repeated.
    """
    words, chosen = find_words(text), list(numbers)
    if not words:
        raise RecipeError("the text has no words to mask")
    for number, word in enumerate(chosen):
        if not 1 <= word <= len(words) or word in chosen[:number]:
            reason = "is out of range" if word not in chosen[:number] else "is given twice"
            listed = _shorten(", ".join(f"{place} {found.text}" for place, found in enumerate(words, 1)))
            raise RecipeError(f"mask_words: {word} {reason}: choose among {listed}")
    return mask_spans(text, vocabulary, [(words[word - 1].start, words[word - 1].end) for word in sorted(chosen)])


def mask_spans(text: str, vocabulary: Vocabulary, spans: Iterable[tuple[int, int]]) -> MaskedText:
    """Mask the tokens of spans of characters, from start to end, that do not overlap; a gap for each with tokens.

    A token that two spans share is masked with the first. Raises RecipeError for a special token.
    """
    [encoding] = _encode(vocabulary, [text])
    ids, markers, groups = encoding.ids, vocabulary.markers, []
    taken: set[int] = set()
    for start, end in spans:
        own = [
            place
            for place, (first, last) in enumerate(encoding.offsets)
            if start < last and first < min(end, last) and ids[place] not in markers and place not in taken
        ]
        if any(ids[place] in vocabulary.special for place in own):
            raise RecipeError(f"{text[start:end]!r} is part of a special token: choose other words to mask")
        taken.update(own)
        if own:
            groups.append([own[0] - 1] * (ids[own[0] - 1] in markers) + own)
    return _mask(text, vocabulary, encoding, groups)


def mask_fraction(text: str, vocabulary: Vocabulary, fraction: float, seed: int) -> MaskedText:
    """Mask a random share of the tokens, at least one; case markers are masked with the word that follows."""
    [encoding] = _encode(vocabulary, [text])
    ids = encoding.ids
    plain = [place for place, token in enumerate(ids) if token not in vocabulary.special | vocabulary.markers]
    count = min(len(plain), max(1, round(fraction * len(plain))))
    chosen = random.Random(f"{seed} {text}").sample(plain, count)
    return _mask(
        text,
        vocabulary,
        encoding,
        [[place - 1] * (ids[place - 1] in vocabulary.markers) + [place] for place in sorted(chosen)],
    )


def _mask(text: str, vocabulary: Vocabulary, encoding: Encoding, groups: Sequence[list[int]]) -> MaskedText:
    """A text with the tokens of each group masked. The tokens of a group are a case marker, and pieces of a word."""
    ids, offsets = encoding.ids, encoding.offsets
    gaps = []
    for group in groups:
        slots = []
        for place in group:
            is_inner = slots and slots[-1].kind != MARKER and bool(vocabulary.allowed[INNER, ids[place]])
            kind = MARKER if ids[place] in vocabulary.markers else INNER if is_inner else ANY
            follows_space = offsets[place][0] > 0 and text[offsets[place][0] - 1].isspace()
            begins = not vocabulary.marks_spaces or follows_space
            is_first = not slots or slots[-1].kind == MARKER
            if kind == ANY and is_first and len(group) > 1 and begins and vocabulary.allowed[START, ids[place]]:
                kind = START
            slots.append(Slot(place, kind, ids[place]))
        plain = [place for place in group if ids[place] not in vocabulary.markers]
        first, last = (plain or group)[0], (plain or group)[-1]
        # A marker stands before the next token; its own offset can be inside the first word of a text.
        start, end = (offsets[first][0], offsets[last][1]) if plain else (offsets[first + 1][0], offsets[first + 1][0])
        start += len(text[start:end]) - len(text[start:end].lstrip())  # BPE's tokens contain the space before a word
        gaps.append(Gap(slots, start, end))
    mask_id = vocabulary.tokenizer.mask_token_id
    masked = {slot.place for gap in gaps for slot in gap.slots}
    return MaskedText(text, [mask_id if place in masked else token for place, token in enumerate(ids)], gaps)


def fill_text(masked: MaskedText, ids: Sequence[int], vocabulary: Vocabulary) -> tuple[str, list[tuple[int, int]]]:
    """The text with its gaps filled by the tokens of `ids`, and the start and end of each filled gap in it.

    A gap whose original tokens were found again keeps its original text.
    """
    text, places, last = "", [], 0
    for gap in masked.gaps:
        text += masked.text[last : gap.start]
        found = [ids[slot.place] for slot in gap.slots]
        if found == [slot.original for slot in gap.slots]:
            written, is_apart = masked.text[gap.start : gap.end], False
        else:
            written = vocabulary.write(found, _find_marker(ids, gap.slots[0].place, vocabulary))
            first = next((token for token in found if token not in vocabulary.markers), None)
            begins = first is not None and bool(vocabulary.allowed[FIRST, first])
            is_apart = begins and _join_words(text[-1:], written[:1])
        text += " " * is_apart
        places.append((len(text), len(text) + len(written)))
        last = gap.end
        text += written
        if is_apart and _join_words(written[-1:], masked.text[last : last + 1]):
            text += " "
    return text + masked.text[last:], places


def _find_marker(ids: Sequence[int], place: int, vocabulary: Vocabulary) -> int:
    """The token before a gap, which can be a case marker; for a gap inside a word, a marker of capitals before it."""
    before = place - 1
    while before > 0 and vocabulary.allowed[INNER, ids[place]] and ids[before] not in vocabulary.markers:
        if not vocabulary.allowed[INNER, ids[before]]:
            before -= 1
            break
        before -= 1
    return ids[place - 1] if before < place - 1 and ids[before] == vocabulary.capitalised else ids[before]


def _join_words(left: str, right: str) -> bool:
    """Whether two characters would join two words into one: letters or digits of scripts with spaces between words."""
    return left.isalnum() and right.isalnum() and not SPACELESS.search(left + right)


def _encode(vocabulary: Vocabulary, texts: Sequence[str]) -> list[Encoding]:
    clean = [text if text.isascii() else text.encode("utf-8", "replace").decode() for text in texts]
    encodings: Any = vocabulary.tokenizer(clean, return_attention_mask=False, verbose=False).encodings
    return encodings


def _shorten(text: str) -> str:
    return text if len(text) <= MOST_SHOWN else text[:MOST_SHOWN] + " ..."

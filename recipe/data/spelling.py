"""Tags as other tools spell them (`B_PER`, `LOC-B`, `b-per`, `M-ORG`, `PER`) -> tags as the recipe spells them.

The spelling is found from all tags of a file together, so that a single mistake is still refused.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import NamedTuple

from recipe.data.schemes import is_tag

OUTSIDE = ("-", "_", "o", "0")  # other spellings of O, if the file has no O
PREFIXED = re.compile(r"([BIESLUMW])[-_/:.](.+)", re.IGNORECASE)
SUFFIXED = re.compile(r"(.+)[-_/:.]([BIESLUMW])", re.IGNORECASE)
BARE = re.compile(r"[^\W\d_]{2}[\w-]*")  # a type without a prefix
MEANINGS = {"M": "I", "W": "S"}  # of BMES and BMEWO


class Spelling(NamedTuple):
    """Tags as written -> tags as the recipe spells them, and one sentence that says what was done, if anything."""

    tags: Mapping[str, str]
    note: str

    def spell(self, tag: str) -> str:
        """The tag as the recipe spells it; a tag that was not seen when the spelling was found stays as it is."""
        return self.tags.get(tag, tag)


def find_spelling(written: Counter[str]) -> Spelling:
    """The spelling of the tags of one file, counted as written. Tags that fit no spelling stay as they are."""
    ways = (_spell_prefixed, _spell_suffixed, *([_spell_bare] if _seem_bare(written) else []))
    if not all(map(is_tag, written)):
        for way in ways:
            tags = {tag: _spell(tag, way, written) for tag in written}
            if all(map(is_tag, tags.values())):
                example = max((tag for tag in written if tags[tag] != tag), key=lambda tag: (tags[tag] != "O", tag))
                meaning = f"type {example}, without a prefix" if way is _spell_bare else tags[example]
                return Spelling(tags, f"tags such as {example} are read as {meaning}")
    return Spelling({}, "")


def _spell(tag: str, way: Callable[[str], str], written: Counter[str]) -> str:
    if tag == "O" or (tag in OUTSIDE and "O" not in written):
        return "O"
    return way(tag)


def _spell_prefixed(tag: str) -> str:
    match = PREFIXED.fullmatch(tag)
    return f"{_translate(match[1])}-{match[2]}" if match else tag


def _spell_suffixed(tag: str) -> str:
    match = SUFFIXED.fullmatch(tag)
    return f"{_translate(match[2])}-{match[1]}" if match else tag


def _spell_bare(tag: str) -> str:
    return f"I-{tag}"


def _translate(prefix: str) -> str:
    return MEANINGS.get(prefix.upper(), prefix.upper())


def _seem_bare(written: Counter[str]) -> bool:
    """Whether the tags are types without prefixes: names of types, and one tag that means no entity."""
    outside = {tag for tag in ("O", *OUTSIDE) if tag in written}
    kinds = [tag for tag in written if tag not in outside]
    names = all(BARE.fullmatch(kind) and not PREFIXED.fullmatch(kind) for kind in kinds)
    return len(outside) == 1 and bool(kinds) and names

"""Tag schemes: IOB1, IOB2, IOBES and BILOU, told apart and turned into IOB2, the one scheme used inside the recipe.

A tag is `O` or `PREFIX-TYPE`. IOB1 opens an entity with B only right after another one of its type, IOB2 always;
IOBES and BILOU also mark the last word (E, L) and the entity of one word (S, U).
Sources: Ramshaw and Marcus 1995 (IOB1); Ratinov and Roth 2009 (BILOU).
"""

from collections.abc import Sequence
from itertools import pairwise

PREFIXES = {"IOB2": "BI", "IOB1": "BI", "IOBES": "BIES", "BILOU": "BILU"}
OPENING, CLOSING = "BSU", "ESLU"


def split_tag(tag: str) -> tuple[str, str]:
    """`"B-PER"` -> `("B", "PER")`, `"O"` -> `("O", "")`. Raises ValueError for anything that is no tag."""
    prefix, _, kind = tag.partition("-")
    if tag == "O" or (kind and len(prefix) == 1 and prefix in "BIESLU"):
        return prefix, kind
    raise ValueError(f"{tag!r} is no tag: expected O, or one of B I E S L U, a hyphen and an entity type")


def is_well_formed(tags: Sequence[str], scheme: str) -> bool:
    """Whether one sentence's tags keep the rules of `scheme`, a key of `PREFIXES`."""
    outside = ("O", "")
    for (before, kind_before), (prefix, kind) in pairwise([outside, *map(split_tag, tags), outside]):
        continues = before in "BI" and kind == kind_before
        if prefix != "O" and prefix not in PREFIXES[scheme]:
            return False
        if scheme == "IOB1":
            allowed = prefix != "B" or continues
        elif scheme == "IOB2":
            allowed = prefix != "I" or continues
        elif before in "BI":  # an open entity must go on
            allowed = continues and prefix in "IEL"
        else:
            allowed = prefix not in "IEL"
        if not allowed:
            return False
    return True


def to_iob2(tags: Sequence[str]) -> list[str]:
    """Turn one sentence's tags, in any of the schemes, into IOB2.

    An entity opens at B, S or U, and wherever another prefix does not continue its predecessor: the rules of all four
    schemes in one, and conlleval's reading of ill-formed tags.
    """
    result, open_kind = [], None
    for prefix, kind in map(split_tag, tags):
        if prefix == "O":
            result.append("O")
            open_kind = None
            continue
        opens = prefix in OPENING or kind != open_kind
        result.append(f"{'B' if opens else 'I'}-{kind}")
        open_kind = None if prefix in CLOSING else kind
    return result

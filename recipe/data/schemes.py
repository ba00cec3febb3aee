"""Tag schemes: checks for IOB1, IOB2, IOBES and BILOU, and conversion to IOB2, which the recipe uses internally.

A tag is `O` or `PREFIX-TYPE`. In IOB1 an entity starts with B only right after another entity of its type, in IOB2
always. IOBES and BILOU also mark the last word (E, L) and entities of one word (S, U).
Sources: Ramshaw and Marcus 1995 (IOB1); Ratinov and Roth 2009 (BILOU).
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain, pairwise

PREFIXES = {"IOB2": "BI", "IOB1": "BI", "IOBES": "BIES", "BILOU": "BILU"}
TWO_TAGS = re.compile(r"[|,;/+&]([BIESLU]-.|O$)")  # the rest of a tag after its hyphen
OPENING, CLOSING = "BSU", "ESLU"


@lru_cache(1024)
def split_tag(tag: str) -> tuple[str, str]:
    """`"B-PER"` -> `("B", "PER")`, `"O"` -> `("O", "")`. Raises ValueError if `tag` is not a tag."""
    prefix, _, kind = tag.partition("-")
    if TWO_TAGS.search(kind):
        raise ValueError(f"{tag!r} is two tags: expected one")
    if tag == "O" or (kind and len(prefix) == 1 and prefix in "BIESLU"):
        return prefix, kind
    raise ValueError(f"{tag!r} is not a tag: expected O, or one of B I E S L U, a hyphen and an entity type")


def is_tag(tag: str) -> bool:
    """Whether `tag` is spelled as the recipe spells tags."""
    try:
        split_tag(tag)
    except ValueError:
        return False
    return True


def is_well_formed(tags: Sequence[str], scheme: str) -> bool:
    """Whether the tags of one sentence follow the rules of `scheme`, a key of `PREFIXES`."""
    return all(_may_follow(split_tag(before), split_tag(after), scheme) for before, after in _pair_tags(tags))


def count_slips(sentences: Iterable[Sequence[str]]) -> dict[str, int]:
    """The number of places where the tags of all sentences break the rules of each scheme in `PREFIXES`."""
    # Files have few different pairs, so that it is much faster to count these first.
    pairs = Counter(chain.from_iterable(map(_pair_tags, sentences)))
    return {
        scheme: sum(
            number
            for (before, after), number in pairs.items()
            if not _may_follow(split_tag(before), split_tag(after), scheme)
        )
        for scheme in PREFIXES
    }


def _pair_tags(tags: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The tags before and after each boundary between words, with O outside of the sentence."""
    return pairwise(["O", *tags, "O"])


def _may_follow(before: tuple[str, str], after: tuple[str, str], scheme: str) -> bool:
    (opened, kind_before), (prefix, kind) = before, after
    continues = opened in "BI" and kind == kind_before
    if prefix != "O" and prefix not in PREFIXES[scheme]:
        return False
    if scheme == "IOB1":
        return prefix != "B" or continues
    if scheme == "IOB2":
        return prefix != "I" or continues
    if opened in "BI":  # an open entity must continue
        return continues and prefix in "IEL"
    return prefix not in "IEL"


def to_iob2(tags: Sequence[str]) -> list[str]:
    """Convert the tags of one sentence, in any of the schemes, to IOB2.

    An entity starts at B, S or U, and at any other prefix that does not continue an entity of its type. This covers all
    four schemes, and reads ill-formed tags as conlleval does.
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


def is_iob2(label: str) -> bool:
    """Whether `label` is a label of IOB2: `O`, or `B-` or `I-` and a type."""
    prefix, _, kind = label.partition("-")
    return label == "O" or (prefix in ("B", "I") and bool(kind))


def list_types(tags: Iterable[str]) -> list[str]:
    """The entity types that occur in `tags`, in alphabetical order."""
    return sorted({split_tag(tag)[1] for tag in set(tags)} - {""})


def build_labels(types: Iterable[str]) -> list[str]:
    """The IOB2 labels of a model that predicts `types`: O, then B and I of each type."""
    return ["O", *(f"{prefix}-{kind}" for kind in types for prefix in PREFIXES["IOB2"])]


def find_continuations(labels: Sequence[str]) -> list[tuple[int, int]]:
    """The label ids of each I and of the B of its type, the only labels that this I can follow in IOB2.

    An I without a B of its type is left out.
    """
    numbers = {label: number for number, label in enumerate(labels)}
    pairs = [(number, numbers.get(f"B{label[1:]}")) for label, number in numbers.items() if label.startswith("I-")]
    return [(inside, begin) for inside, begin in pairs if begin is not None]


def list_entities(tags: Sequence[str]) -> list[tuple[int, int, str]]:
    """The entities of one sentence as `(start, stop, type)`, words `start` to `stop - 1`, from strict IOB2 tags.

    An I that continues no entity of its type is not an entity, and it ends an open entity of another type.
    """
    entities, start, kind = [], 0, ""
    for number, tag in enumerate([*tags, "O"]):
        if kind and tag != f"I-{kind}":
            entities.append((start, number, kind))
            kind = ""
        if tag.startswith("B-"):
            start, kind = number, tag[2:]
    return entities

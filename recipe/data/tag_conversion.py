"""The tags of one file, in any scheme and with a few mistakes, to IOB2."""

import logging
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from recipe.data.documents import Sentence
from recipe.data.schemes import PREFIXES, count_slips, is_well_formed, split_tag, to_iob2
from recipe.errors import RecipeError

MOST_SLIPS = 0.1  # places that break the scheme of a file, as a share of its entities; more are refused
BREAKS = re.compile(r"[\s\0]")  # would break the columns of a file

logger = logging.getLogger(__name__)


def convert_tags(sentences: Sequence[Sentence], tag_scheme: str | None = None) -> str:
    """Convert the tags of one file's sentences to IOB2 in place; return the scheme they were in.

    Without `tag_scheme`, that is the scheme whose rules are broken in the fewest places. Published corpora contain a
    few mistakes (two in CoNLL-2003's IOB1 training file): such a tag starts an entity, as in conlleval.
    Raises RecipeError if there are more mistakes than a tenth of the entities, or if a tag has a prefix that the scheme
    does not have.
    """
    for sentence in sentences:
        sentence.tags = join_breaks(sentence.tags)
    scheme = tag_scheme or _detect_scheme([sentence for sentence in sentences if set(sentence.tags) != {"O"}])
    for sentence in sentences:
        foreign = {split_tag(tag)[0] for tag in sentence.tags} - {"O", *PREFIXES[scheme]}
        if foreign:
            raise RecipeError(
                f"{sentence.place}: the sentence that starts here has a tag with the prefix {min(foreign)}, which is "
                f"not in the scheme {scheme}: fix the tag, or set tag_scheme"
            )
        sentence.tags = to_iob2(sentence.tags)
    return scheme


def join_breaks(tags: Iterable[str]) -> list[str]:
    """The tags of a sentence with `_` in place of white space, as `write_conll` writes types."""
    return list(map(_join_breaks, tags))


@lru_cache(1024)
def _join_breaks(tag: str) -> str:
    """One such tag. Equal tags are the same object, so that a large file needs little memory."""
    return BREAKS.sub("_", tag)


def _detect_scheme(sentences: Sequence[Sentence]) -> str:
    slips = count_slips(sentence.tags for sentence in sentences)
    scheme = min(slips, key=slips.__getitem__)
    count = slips[scheme]
    if not count:
        return scheme
    entities = sum(tag.startswith("B") for sentence in sentences for tag in to_iob2(sentence.tags))
    first = next(sentence for sentence in sentences if not is_well_formed(sentence.tags, scheme))
    if count > MOST_SLIPS * entities:
        raise RecipeError(
            f"{first.place}: the tags of the sentence that starts here are not {scheme}, the scheme that fits the file "
            f"best ({count} slips in {entities} entities): fix the tags, or set tag_scheme"
        )
    logger.warning(
        "%s: first sentence that breaks the rules of %s (%d slips in %d entities)", first.place, scheme, count, entities
    )
    return scheme

"""Words -> running text as a newspaper prints it, with the place of each word: to score models on raw text."""

import re
from collections.abc import Sequence

CLOSING = re.compile(r"[.,;:!?%)\]}]+|'s|n't|'(?:re|ve|ll|d|m)|\.\.\.", re.IGNORECASE)  # no space before these
OPENING = re.compile(r"[(\[{$\u00a3#]+")  # nor behind these


def join_words(words: Sequence[str]) -> tuple[str, list[tuple[int, int]]]:
    """The text of one sentence, and start and end of each word in it, in characters.

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

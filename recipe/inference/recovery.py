"""Masked tokens of held-out blocks: does the model find them again, and what else does it consider?"""

import logging
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from recipe.evaluation.filled import FilledExample, FilledPiece
from recipe.inference.masked_model import MaskedModel
from recipe.inference.masks import Vocabulary
from recipe.inference.scores import Row
from recipe.inputs.tokens import IGNORED, find_pieces

EXAMPLES = 12
CANDIDATES = 5
CONTEXT = 30  # tokens on each side
DIGITS = 4  # of a probability

logger = logging.getLogger(__name__)


def try_examples(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, blocks: Any, seed: int = 0
) -> list[FilledExample]:
    """`fill_examples` at the end of a run. If they cannot be made, there are none, and a warning says why."""
    try:
        return fill_examples(model, tokenizer, blocks, seed)
    except Exception as error:  # the run is good without them
        logger.warning("no filled examples for the page: %s: %s", type(error).__name__, error)
        return []


def fill_examples(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, blocks: Any, seed: int = 0
) -> list[FilledExample]:
    """Predict about `EXAMPLES` masked tokens of held-out blocks, drawn at random but equal for equal seeds.

    blocks: a data set of `input_ids` and `labels`, as `draw_masks` returns it. Only tokens that became the mask token
    are drawn, of as many blocks as possible, and no case markers. The model is put into evaluation mode.
    """
    filler = MaskedModel(model, tokenizer)
    writer = _Writer(tokenizer, model.config.vocab_size, filler.pretraining.is_causal)
    drawn = _draw_positions(blocks, tokenizer.mask_token_id, writer.vocabulary.markers, seed)
    rows = [Row(list(blocks[block]["input_ids"]), [place]) for block, place in drawn]
    found: dict[int, FilledExample] = {}
    for numbers, scores in filler.predict(rows):
        for position, number in enumerate(numbers):  # each row has one position
            block, place = drawn[number]
            found[number] = writer.describe(block, blocks[block], place, np.exp(scores.row(position)))
    return [found[number] for number in range(len(rows))]


def _draw_positions(blocks: Any, mask: int, markers: frozenset[int], seed: int) -> list[tuple[int, int]]:
    """Blocks and positions: one of each block, in random order, then a second one of each, until there are enough."""
    draw = random.Random(seed)
    waiting: list[tuple[int, list[int]]] = []
    for block in draw.sample(range(len(blocks)), len(blocks)):
        ids, labels = blocks[block]["input_ids"], blocks[block]["labels"]
        places = [
            place
            for place, (token, label) in enumerate(zip(ids, labels, strict=True))
            if token == mask and label not in (IGNORED, *markers)
        ]
        if places:
            waiting.append((block, draw.sample(places, len(places))))
        if len(waiting) == EXAMPLES:
            break
    rounds = max((len(places) for _, places in waiting), default=0)
    pairs = [(block, places[turn]) for turn in range(rounds) for block, places in waiting if turn < len(places)]
    return pairs[:EXAMPLES]


class _Writer:
    """Writes tokens of a block as text. is_causal: whether the model sees nothing to the right of a token."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, size: int, is_causal: bool):
        self.vocabulary, self.is_causal = Vocabulary(tokenizer, size), is_causal
        self._continues = [*find_pieces(tokenizer), *[False] * size]  # the model can have more entries
        self._left_out = {tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id} - {None}

    def describe(self, number: int, block: dict[str, Sequence[int]], place: int, chances: np.ndarray) -> FilledExample:
        """The example of one masked position. chances: (vocabulary,) the probabilities of the tokens there."""
        ids = block["input_ids"]
        texts = [token if label == IGNORED else label for token, label in zip(ids, block["labels"], strict=True)]
        unseen = [token != text for token, text in zip(ids, texts, strict=True)]
        if self.is_causal:
            unseen[place:] = [True] * len(unseen[place:])
        first, last = max(0, place - CONTEXT), min(len(texts), place + 1 + CONTEXT)
        best = np.argsort(-chances, kind="stable")[:CANDIDATES].tolist()
        before = texts[place - 1] if place else -1
        probability = float(chances[texts[place]])
        return FilledExample(
            block=number,
            before=self._cut(texts, unseen, first, place),
            original=self._write([texts[place]], before, True),
            after=self._cut(texts, unseen, place + 1, last),
            candidates=[(self._name(token, before), round(float(chances[token]), DIGITS)) for token in best],
            rank=1 + int((chances > probability).sum()),
            probability=round(probability, DIGITS),
        )

    def _cut(self, texts: Sequence[int], unseen: Sequence[bool], first: int, last: int) -> list[FilledPiece]:
        """The tokens from `first` to `last - 1` as pieces that are seen or unseen throughout."""
        runs: list[tuple[list[int], int, bool]] = []  # tokens, the token before them, and whether they are unseen
        for place in range(first, last):
            if texts[place] in self._left_out:
                continue
            if runs and runs[-1][2] == unseen[place]:
                runs[-1][0].append(texts[place])
            else:
                runs.append(([texts[place]], texts[place - 1] if place else -1, unseen[place]))
        return [piece for run in runs if (piece := self._write(*run)).text]

    def _write(self, ids: list[int], before: int, is_hidden: bool) -> FilledPiece:
        start = next((token for token in ids if token not in self.vocabulary.markers), ids[0])
        return FilledPiece(self.vocabulary.write(ids, before), is_hidden, self._continues[start])

    def _name(self, token: int, before: int) -> str:
        """A candidate as text; inner pieces of words begin with ##, as in WordPiece."""
        return ("##" if self._continues[token] else "") + self.vocabulary.write([token], before)

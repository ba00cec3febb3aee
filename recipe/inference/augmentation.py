"""Changed copies of the training documents in files, and those whose words a masked language model chooses.

The methods without a model are in `recipe.data.augmentation`.
"""

import json
import random
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import torch

from recipe.data.augmentation import METHODS, augment
from recipe.data.documents import Document, Sentence, list_sentences
from recipe.data.settings import AugmentationArguments
from recipe.files import write_whole
from recipe.inference.fill_options import FillOptions
from recipe.inference.filler import BUFFER, Filler
from recipe.inference.masks import ANY, FIRST, START, MaskedText, mask_spans
from recipe.seeds import derive_seed

PASSES = 4  # forward passes for a sentence: the later ones see the words that the earlier ones chose
SUFFIX = ".jsonl"


def write_copies(
    documents: Sequence[Document], arguments: AugmentationArguments, seed: int, cache_dir: str | None, folder: Path
) -> None:
    """Write the copies that `arguments` ask for to a new folder, a file of JSON Lines for each method.

    A line is a document: the words, tags and place of each sentence. Column files could not hold each word as it is.

    Raises RecipeError if the model of `fill` cannot be loaded.
    """
    names = arguments.augmentation or []
    methods = {name: METHODS[name] for name in names if name in METHODS}
    with torch.random.fork_rng():  # loading a model may draw numbers, and a resumed run does not load it
        if "fill" in names:
            filler = Filler.load(str(arguments.augmentation_model), cache_dir=cache_dir)
            methods["fill"] = partial(refill, filler)
        copies = augment(documents, methods, arguments.augmentation_copies, arguments.augmentation_rate, seed)
    folder.mkdir()
    for name, made in copies.items():
        lines = [json.dumps([asdict(sentence) for sentence in document.sentences]) + "\n" for document in made]
        write_whole(folder / f"{name}{SUFFIX}", "".join(lines))


def read_copies(folder: str | Path) -> dict[str, list[Document]]:
    """The copies in a folder of `write_copies`, by method."""
    return {path.stem: _read_documents(path) for path in sorted(Path(folder).glob(f"*{SUFFIX}"))}


def _read_documents(path: Path) -> list[Document]:
    with open(path, encoding="utf-8") as file:
        return [Document([Sentence(**sentence) for sentence in json.loads(line)]) for line in file]


def count_copies(copies: dict[str, list[Document]]) -> dict[str, dict[str, int]]:
    """The number of documents, sentences and words that each method adds."""
    sentences = {name: list_sentences(documents) for name, documents in copies.items()}
    return {
        name: {
            "documents": len(copies[name]),
            "sentences": len(found),
            "words": sum(len(sentence.words) for sentence in found),
        }
        for name, found in sentences.items()
    }


class _Masked(NamedTuple):
    """A sentence with masked words: their places, and its text with masks."""

    sentence: Sentence
    places: list[int]
    text: MaskedText


def refill(filler: Filler, documents: Sequence[Document], rate: float, seed: int) -> list[Document]:
    """Mask a share of the words outside of entities, and let `filler` choose what stands there; the tags stay.

    Only words of lower-case letters are masked. A prediction counts only if it is such a word too and not part of an
    entity elsewhere in `documents`, because a new name would have a wrong tag. Sentences longer than the model accepts
    stay as they are.
    """
    names = _list_names(documents)
    copies = [Document([Sentence([*one.words], [*one.tags], one.place) for one in doc.sentences]) for doc in documents]
    draw = random.Random(derive_seed(seed, "masks"))
    masked = [_mask(filler, sentence, rate, draw) for sentence in list_sentences(copies)]
    fitting = [item for item in masked if item.text.gaps and len(item.text.ids) <= filler.longest]
    options = FillOptions(steps=PASSES, temperature=1.0, seed=seed, top=1)
    for first in range(0, len(fitting), BUFFER):
        buffer = fitting[first : first + BUFFER]
        for item, filled in zip(buffer, filler.fill_masked([item.text for item in buffer], options), strict=True):
            for place, (_, _, word) in zip(item.places, filled.gaps, strict=True):
                if _is_plain(word) and word.casefold() not in names:
                    item.sentence.words[place] = word
    return copies


def _mask(filler: Filler, sentence: Sentence, rate: float, draw: random.Random) -> _Masked:
    """A sentence with a share of its plain words outside of entities masked."""
    starts = list(accumulate((len(word) + 1 for word in sentence.words), initial=0))
    spans = [
        (start, start + len(word))
        for word, tag, start in zip(sentence.words, sentence.tags, starts, strict=False)
        if tag == "O" and _is_plain(word) and draw.random() < rate
    ]
    text = mask_spans(" ".join(sentence.words), filler.vocabulary, spans)
    gaps = [
        gap._replace(slots=[slot._replace(kind=FIRST) if slot.kind in (ANY, START) else slot for slot in gap.slots])
        for gap in text.gaps
    ]  # words take the place of words, not signs or pieces that continue a word
    places = [bisect_right(starts, gap.start) - 1 for gap in gaps]  # a word without tokens has no gap
    return _Masked(sentence, places, text._replace(gaps=gaps))


def _is_plain(word: str) -> bool:
    """Whether a word has only letters, none of them a capital."""
    return word.isalpha() and word == word.lower()


def _list_names(documents: Sequence[Document]) -> set[str]:
    """The words that occur only in entities, in lower case."""
    words: dict[bool, set[str]] = {True: set(), False: set()}
    for sentence in list_sentences(documents):
        for word, tag in zip(sentence.words, sentence.tags, strict=True):
            words[tag == "O"].add(word.casefold())
    return words[False] - words[True]

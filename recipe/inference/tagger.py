"""Documents -> tags: the windows that a model reads, and the tags and confidences that its logits mean.

The settings of a `Tagger` are saved in the model's `config.json`, under `tagger`: a finished model is used as it was
scored, and transformers' `from_pretrained` loads it like any other.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from itertools import chain
from typing import Any, NamedTuple, TypeVar

import numpy as np
from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from recipe.data.documents import Document, list_sentences
from recipe.data.schemes import list_entities
from recipe.errors import RecipeError
from recipe.inference.decoding import compute_posteriors, decode
from recipe.inputs.windows import CONTEXTS, Window, build_windows, collect_logits

KEY = "tagger"  # of config.json
Arguments = TypeVar("Arguments")


@dataclass(frozen=True)
class TaggerSettings:
    """How documents become windows and logits become tags; see the settings of the same names."""

    max_seq_length: int = 512
    context: str = "document"
    context_size: int = 64
    constrained_decoding: bool = True


class Entity(NamedTuple):
    """Words `start` to `stop - 1` of a sentence, and the probability of exactly this span and type."""

    start: int
    stop: int
    type: str
    score: float


class TaggedSentence(NamedTuple):
    """The tags of a sentence's words, the probability of each, and the entities that they form."""

    tags: list[str]
    scores: list[float]
    entities: list[Entity]


def read_settings(config: PreTrainedConfig) -> TaggerSettings:
    """The settings that a model was trained with; the defaults if it does not tell. Raises RecipeError for odd ones."""
    given = getattr(config, KEY, None) or {}
    known = {field.name: given[field.name] for field in fields(TaggerSettings) if field.name in given}
    settings = TaggerSettings(**known)
    for name, default in asdict(TaggerSettings()).items():
        if type(getattr(settings, name)) is not type(default) or settings.context not in CONTEXTS:
            raise RecipeError(f"config.json of the model: {KEY}: {given}: cannot be read: fix it, or delete the entry")
    return settings


def resolve_settings(arguments: Arguments, config: PreTrainedConfig) -> Arguments:
    """`arguments`, a dataclass with the fields of `TaggerSettings`: what is None there becomes the model's own."""
    own = asdict(read_settings(config))
    return replace(arguments, **{name: value for name, value in own.items() if getattr(arguments, name) is None})


class Tagger:
    """What stands around the model that tags entities, before it and behind it.

    labels: by label id, in IOB2. The other settings are those of `TaggerSettings`.
    """

    def __init__(self, labels: Sequence[str], tokenizer: PreTrainedTokenizerBase, **settings: Any):
        self.labels, self.tokenizer = list(labels), tokenizer
        self.settings = TaggerSettings(**settings)

    @classmethod
    def from_arguments(cls, labels: Sequence[str], tokenizer: PreTrainedTokenizerBase, arguments: Any) -> "Tagger":
        """The tagger of resolved settings (`resolve_settings`)."""
        return cls(
            labels, tokenizer, **{field.name: getattr(arguments, field.name) for field in fields(TaggerSettings)}
        )

    def note_in(self, config: PreTrainedConfig) -> None:
        """Put the settings into a model's configuration, which is saved and pushed with the weights."""
        setattr(config, KEY, asdict(self.settings))

    def windows(self, documents: Iterable[Document], training: bool = False) -> list[Window]:
        """The windows of a split. training: each token stands in one window only."""
        settings = self.settings
        return build_windows(
            documents,
            self.tokenizer,
            self.labels,
            settings.max_seq_length,
            settings.context,
            0 if training else settings.context_size,
        )

    def tags(
        self, documents: Sequence[Document], windows: Sequence[Window], batches: Iterable[np.ndarray]
    ) -> list[list[str]]:
        """The tags of each sentence of `documents`.

        windows: of these documents. batches: their logits, (windows, tokens, labels) each, in the same order.
        """
        logits, lengths = self._collect(documents, windows, batches)
        return decode(logits, lengths, self.labels, self.settings.constrained_decoding)

    def predict(
        self, documents: Sequence[Document], windows: Sequence[Window], batches: Iterable[np.ndarray]
    ) -> list[TaggedSentence]:
        """As `tags`, with the confidence in each word's tag and in each entity."""
        logits, lengths = self._collect(documents, windows, batches)
        constrained = self.settings.constrained_decoding
        posteriors = compute_posteriors(logits, lengths, self.labels, constrained)
        label_ids = {label: number for number, label in enumerate(self.labels)}
        tagged, first = [], 0
        for tags in decode(logits, lengths, self.labels, constrained):
            numbers = range(first, first + len(tags))
            scores = [
                float(posteriors.words[number, label_ids[tag]]) for number, tag in zip(numbers, tags, strict=True)
            ]
            entities = [
                Entity(start, stop, kind, posteriors.score_entity(first + start, first + stop, kind, stop == len(tags)))
                for start, stop, kind in list_entities(tags)
            ]
            tagged.append(TaggedSentence(tags, scores, entities))
            first += len(tags)
        return tagged

    def _collect(
        self, documents: Sequence[Document], windows: Sequence[Window], batches: Iterable[np.ndarray]
    ) -> tuple[np.ndarray, list[int]]:
        """The logits of all words, (words, labels), and the words of each sentence."""
        lengths = [len(sentence.words) for sentence in list_sentences(documents)]
        return collect_logits(chain.from_iterable(batches), windows), lengths

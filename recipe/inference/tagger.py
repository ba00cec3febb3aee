"""Documents or raw text -> entities: the windows that a model reads, and the tags and confidences that its logits mean.

The settings of a `Tagger` are saved in the model's `config.json`, under `tagger`: a finished model is used as it was
scored, and transformers' `from_pretrained` loads it like any other.
"""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields, replace
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
import torch
from transformers import AutoModelForTokenClassification, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from recipe.data.documents import Document, Sentence, list_sentences
from recipe.data.raw_text import Word, find_sentences
from recipe.data.schemes import is_iob2, list_entities
from recipe.errors import RecipeError
from recipe.inference.decoding import compute_posteriors, decode
from recipe.inputs.tokenizer import load_tokenizer
from recipe.inputs.windows import CONTEXTS, Window, build_windows, collect_logits
from recipe.model.loading import check_length, check_vocabulary, load_config, load_model, read_labels
from recipe.model.settings import ModelArguments
from recipe.precision import choose_precision

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

KEY = "tagger"  # of config.json
BATCH_TOKENS = 4096  # padding included, that the model reads at once
BUFFER_CHARACTERS = 200_000  # of text that is sorted by length together
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
Arguments = TypeVar("Arguments", bound="DataclassInstance")


@dataclass(frozen=True)
class TaggerSettings:
    """How documents become windows and logits become tags; see the settings of the same names."""

    max_seq_length: int = 512
    context: str = "document"
    context_size: int = 64
    constrained_decoding: bool = True


class Entity(NamedTuple):
    """An entity: its place, its words, its type, and the probability of exactly this span and type.

    start, end: of a raw text its characters, so that `text` is `the_text[start:end]`; of words their numbers.
    """

    start: int
    end: int
    text: str
    type: str
    score: float


class TaggedSentence(NamedTuple):
    """The tags of a sentence's words, the probability of each, and the entities that they form, by word numbers."""

    tags: list[str]
    scores: list[float]
    entities: list[Entity]


class TaggedText(NamedTuple):
    """A text, or a document of words, tagged.

    text: None for a document. words, sentences: of each sentence. entities: by characters; empty for a document, whose
    entities are those of its sentences, by words.
    """

    text: str | None
    words: list[list[str]]
    sentences: list[TaggedSentence]
    entities: list[Entity]


class _Prepared(NamedTuple):
    """A buffer that the model can read. places: of a text's words; None for a document."""

    items: list[str | Document]
    places: list[list[list[Word]] | None]
    documents: list[Document]
    windows: list[Window]


def read_settings(config: PreTrainedConfig) -> TaggerSettings:
    """The settings that a model was trained with, the defaults if it has none. Raises RecipeError for odd ones."""
    given = getattr(config, KEY, None) or {}
    known = {field.name: given[field.name] for field in fields(TaggerSettings) if field.name in given}
    settings = TaggerSettings(**known)
    for name, default in asdict(TaggerSettings()).items():
        if type(getattr(settings, name)) is not type(default) or settings.context not in CONTEXTS:
            raise RecipeError(f"config.json of the model: {KEY}: {given}: cannot be read: fix it, or delete the entry")
    return settings


def resolve_settings(arguments: Arguments, config: PreTrainedConfig) -> Arguments:
    """`arguments`, a dataclass with the fields of `TaggerSettings`: None is replaced by the model's own value."""
    own = asdict(read_settings(config))
    missing = {name: value for name, value in own.items() if getattr(arguments, name) is None}
    return replace(arguments, **missing)  # type: ignore[type-var]


class Tagger:
    """A model with everything around it: from documents or text to entities.

    labels: by label id, in IOB2. settings: those of `TaggerSettings`.
    model: what computes logits; without one, `windows`, `tags` and `predict` work on logits that you compute.
    """

    def __init__(
        self,
        labels: Sequence[str],
        tokenizer: PreTrainedTokenizerBase,
        model: PreTrainedModel | None = None,
        **settings: Any,
    ):
        self.labels, self.tokenizer, self.model = list(labels), tokenizer, model
        self.settings = TaggerSettings(**settings)

    @classmethod
    def load(cls, name: str | Path, precision: str = "auto", device: str | None = None, **options: Any) -> "Tagger":
        """Load a finished model, which is used as it was scored.

        name: a run's folder, one of its checkpoints, or a Hub id.
        precision: of the weights; "auto" is bf16 where the hardware multiplies it natively, else fp32.
        device: as torch names it; a GPU if there is one, else the CPU.
        options: `model_revision`, `cache_dir`, `trust_remote_code`.
        Raises RecipeError if there is no such model, or if it is not a tagger.
        """
        arguments = ModelArguments(model_name_or_path=str(name), **options)
        config = load_config(arguments)
        labels = read_labels(config)
        if "O" not in labels or not all(map(is_iob2, labels)):
            raise RecipeError(f"{name}: predicts {' '.join(labels)}: a tagger predicts O, and B- and I- of types")
        settings = read_settings(config)
        tokenizer = load_tokenizer(arguments, training=False)
        check_vocabulary(tokenizer, config)
        check_length("max_seq_length", settings.max_seq_length, tokenizer, config)
        place = torch.device(device or torch.accelerator.current_accelerator() or "cpu")
        chosen, _ = choose_precision(precision, on_cpu=place.type == "cpu")
        model = load_model(AutoModelForTokenClassification, arguments, config)
        # pyrefly: ignore[bad-argument-type]  # PreTrainedModel.to is wrapped, and seems to take `self` from the call
        model = model.to(place, DTYPES[chosen])
        return cls(labels, tokenizer, model.eval(), **asdict(settings))

    @classmethod
    def from_arguments(cls, labels: Sequence[str], tokenizer: PreTrainedTokenizerBase, arguments: Any) -> "Tagger":
        """The tagger of resolved settings (`resolve_settings`), without a model."""
        settings = {field.name: getattr(arguments, field.name) for field in fields(TaggerSettings)}
        return cls(labels, tokenizer, **settings)

    def note_in(self, config: PreTrainedConfig) -> None:
        """Put the settings into a model's configuration, which is saved and pushed with the weights."""
        setattr(config, KEY, asdict(self.settings))

    def __call__(self, texts: str | Iterable[str], min_score: float = 0.0) -> list:
        """The entities of a text, or a list of them for each text of several. Each text is a document of its own."""
        if isinstance(texts, str):
            return next(self.stream([texts], min_score)).entities
        return [tagged.entities for tagged in self.stream(texts, min_score)]

    def stream(self, items: Iterable[str | Document], min_score: float = 0.0) -> Iterator[TaggedText]:
        """Each text or document tagged, in order, with memory for a few of them at a time."""
        return chain.from_iterable(self.stream_buffers(items, min_score))

    def stream_buffers(self, items: Iterable[str | Document], min_score: float = 0.0) -> Iterator[list[TaggedText]]:
        """As `stream`, a buffer at a time. Where buffers end depends on the items alone.

        One buffer is split into words and tokenized while the model reads the one before.
        """
        with ThreadPoolExecutor(1, "words") as worker:
            waiting = None
            for buffer in _fill_buffers(items):
                prepared = worker.submit(self._prepare, buffer)
                if waiting:
                    yield self._tag_prepared(waiting.result(), min_score)
                waiting = prepared
            if waiting:
                yield self._tag_prepared(waiting.result(), min_score)

    def tag_words(self, sentences: Sequence[str] | Sequence[Sequence[str]]) -> Any:
        """A `TaggedSentence` for a sentence of words, or a list of them for each of several unrelated sentences."""
        if sentences and isinstance(sentences[0], str):
            return self.tag_words([sentences])[0]  # type: ignore[list-item]
        return self.tag_documents([Document([Sentence(list(words), ["O"] * len(words))]) for words in sentences])

    def tag_documents(self, documents: Sequence[Document]) -> list[TaggedSentence]:
        """The sentences of documents in order, each tagged with its neighbours as context, as in training."""
        windows = self.windows(documents)
        return self.predict(documents, windows, self._run(windows))

    def windows(
        self, documents: Iterable[Document], training: bool = False, context: str | None = None
    ) -> list[Window]:
        """The windows of documents. training: each token is in one window only. context: in place of the settings'."""
        settings = self.settings
        return build_windows(
            documents,
            self.tokenizer,
            self.labels,
            settings.max_seq_length,
            context or settings.context,
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
        for sentence, tags in zip(
            list_sentences(documents), decode(logits, lengths, self.labels, constrained), strict=True
        ):
            scores = [float(posteriors.words[number, label_ids[tag]]) for number, tag in enumerate(tags, first)]
            entities = [
                Entity(
                    start,
                    end,
                    " ".join(sentence.words[start:end]),
                    kind,
                    posteriors.score_entity(first + start, first + end, kind, ends_sentence=end == len(tags)),
                )
                for start, end, kind in list_entities(tags)
            ]
            tagged.append(TaggedSentence(tags, scores, entities))
            first += len(tags)
        return tagged

    def _collect(
        self, documents: Sequence[Document], windows: Sequence[Window], batches: Iterable[np.ndarray]
    ) -> tuple[np.ndarray, list[int]]:
        """The logits of all words, (words, labels), and the words of each sentence."""
        lengths = [len(sentence.words) for sentence in list_sentences(documents)]
        if not windows:
            return np.zeros((0, len(self.labels))), lengths
        return collect_logits(chain.from_iterable(batches), windows), lengths

    def _prepare(self, items: list[str | Document]) -> _Prepared:
        places = [find_sentences(item) if isinstance(item, str) else None for item in items]
        documents = [
            item
            if isinstance(item, Document)
            else Document([Sentence([word.text for word in words], ["O"] * len(words)) for words in found or []])
            for item, found in zip(items, places, strict=True)
        ]
        return _Prepared(items, places, documents, self.windows(documents))

    def _tag_prepared(self, prepared: _Prepared, min_score: float) -> list[TaggedText]:
        """What each item of a buffer turned out to be; entities below `min_score` are left out."""
        windows, documents = prepared.windows, prepared.documents
        sentences = iter(self.predict(documents, windows, self._run(windows)))
        tagged = []
        for item, places, document in zip(prepared.items, prepared.places, documents, strict=True):
            own = list(islice(sentences, len(document.sentences)))
            kept = [
                sentence._replace(entities=[entity for entity in sentence.entities if entity.score >= min_score])
                for sentence in own
            ]
            entities = _place_entities(item, places, kept) if isinstance(item, str) and places else []
            words = [sentence.words for sentence in document.sentences]
            tagged.append(TaggedText(item if isinstance(item, str) else None, words, kept, entities))
        return tagged

    def _run(self, windows: Sequence[Window]) -> Iterator[np.ndarray]:
        """The model's logits of `windows`, which come longest first, as float32, (windows, tokens, labels) a batch."""
        if self.model is None:
            raise RecipeError("this tagger has no model: load one with Tagger.load")
        first = 0
        while first < len(windows):
            longest = len(windows[first]["input_ids"])
            batch = windows[first : first + max(1, BATCH_TOKENS // longest)]
            inputs = self.tokenizer.pad([{"input_ids": window["input_ids"]} for window in batch], return_tensors="pt")
            with torch.inference_mode():
                logits = self.model(**inputs.to(self.model.device)).logits
            yield logits.float().cpu().numpy()
            first += len(batch)


def _place_entities(text: str, places: list[list[Word]], sentences: list[TaggedSentence]) -> list[Entity]:
    """The entities of a text's sentences by characters instead of words."""
    entities = []
    for words, sentence in zip(places, sentences, strict=True):
        for entity in sentence.entities:
            start, end = words[entity.start].start, words[entity.end - 1].end
            entities.append(Entity(start, end, text[start:end], entity.type, entity.score))
    return entities


def _fill_buffers(items: Iterable[str | Document]) -> Iterator[list[str | Document]]:
    """The items in order, gathered to lists of about `BUFFER_CHARACTERS`."""
    buffer: list[str | Document] = []
    size = 0
    for item in items:
        buffer.append(item)
        words = [] if isinstance(item, str) else [word for sentence in item.sentences for word in sentence.words]
        size += len(item) if isinstance(item, str) else sum(map(len, words)) + len(words)
        if size >= BUFFER_CHARACTERS:
            yield buffer
            buffer, size = [], 0
    if buffer:
        yield buffer

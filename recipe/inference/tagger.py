"""Documents or raw text -> entities: windows for the model, and tags and confidences from its logits.

The settings of a `Tagger` are saved in the model's `config.json` under `tagger`, so that a finished model is used as it
was scored. `from_pretrained` of transformers still loads the model like any other.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from transformers import AutoModelForTokenClassification, PreTrainedConfig, PreTrainedTokenizerBase

from recipe.data.documents import Document, has_entities, list_sentences, list_tags
from recipe.data.raw_text import Word, find_sentences
from recipe.data.schemes import is_iob2, list_entities
from recipe.errors import NOT_FINITE, RecipeError
from recipe.files import write_whole
from recipe.inference.backends import Backend, Batch, pad
from recipe.inference.decoding import compute_posteriors, decode, fit_temperature
from recipe.inference.loading import load_backend, name_model
from recipe.inference.settings import KEY, TaggerSettings, read_settings
from recipe.inference.texts import check_texts, fill_buffers
from recipe.inputs.tokenizer import load_tokenizer
from recipe.inputs.windows import Window, build_windows, collect_logits
from recipe.model.configuration import check_length, check_vocabulary, find_longest, load_config, read_labels
from recipe.model.settings import ModelArguments


class Entity(NamedTuple):
    """An entity: its position, text and type, and the probability of exactly this span and type.

    start, end: character offsets in a raw text, so that `text` is `raw_text[start:end]`; for a list of words, word
    indices.
    """

    start: int
    end: int
    text: str
    type: str
    score: float


class TaggedSentence(NamedTuple):
    """The tag of each word of a sentence, its probability, and the entities, with word indices."""

    tags: list[str]
    scores: list[float]
    entities: list[Entity]


class TaggedText(NamedTuple):
    """A tagged text, or a tagged document of words.

    text: the text; None for a document. words, sentences: one entry for each sentence. entities: with character
    offsets; empty for a document, where `sentences` has the entities, with word indices.
    """

    text: str | None
    words: list[list[str]]
    sentences: list[TaggedSentence]
    entities: list[Entity]


class _Prepared(NamedTuple):
    """A buffer of items, ready for the model. places: the words of each text with offsets; None for a document."""

    items: list[str | Document]
    places: list[list[list[Word]] | None]
    documents: list[Document]
    windows: list[Window]


class Tagger:
    """Tags entities in text or documents: what computes logits, with the model's tokenizer, labels and settings.

    labels: IOB2 labels, by label id. settings: fields of `TaggerSettings`.
    backend: computes logits. Without it, `windows`, `tags` and `predict` work on logits that you compute.
    """

    def __init__(
        self,
        labels: Sequence[str],
        tokenizer: PreTrainedTokenizerBase,
        backend: Backend | None = None,
        **settings: Any,
    ):
        self.labels, self.tokenizer, self.backend = list(labels), tokenizer, backend
        self.settings = TaggerSettings(**settings)

    @classmethod
    def load(
        cls,
        name: str | Path,
        precision: str = "auto",
        device: str | None = None,
        threads: int | None = None,
        export: str | None = None,
        compiled: bool = False,
        **options: Any,
    ) -> "Tagger":
        """Load a finished model or an export of it, with the settings that it was scored with.

        name: folder of a run, checkpoint or export, or a Hub id.
        precision: precision of the weights; "auto" is that of an export, else bf16 if the hardware supports it, else
        fp32.
        device: name of a torch device; default: a GPU if there is one, else the CPU.
        threads: of an export for ONNX Runtime or OpenVINO; default: OMP_NUM_THREADS, else all CPUs of the process.
        export: name of an export of the model, such as `onnx-int8`, which is then loaded instead.
        compiled: compile the model for torch when it runs first; see `compile_layers`.
        options: `model_revision`, `cache_dir`, `trust_remote_code`.
        Raises RecipeError if there is no such model, if it is not a tagger, and if an export is damaged.
        """
        return cls.open(name_model(name, export, **options), precision, device, threads, compiled)

    @classmethod
    def open(
        cls,
        arguments: ModelArguments,
        precision: str = "auto",
        device: str | None = None,
        threads: int | None = None,
        compiled: bool = False,
    ) -> "Tagger":
        """`load`, for what `name_model` found. An export is not checked for damage."""
        name, config = arguments.model_name_or_path, load_config(arguments)
        labels = read_labels(config)
        if "O" not in labels or not all(map(is_iob2, labels)) or len(set(labels)) < len(labels):
            raise RecipeError(
                f"{name}: predicts {' '.join(labels)}: a tagger needs IOB2 labels (O, B-TYPE, I-TYPE), each once: "
                "choose another model"
            )
        settings = read_settings(config)
        tokenizer = load_tokenizer(arguments, training=False)
        check_vocabulary(tokenizer, config)
        if getattr(config, KEY, None) is None:  # not trained by this recipe
            settings = replace(settings, max_seq_length=min(settings.max_seq_length, find_longest(tokenizer, config)))
        check_length(f"{name}: config.json: {KEY}: max_seq_length", settings.max_seq_length, tokenizer, config)
        backend = load_backend(AutoModelForTokenClassification, arguments, config, precision, device, threads, compiled)
        return cls(labels, tokenizer, backend, **asdict(settings))

    def note_in(self, config: PreTrainedConfig) -> None:
        """Write the settings to the configuration of a model, which is saved and pushed with the weights."""
        setattr(config, KEY, asdict(self.settings))

    def save_settings(self, folder: Path) -> None:
        """Write the settings to the `config.json` of a model that is already saved in `folder`."""
        path = folder / "config.json"
        config = json.loads(path.read_text(encoding="utf-8")) | {KEY: asdict(self.settings)}
        write_whole(path, json.dumps(config, indent=2, sort_keys=True) + "\n")

    def __call__(self, texts: str | Iterable[str], min_score: float = 0.0) -> list:
        """The entities of one text, or for several texts a list of entities for each. Each text is one document.

        min_score: minimum probability of an entity.
        """
        if isinstance(texts, str):
            return next(self.stream([texts], min_score)).entities
        return [tagged.entities for tagged in self.stream(texts, min_score)]

    def stream(self, items: Iterable[str | Document], min_score: float = 0.0) -> Iterator[TaggedText]:
        """Tag texts or documents in order, without keeping all of them in memory."""
        return chain.from_iterable(self.stream_buffers(items, min_score))

    def stream_buffers(self, items: Iterable[str | Document], min_score: float = 0.0) -> Iterator[list[TaggedText]]:
        """Like `stream`, but returns a list for each buffer of items. The size of buffers depends only on the items.

        While the model reads one buffer, the next one is split into words and tokenized.
        """
        if not 0 <= min_score <= 1:
            raise RecipeError(f"min_score: {min_score} must be at least 0 and at most 1")
        buffers = fill_buffers(check_texts(items, Document))
        first = list(islice(buffers, 2))
        if len(first) < 2:  # no time for a thread if there is only a sentence to tag
            yield from (self._tag_prepared(self._prepare(buffer), min_score) for buffer in first)
            return
        with ThreadPoolExecutor(1, "words") as worker:
            waiting = None
            for buffer in chain(first, buffers):
                prepared = worker.submit(self._prepare, buffer)
                if waiting:
                    yield self._tag_prepared(waiting.result(), min_score)
                waiting = prepared
            if waiting:
                yield self._tag_prepared(waiting.result(), min_score)

    def tag_words(self, sentences: Sequence[str] | Sequence[Sequence[str]]) -> Any:
        """Tag one sentence of words, or several unrelated ones; returns a `TaggedSentence`, or a list of them."""
        if isinstance(sentences, str):
            raise RecipeError("tag_words: expected a list of words, not a text: call the tagger itself with the text")
        if sentences and isinstance(sentences[0], str):
            return self.tag_words([sentences])[0]  # type: ignore[list-item]
        return self.tag_documents([Document([sentence]) for sentence in Document.from_words(sentences).sentences])

    def tag_documents(self, documents: Iterable[Document | Sequence[Sequence[str]]]) -> list[TaggedSentence]:
        """Tag the sentences of documents, in order, with the same context as in training.

        A document can also be a list of sentences, each a list of words.
        """
        found = [one if isinstance(one, Document) else Document.from_words(one) for one in documents]
        windows = self.windows(found)
        return self.predict(found, windows, self.run(windows))

    def windows(
        self, documents: Iterable[Document], training: bool = False, context: str | None = None
    ) -> list[Window]:
        """The windows of documents. training: put each token in one window only. context: overrides the settings."""
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

        windows: windows of these documents. batches: their logits in the same order, each (windows, tokens, labels).
        """
        logits, lengths = self._collect(documents, windows, batches)
        return decode(logits, lengths, self.labels, self.settings.constrained_decoding)

    def predict(
        self, documents: Sequence[Document], windows: Sequence[Window], batches: Iterable[np.ndarray]
    ) -> list[TaggedSentence]:
        """Like `tags`, but with the probability of each tag and entity."""
        logits, lengths = self._collect(documents, windows, batches)
        constrained = self.settings.constrained_decoding
        posteriors = compute_posteriors(logits / self.settings.temperature, lengths, self.labels, constrained)
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

    def weigh_labels(self, documents: Sequence[Document], constrained: bool) -> np.ndarray:
        """The probability of each label at each word of `documents`, (words, labels).

        constrained: among the valid IOB2 sequences of a sentence; otherwise each word is predicted separately.
        """
        windows = self.windows(documents)
        logits, lengths = self._collect(documents, windows, self.run(windows))
        return compute_posteriors(logits / self.settings.temperature, lengths, self.labels, constrained).words

    def calibrate(
        self, documents: Sequence[Document], windows: Sequence[Window], batches: Iterable[np.ndarray]
    ) -> None:
        """Set the temperature that fits held-out documents with gold tags; see `fit_temperature`.

        Without an entity in them it stays. windows, batches: see `tags`.
        """
        if not has_entities(documents):
            return
        logits, lengths = self._collect(documents, windows, batches)
        gold = np.array([self.labels.index(tag) for tags in list_tags(documents) for tag in tags], int)
        temperature = fit_temperature(logits, lengths, gold, self.labels, self.settings.constrained_decoding)
        self.settings = replace(self.settings, temperature=temperature)

    def _collect(
        self, documents: Sequence[Document], windows: Sequence[Window], batches: Iterable[np.ndarray]
    ) -> tuple[np.ndarray, list[int]]:
        """The logits of all words, (words, labels), and the number of words in each sentence.

        Raises RecipeError if they are not all finite: each tag would be the first label, whatever the words.
        """
        lengths = [len(sentence.words) for sentence in list_sentences(documents)]
        if not windows:
            return np.zeros((0, len(self.labels))), lengths
        logits = collect_logits(chain.from_iterable(batches), windows)
        if not np.isfinite(logits).all():
            raise RecipeError(NOT_FINITE)
        return logits, lengths

    def _prepare(self, items: list[str | Document]) -> _Prepared:
        places = [
            find_sentences(item, self.settings.word_splitter) if isinstance(item, str) else None for item in items
        ]
        documents = [
            item
            if isinstance(item, Document)
            else Document.from_words([word.text for word in words] for words in found or [])
            for item, found in zip(items, places, strict=True)
        ]
        return _Prepared(items, places, documents, self.windows(documents))

    def _tag_prepared(self, prepared: _Prepared, min_score: float) -> list[TaggedText]:
        """The tagged items of a buffer, without entities below `min_score`."""
        windows, documents = prepared.windows, prepared.documents
        sentences = iter(self.predict(documents, windows, self.run(windows)))
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

    def run(self, windows: Sequence[Window]) -> Iterator[np.ndarray]:
        """The logits of `windows`, which are sorted from long to short: float32 batches (windows, tokens, labels)."""
        if self.backend is None:
            raise RecipeError("this tagger has no model: load one with Tagger.load")
        return self.backend.run(self._batch(windows, self.backend.batch_tokens))

    def _batch(self, windows: Sequence[Window], tokens: int) -> Iterator[Batch]:
        """Neighbouring windows in batches of at most `tokens` tokens, padding included."""
        first = 0
        while first < len(windows):
            batch = windows[first : first + max(1, tokens // len(windows[first]["input_ids"]))]
            yield pad([window["input_ids"] for window in batch], self.tokenizer.pad_token_id)
            first += len(batch)


def _place_entities(text: str, places: list[list[Word]], sentences: list[TaggedSentence]) -> list[Entity]:
    """The entities of the sentences of a text, with character offsets instead of word indices."""
    entities = []
    for words, sentence in zip(places, sentences, strict=True):
        for entity in sentence.entities:
            start, end = words[entity.start].start, words[entity.end - 1].end
            entities.append(Entity(start, end, text[start:end], entity.type, entity.score))
    return entities

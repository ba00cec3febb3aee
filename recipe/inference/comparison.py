"""A finished model on running text: the Tagger beside transformers' pipeline, which splits text in its own way."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, cast

from transformers import Pipeline, PreTrainedModel, PreTrainedTokenizerBase, pipeline

from recipe.data.documents import Document, list_sentences
from recipe.data.raw_text import join_words
from recipe.data.schemes import list_entities
from recipe.inference.tagger import Entity, Tagger
from recipe.inference.torch_backend import TorchBackend

if TYPE_CHECKING:
    from transformers import PythonBackend, TokenizersBackend

MOST_SENTENCES = 500
BATCH = 32  # of the pipeline

Spans = list[set[tuple[int, int, str]]]  # of each text: start and end in characters, type


def compare_pipeline(tagger: Tagger, model: PreTrainedModel, documents: Sequence[Document]) -> dict[str, float]:
    """Strict F1 of the Tagger and of the pipeline on the same sentences, each alone, as running text.

    tagger: its settings, labels and tokenizer are used. model: computes the logits of both.
    documents: a split with gold tags; of more than `MOST_SENTENCES` sentences, evenly spaced ones are taken.
    Returns `sentences` (their number), `tagger` and `pipeline` (F1 between 0 and 1).
    """
    tagger = Tagger(tagger.labels, tagger.tokenizer, TorchBackend(model), **asdict(tagger.settings))
    sentences = list_sentences(documents)
    sentences = sentences[:: max(1, math.ceil(len(sentences) / MOST_SENTENCES))]
    texts, gold = make_texts([Document([sentence]) for sentence in sentences])
    return {
        "sentences": len(sentences),
        "tagger": score_spans(gold, map(list_spans, tagger(texts))),
        "pipeline": score_spans(gold, run_pipeline(load_pipeline(model, tagger.tokenizer), texts)),
    }


def make_texts(documents: Iterable[Document]) -> tuple[list[str], Spans]:
    """Each document as running text with blank lines between its sentences, and its gold entities by characters."""
    texts, spans = [], []
    for document in documents:
        text, gold = "", set()
        for sentence in document.sentences:
            start = len(text) + 2 * bool(text)
            joined, places = join_words(sentence.words)
            text += "\n\n" * bool(text) + joined
            for first, stop, kind in list_entities(sentence.tags):
                gold.add((start + places[first][0], start + places[stop - 1][1], kind))
        texts.append(text)
        spans.append(gold)
    return texts, spans


def list_spans(entities: Iterable[Entity]) -> set[tuple[int, int, str]]:
    """The spans of a Tagger's entities."""
    return {(entity.start, entity.end, entity.type) for entity in entities}


def load_pipeline(model: PreTrainedModel | str, tokenizer: PreTrainedTokenizerBase) -> Pipeline:
    """The pipeline with this model or folder and tokenizer, as a model card of transformers would recommend it."""
    fast = cast("PythonBackend | TokenizersBackend", tokenizer)
    place = None if isinstance(model, str) else model.device
    return pipeline("token-classification", model, tokenizer=fast, aggregation_strategy="first", device=place)


def run_pipeline(stock: Pipeline, texts: Sequence[str]) -> Spans:
    """The spans that the pipeline finds in each text."""
    results = stock(list(texts), batch_size=BATCH)
    return [{(found["start"], found["end"], found["entity_group"]) for found in entities} for entities in results]


def score_spans(gold: Iterable[set], found: Iterable[set]) -> float:
    """Micro-averaged strict F1 between 0 and 1."""
    hits = total = 0
    for one, other in zip(gold, found, strict=True):
        hits, total = hits + len(one & other), total + len(one) + len(other)
    return 2 * hits / max(total, 1)

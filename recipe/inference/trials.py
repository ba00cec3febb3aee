"""What a model and its exports are compared on: a column file with gold tags, or text with known masked tokens."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np

from recipe.data.conll import read_conll
from recipe.data.documents import list_sentences, list_tags
from recipe.evaluation.scoring import score_entities
from recipe.inference.decoding import decode
from recipe.inference.filler import Filler
from recipe.inference.scores import Row
from recipe.inference.tagger import Tagger
from recipe.inputs.windows import collect_logits
from recipe.model.settings import ModelArguments

MOST_F1_LOST, MOST_RECALL_LOST = 0.2, 1.0  # points: hundredths of the score
MOST_ACCURACY_LOST, MOST_PERPLEXITY_ADDED = 0.5, 2.0  # points; percent
COMPARED = 500  # masked tokens whose log-probabilities are compared: each has one for the whole vocabulary


class Scores(Protocol):
    """How good a model is. names: the columns that `format` fills."""

    names: ClassVar[tuple[str, ...]]

    def format(self) -> list[str]:
        """The scores as text."""
        ...

    def list_losses(self, model: Any) -> list[str]:
        """What is lost in comparison with the scores of `model`, and is more than allowed."""
        ...


@dataclass(frozen=True)
class TaggingScores:
    """f1: entities, strict, micro average, 0 to 1. recall: of each entity type, 0 to 1."""

    names: ClassVar = ("F1",)

    f1: float
    recall: dict[str, float]

    def format(self) -> list[str]:
        """See `Scores`."""
        return [f"{100 * self.f1:.2f}"]

    def list_losses(self, model: "TaggingScores") -> list[str]:
        """See `Scores`."""
        if not model.f1:
            return ["nothing can be lost, because the model itself finds no entity of the file: check its columns"]
        reasons = []
        lost = 100 * (model.f1 - self.f1)
        if not lost <= MOST_F1_LOST:  # a score can be nan, here and below
            reasons.append(f"loses {lost:.2f} points of F1 (limit {MOST_F1_LOST})")
        for kind, recall in model.recall.items():
            lost = 100 * (recall - self.recall.get(kind, 0.0))
            if not lost <= MOST_RECALL_LOST:
                reasons.append(f"loses {lost:.2f} points of recall of {kind} (limit {MOST_RECALL_LOST:g})")
        return reasons


@dataclass(frozen=True)
class FillingScores:
    """accuracy: of the best token at each mask, 0 to 1. loss: nats for each masked token."""

    names: ClassVar = ("masked accuracy", "perplexity")

    accuracy: float
    loss: float

    def format(self) -> list[str]:
        """See `Scores`."""
        return [f"{100 * self.accuracy:.2f}", f"{math.exp(min(self.loss, 700)):.3f}"]

    def list_losses(self, model: "FillingScores") -> list[str]:
        """See `Scores`."""
        reasons = []
        lost = 100 * (model.accuracy - self.accuracy)
        if not lost <= MOST_ACCURACY_LOST:  # a figure can be nan, here and below
            reasons.append(f"loses {lost:.2f} points of masked accuracy (limit {MOST_ACCURACY_LOST})")
        added = 100 * math.expm1(min(self.loss - model.loss, 700))  # exp would overflow
        if not added <= MOST_PERPLEXITY_ADDED:
            reasons.append(f"has a perplexity {added:.1f} % higher (limit {MOST_PERPLEXITY_ADDED:g} %)")
        return reasons


@dataclass(frozen=True)
class Outcome:
    """What a model found. logits: (places, labels or vocabulary). chosen: the label or token id at each place."""

    scores: Scores
    logits: np.ndarray
    chosen: np.ndarray


class Trial(Protocol):
    """What models are compared on.

    items, places: the names of what is used one by one, and of what is predicted in it. enough: number of places, below
    which a single one can exceed a limit. compared: the name of the numbers that models compute. other: what differs at
    a place where two models disagree. keys: of the number of places and of the differences, in records.
    """

    items: ClassVar[str]
    places: ClassVar[str]
    enough: ClassVar[int]
    compared: ClassVar[str]
    other: ClassVar[str]
    keys: ClassVar[tuple[str, str]]

    @property
    def file(self) -> Path:
        """The file whose name is in the records."""
        ...

    def describe(self) -> dict[str, Any]:
        """Plain values, from which `read_trial` makes the same trial."""
        ...

    def load(self, model: str, precision: str) -> Any:
        """Load a model; see `Tagger.open`: an export has no record before it is measured."""
        ...

    def run(self, loaded: Any) -> Outcome:
        """Use a loaded model on everything."""
        ...

    def list_items(self) -> list:
        """The items that speed is measured on."""
        ...

    def count_places(self, items: Sequence) -> int:
        """The number of places in items."""
        ...

    def use(self, loaded: Any, items: Sequence) -> None:
        """Use a loaded model on items, all at once."""
        ...


@dataclass(frozen=True)
class TaggingTrial:
    """A tagger on a column file with gold tags. columns: how it is read, as `read_conll` takes it."""

    items: ClassVar = "sentences"
    places: ClassVar = "words"
    enough: ClassVar = round(10 * 100 / MOST_F1_LOST)  # one word in ten begins an entity, in most corpora
    compared: ClassVar = "logit"
    other: ClassVar = "tag"
    keys: ClassVar = ("words", "different_tags")

    file: Path
    columns: dict[str, Any] = field(default_factory=dict)

    def describe(self) -> dict[str, Any]:
        """See `Trial`."""
        return {"kind": "tagging"} | asdict(self)

    def load(self, model: str, precision: str) -> Tagger:
        """See `Trial`."""
        return Tagger.open(ModelArguments(model_name_or_path=model), precision)

    def run(self, loaded: Tagger) -> Outcome:
        """See `Trial`."""
        documents = read_conll(self.file, check=False, **self.columns)
        windows = loaded.windows(documents)
        logits = collect_logits(chain.from_iterable(loaded.run(windows)), windows)
        lengths = [len(sentence.words) for sentence in list_sentences(documents)]
        tags = decode(logits, lengths, loaded.labels, loaded.settings.constrained_decoding)
        rows = score_entities(list_tags(documents), tags)
        recall = {name: row["recall"] for name, row in rows.items() if not name.endswith(" avg")}
        numbers = {label: number for number, label in enumerate(loaded.labels)}
        chosen = np.array([numbers[tag] for one in tags for tag in one], int)
        return Outcome(TaggingScores(rows["micro avg"]["f1"], recall), logits, chosen)

    def list_items(self) -> list[list[str]]:
        """The words of each sentence."""
        documents = read_conll(self.file, check=False, **self.columns)
        return [sentence.words for sentence in list_sentences(documents)]

    def count_places(self, items: Sequence[list[str]]) -> int:
        """The number of words."""
        return sum(map(len, items))

    def use(self, loaded: Tagger, items: Sequence[list[str]]) -> None:
        """Tag sentences."""
        loaded.tag_words(items)


@dataclass(frozen=True)
class FillingTrial:
    """A masked language model on blocks of tokens. file: their text. rows: a file that `write_rows` wrote."""

    items: ClassVar = "blocks"
    places: ClassVar = "masked tokens"
    enough: ClassVar = round(100 / MOST_ACCURACY_LOST)
    compared: ClassVar = "log-probability"
    other: ClassVar = "best token"
    keys: ClassVar = ("masked_tokens", "different_tokens")

    file: Path
    rows: Path

    def describe(self) -> dict[str, Any]:
        """See `Trial`."""
        return {"kind": "filling"} | asdict(self)

    def load(self, model: str, precision: str) -> Filler:
        """See `Trial`."""
        return Filler.open(ModelArguments(model_name_or_path=model), precision, "cpu")

    def run(self, loaded: Filler) -> Outcome:
        """See `Trial`."""
        rows, targets = read_rows(self.rows)
        best, losses, logits = [[]] * len(rows), [[]] * len(rows), [np.zeros(0)] * len(rows)
        for numbers, scores in loaded.predict(rows):
            tokens, _ = scores.rank(1)
            found = scores.find([token for number in numbers for token in targets[number]])
            first = 0
            for number in numbers:
                end = first + len(targets[number])
                best[number], losses[number] = [token for [token] in tokens[first:end]], found[first:end]
                if sum(map(len, targets[:number])) < COMPARED:
                    logits[number] = np.stack([scores.row(place) for place in range(first, end)])
                first = end
        chosen = np.array([*chain(*best)], int)
        accuracy = float((chosen == np.array([*chain(*targets)])).mean())
        scores = FillingScores(accuracy, -math.fsum(chain(*losses)) / max(len(chosen), 1))
        return Outcome(scores, np.concatenate([part for part in logits if len(part)]), chosen)

    def list_items(self) -> list[Row]:
        """The blocks."""
        return read_rows(self.rows)[0]

    def count_places(self, items: Sequence[Row]) -> int:
        """The number of masked tokens."""
        return sum(len(row.positions) for row in items)

    def use(self, loaded: Filler, items: Sequence[Row]) -> None:
        """Predict masked tokens."""
        for _, scores in loaded.predict(items):
            scores.rank(5)


def read_trial(values: dict[str, Any]) -> Trial:
    """The trial of which `Trial.describe` gave the values."""
    kind: Any = {"tagging": TaggingTrial, "filling": FillingTrial}[values["kind"]]
    return kind(**{name: Path(one) if isinstance(one, str) else one for name, one in values.items() if name != "kind"})


def write_rows(path: Path, rows: Sequence[Row], targets: Sequence[list[int]]) -> None:
    """Write blocks with masks, and the original token at each position, for `read_rows`."""
    lengths = [[len(row.ids) for row in rows], [len(row.positions) for row in rows]]
    flat = {"ids": [row.ids for row in rows], "positions": [row.positions for row in rows], "targets": targets}
    arrays: dict[str, Any] = {name: np.array([*chain(*parts)], int) for name, parts in flat.items()}
    np.savez(path, lengths=np.array(lengths), **arrays)


def read_rows(path: Path) -> tuple[list[Row], list[list[int]]]:
    """Blocks with masks, and the original tokens at the positions of each."""
    found = np.load(path)
    lengths, places = (np.cumsum(counts)[:-1] for counts in found["lengths"])
    ids, positions, targets = (
        [part.tolist() for part in np.split(found[name], ends)]
        for name, ends in (("ids", lengths), ("positions", places), ("targets", places))
    )
    return list(map(Row, ids, positions)), targets

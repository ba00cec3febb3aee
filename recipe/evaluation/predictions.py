"""The files in `predictions/` of a run's folder: tags of each scored split, their confidences, and training's entities.

They contain text of the data, and are never pushed.
"""

import json
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from recipe.data.conll import read_predicted, write_conll
from recipe.data.documents import Document, Sentence, list_sentences
from recipe.errors import RecipeError
from recipe.evaluation.advice import reading_predictions
from recipe.evaluation.buckets import Mentions, count_mentions
from recipe.evaluation.matches import ScoredSentence
from recipe.evaluation.shapes import count, each, share
from recipe.files import open_whole, write_whole

PREDICTIONS = "predictions"  # folder with the tagged splits
MENTIONS = "train_mentions.json"  # file in it
DIGITS = 6  # of a confidence


class Confidences(NamedTuple):
    """The probability of each predicted tag of a sentence, and of each predicted entity."""

    words: Sequence[float]
    entities: Sequence[float]


def name_predictions(folder: Path, split: str) -> Path:
    """The column file of words, gold tags and predicted tags of a split."""
    return folder / PREDICTIONS / f"{split}.conll"


def name_confidences(folder: Path, split: str) -> Path:
    """The JSON lines beside it: one for each sentence, with the probabilities of `words` and `entities`."""
    return folder / PREDICTIONS / f"{split}.confidences.jsonl"


def write_predictions(
    folder: Path,
    split: str,
    documents: Sequence[Document],
    tags: Sequence[Sequence[str]],
    confidences: Iterable[Confidences],
) -> None:
    """Write the predicted tags and the confidences of each sentence. Raises RecipeError as `open_whole` does."""
    write_conll(name_predictions(folder, split), documents, tags)
    with open_whole(name_confidences(folder, split)) as file:
        for sentence in confidences:
            row = {key: [round(score, DIGITS) for score in scores] for key, scores in sentence._asdict().items()}
            file.write(json.dumps(row, separators=(",", ":")) + "\n")


def write_mentions(folder: Path, sentences: Iterable[Sentence]) -> None:
    """Write how often training has each entity, for analyses of what was seen. Raises RecipeError."""
    write_whole(folder / PREDICTIONS / MENTIONS, json.dumps(count_mentions(sentences), ensure_ascii=False) + "\n")


def read_mentions(folder: Path) -> Mentions | None:
    """What `write_mentions` wrote; None if there is no such file. Raises RecipeError if it is damaged."""
    path = folder / PREDICTIONS / MENTIONS
    if not path.exists():
        return None
    try:
        mentions = json.loads(path.read_text(encoding="utf-8"))
        each(each(count))(mentions, "")
    except (OSError, ValueError, RecursionError) as error:
        raise RecipeError(f"{path}: {error}: score the run again, or delete the file") from None
    return mentions


def read_predictions(folder: Path, split: str) -> list[ScoredSentence]:
    """The scored sentences of a split, with confidences if they were recorded; empty if there is no file.

    Raises RecipeError if a file is damaged, or if the two do not belong together.
    """
    path = name_predictions(folder, split)
    if not path.exists():
        return []
    with reading_predictions():
        documents, predicted = read_predicted(path, 1, 2)
    sentences = list_sentences(documents)
    confidences = _read_confidences(name_confidences(folder, split), sentences)
    return [
        ScoredSentence(
            words=sentence.words,
            gold=sentence.tags,
            predicted=tags,
            line=int(sentence.place.rpartition(":")[2]),
            word_scores=scores.words if scores else None,
            entity_scores=scores.entities if scores else None,
        )
        for sentence, tags, scores in zip(sentences, predicted, confidences, strict=True)
    ]


def _read_confidences(path: Path, sentences: Sequence[Sentence]) -> Sequence[Confidences | None]:
    """The confidences of the sentences; None for each of them if there is no file."""
    if not path.exists():
        return [None] * len(sentences)
    try:
        with open(path, encoding="utf-8") as file:
            rows = [Confidences(**json.loads(line)) for line in file]
        for number, row in enumerate(rows, 1):
            for score in chain(*row):
                share(score, f"line {number}")
        if [len(row.words) for row in rows] != [len(sentence.words) for sentence in sentences]:
            raise ValueError("has other sentences than the predictions")
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise RecipeError(f"{path}: {error}: score the run again, or delete the file") from None
    return rows

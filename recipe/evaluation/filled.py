"""Masked tokens in their context with the candidates of a model, and their file in `predictions/` of a run's folder.

The file contains text of the data, and is never pushed.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from recipe.errors import RecipeError
from recipe.evaluation.predictions import PREDICTIONS
from recipe.evaluation.shapes import count, keys, rank, rows, share
from recipe.files import open_whole


def _check_candidate(value: Any, place: str) -> None:
    _, probability = value
    share(probability, place)


EXAMPLE = keys({"block": count, "candidates": rows(_check_candidate), "rank": rank, "probability": share})


class FilledPiece(NamedTuple):
    """Neighbouring tokens as text. is_hidden: whether the model did not see them. glued: without a space before it."""

    text: str
    is_hidden: bool
    glued: bool


class FilledExample(NamedTuple):
    """A masked token of a held-out block.

    block: its number in the split. before, after: the text around it. original: the token itself.
    candidates: the model's best tokens and their probabilities, from best to worst.
    rank, probability: of the original among all tokens, 1 for the best.
    """

    block: int
    before: list[FilledPiece]
    original: FilledPiece
    after: list[FilledPiece]
    candidates: list[tuple[str, float]]
    rank: int
    probability: float

    @property
    def is_recovered(self) -> bool:
        """Whether the model's best token is the original."""
        return self.rank == 1


def name_filled(folder: Path, split: str) -> Path:
    """The JSON lines of a split, one for each example."""
    return folder / PREDICTIONS / f"{split}.filled.jsonl"


def write_filled(folder: Path, split: str, examples: Iterable[FilledExample]) -> None:
    """Write the examples of a split. Raises RecipeError as `open_whole` does."""
    with open_whole(name_filled(folder, split)) as file:
        for example in examples:
            file.write(json.dumps(example._asdict(), ensure_ascii=False) + "\n")


def read_filled(folder: Path, split: str) -> list[FilledExample]:
    """What `write_filled` wrote; empty if there is no file. Raises RecipeError if it is damaged."""
    path = name_filled(folder, split)
    if not path.exists():
        return []
    try:
        with open(path, encoding="utf-8") as file:
            return [_read_example(json.loads(line), f"line {number}") for number, line in enumerate(file, 1)]
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise RecipeError(f"{path}: {error}: evaluate the run again, or delete the file") from None


def _read_example(row: dict, place: str) -> FilledExample:
    EXAMPLE(row, place)
    return FilledExample(
        block=int(row["block"]),
        before=[FilledPiece(*piece) for piece in row["before"]],
        original=FilledPiece(*row["original"]),
        after=[FilledPiece(*piece) for piece in row["after"]],
        candidates=[(str(token), float(probability)) for token, probability in row["candidates"]],
        rank=int(row["rank"]),
        probability=float(row["probability"]),
    )

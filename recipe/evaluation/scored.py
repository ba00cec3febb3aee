"""The scores, counts and predictions of one finished run, or of one file of predictions of any program."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from recipe.data.documents import Document
from recipe.errors import RecipeError
from recipe.evaluation.counts import Counts, count_entities, unpack_counts
from recipe.evaluation.results import SPLITS, list_splits, name_run, read_report
from recipe.evaluation.scoring import check_predictions, find_other_row, read_predictions, score_counts

UNNAMED = "predictions"  # the split of a file whose name does not say which one it is
OWN_SCHEME = "IOB2"  # of a run's predictions, which are scored strictly


class Tagged(NamedTuple):
    """A file of predictions: its documents with gold tags, and the predicted tags of each sentence, both in IOB2."""

    documents: Sequence[Document]
    predicted: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Result:
    """What one run or file says.

    report: as in report.json. predictions: column files by split, where they are. tagged: what those of scored splits
    contain. Each file is read once, because large ones take long.
    """

    path: Path
    name: str
    report: dict
    predictions: dict[str, Path]
    tagged: dict[str, Tagged] = field(default_factory=dict)

    @property
    def files(self) -> list[Path]:
        """The files that it was read from."""
        return [self.path, *self.predictions.values()]

    @property
    def splits(self) -> list[str]:
        """The names of the scored splits, dev and test first."""
        return sorted(list_splits(self.report), key=lambda split: (split not in SPLITS, split))

    def count(self, split: str) -> Counts | None:
        """The counts by document; None for the report of an earlier version without predictions beside it.

        Raises RecipeError if they are damaged, or do not add up to the scores of the split.
        """
        if "documents" not in self.report[split]:
            return None
        try:
            counts = unpack_counts(self.report[split]["documents"])
            difference = find_other_row(score_counts(counts), self.report[split]["entities"])
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise RecipeError(f"{self.path}: {split}: damaged counts ({reason}): restore the file") from None
        if difference:
            raise RecipeError(
                f"{self.path}: {split}: its counts by document do not add up to its scores ({difference}): restore the "
                "file, or score the run again"
            )
        return counts


def read_result(path: Path) -> Result:
    """Read a run's folder, a copy of report.json, or a column file. Raises RecipeError for anything else."""
    if path.is_dir():
        if not (path / "report.json").exists() and (path / "metrics.json").exists():
            raise _explain_masked(path / "metrics.json")
        path = path / "report.json"
    if not path.exists():
        raise RecipeError(f"{path}: no such file: expected a scored run, a copy of report.json or a prediction file")
    if path.name == "metrics.json":
        raise _explain_masked(path)
    if path.suffix == ".json":
        beside = path.parent.glob("predictions/*.conll") if path.name == "report.json" else ()
        result = Result(path, name_run(path), read_report(path), {file.stem: file for file in beside})
        for split in result.predictions.keys() & set(result.splits):
            result.tagged[split] = Tagged(*read_predictions(result.predictions[split], OWN_SCHEME))
            counts = count_entities(*result.tagged[split])
            check_predictions(result.predictions[split], score_counts(counts), result.report[split]["entities"])
            result.report[split].setdefault("documents", counts.pack())  # an earlier version has none
    else:
        tagged = Tagged(*read_predictions(path))
        split = path.stem if path.stem in SPLITS else UNNAMED
        counts = count_entities(*tagged)
        report = {split: {"entities": score_counts(counts), "documents": counts.pack()}, "run": {}}
        result = Result(path, str(path), report, {split: path}, {split: tagged})
    if not result.splits:
        raise RecipeError(f"{path}: has no scores: run run_ner.py with do_eval or do_predict")
    return result


def _explain_masked(path: Path) -> RecipeError:
    """The error for a run of masked pretraining. path: of its metrics.json."""
    return RecipeError(f"{path}: a masked language model has no entities to compare: look at its perplexity there")

"""The systems that a comparison is about: finished runs, their seeds, and files of predictions of any program."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from glob import glob
from itertools import chain, combinations, pairwise, zip_longest
from pathlib import Path
from string import ascii_uppercase
from typing import Any, NamedTuple

import numpy as np

from recipe.data.conll import format_cells
from recipe.data.documents import Document, list_sentences
from recipe.errors import RecipeError
from recipe.evaluation.counts import Counts, count_entities, list_units, unpack_counts
from recipe.evaluation.examples import shorten
from recipe.evaluation.results import SPLITS, list_settings, list_splits, name_run, read_f1, read_report
from recipe.evaluation.scoring import (
    check_predictions,
    describe_units,
    find_other_row,
    read_predictions,
    score_counts,
)

UNNAMED = "predictions"  # the split of a file whose name does not say which one it is
WEIGHTS = "model.safetensors"
OWN_SCHEME = "IOB2"  # of a run's predictions, which are scored strictly
ASIDE = re.compile(r"(.+\.)?aside-\d+")  # what --restart calls the folder with the files of an earlier run


class Tagged(NamedTuple):
    """A file of predictions: its documents with gold tags, and the predicted tags of each sentence, both in IOB2."""

    documents: Sequence[Document]
    predicted: Sequence[Sequence[str]]


class Word(NamedTuple):
    """A word of a file of predictions. unit: the document or sentence that it is in."""

    unit: str
    word: str
    tag: str


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


@dataclass(frozen=True)
class System:
    """One run, or the runs of one recipe with several seeds. letter: its short name in the tables."""

    letter: str
    name: str
    results: list[Result]

    @property
    def reports(self) -> list[dict]:
        """The report of each run."""
        return [result.report for result in self.results]

    @property
    def files(self) -> list[Path]:
        """The files that its runs were read from."""
        return [file for result in self.results for file in result.files]

    @property
    def is_group(self) -> bool:
        """Whether there are several seeds."""
        return len(self.results) > 1

    def describe_units(self, split: str) -> str:
        """What the counts are by, and how many there are."""
        return describe_units(self.reports[0][split]["documents"])

    def scores(self, split: str) -> list[float]:
        """F1 of each run in percent, micro average."""
        return [read_f1(report, split) for report in self.reports]

    def has_counts(self, split: str) -> bool:
        """Whether each run has counts by document, which `count` takes long to unpack if there are many."""
        return all("documents" in report[split] for report in self.reports)

    def count(self, split: str, types: Sequence[str]) -> np.ndarray | None:
        """The counts by document of each run as `Counts.select` returns them; None if a run has none.

        Returns (units, len(types) + 1, 3, runs).
        """
        counts = [result.count(split) for result in self.results]
        known = [one.select(types) for one in counts if one]
        return np.stack(known, -1) if len(known) == len(counts) else None


def read_systems(arguments: Sequence[str]) -> list[System]:
    """The system of each argument of the command line.

    An argument is a run's folder, a copy of report.json, a column file whose last two columns are gold and predicted
    tags, or a group of these: a pattern with wildcards, or several of them with commas in between.
    Raises RecipeError if one cannot be read, if the runs of a group are not seeds of one recipe, or if a split has
    other gold in another system.
    """
    groups = _read_groups(arguments)
    _name_splits(groups)
    for group in groups:
        _check_seeds(group)
    first = groups[0][0]
    for result in list(chain.from_iterable(groups))[1:]:
        check_gold(first, result)
    names = [_name_group(group) for group in groups]
    if len(set(names)) < len(names):
        names = list(arguments)
    return [System(*parts) for parts in zip(_list_letters(len(groups)), names, groups, strict=True)]


def _read_groups(arguments: Sequence[str]) -> list[list[Result]]:
    """The results of each argument. Equal words and gold tags are kept once, so that many seeds fit in memory."""
    known: list[Sequence[Document]] = []
    return [[_read_shared(path, known) for path in _find_paths(argument)] for argument in arguments]


def _read_shared(path: Path, known: list[Sequence[Document]]) -> Result:
    """`read_result`, with the words and tags of documents among `known` that are equal. Others are added to these."""
    result = read_result(path)
    for documents, _ in result.tagged.values():
        same = next((others for others in known if others == documents), None)
        if same is None:
            known.append(documents)
            continue
        for mine, its in zip(list_sentences(documents), list_sentences(same), strict=True):
            mine.words, mine.tags = its.words, its.tags
    return result


def _list_letters(number: int) -> list[str]:
    """A, B, ..., Z, then the numbers from 27."""
    return [ascii_uppercase[index] if index < len(ascii_uppercase) else str(index + 1) for index in range(number)]


def _find_paths(argument: str) -> list[Path]:
    if not argument:
        raise RecipeError("a system without a name: give a run's folder, a copy of report.json or a prediction file")
    if Path(argument).exists():
        return [Path(argument)]
    found = [path for part in argument.split(",") if part for path in _match(part) or [part]]
    return [Path(path) for path in found or [argument]]


def _match(pattern: str) -> list[str]:
    """What a pattern matches, without the folders of runs that were set aside, unless the pattern says `aside-`."""
    found = sorted(glob(pattern))
    return found if "aside-" in pattern else [path for path in found if not any(map(ASIDE.fullmatch, Path(path).parts))]


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


def _name_group(group: list[Result]) -> str:
    """The common part of the names up to `-seed`; for one run its name."""
    names = {result.name.split("-seed")[0] for result in group} if len(group) > 1 else {group[0].name}
    return names.pop() if len(names) == 1 else ", ".join(result.name for result in group)


def _name_splits(groups: list[list[Result]]) -> None:
    """Give the splits of files that do not name them the name of the split with the same gold in another system."""
    results = list(chain.from_iterable(groups))
    named = [(split, result) for result in results for split in result.splits if split != UNNAMED]
    for result in results:
        if UNNAMED in result.splits and named:
            found = [(split, find_gold_difference(other, split, result, UNNAMED)) for split, other in named]
            same = [split for split, difference in found if not difference]
            if not same:
                reasons = "; ".join(dict.fromkeys(f"{split}: {difference}" for split, difference in found))
                raise RecipeError(f"{result.path}: its gold is that of no split of {named[0][1].path} ({reasons})")
            parts: tuple[dict[str, Any], ...] = (result.report, result.predictions, result.tagged)
            for part in parts:
                part[same[0]] = part.pop(UNNAMED)


def _check_seeds(group: list[Result]) -> None:
    """Raise RecipeError if runs of a group differ in more than their seeds, or if a run or a seed is there twice."""
    for earlier, result in combinations(group, 2):
        if any(ours.samefile(theirs) for ours in earlier.files for theirs in result.files):
            raise RecipeError(f"{result.path}: is in this group twice, also as {earlier.path}: give each run once")
    recorded = [result for result in group if "changed" in result.report["run"]]  # reports of earlier versions lack it
    for first, result in pairwise(recorded):
        ours, theirs = list_settings(first.report), list_settings(result.report)
        keys = sorted(key for key in ours | theirs if ours.get(key) != theirs.get(key))
        if keys:
            raise RecipeError(
                f"{result.path}: not another seed of {first.path}, because {', '.join(keys)} differ: compare them as "
                "two systems"
            )
    seeds = [result.report["run"].get("seed") for result in group]
    for number, seed in enumerate(seeds):
        if seed is not None and seed in seeds[:number]:
            raise RecipeError(f"{group[number].path}: seed {seed} is in this group twice: give each seed once")


def check_gold(first: Result, other: Result) -> None:
    """Raise RecipeError that says what differs if two results have other gold for the same split."""
    for split in [split for split in first.splits if split in other.splits]:
        difference = find_gold_difference(first, split, other, split)
        if difference:
            raise RecipeError(f"{other.path}: {split}: its gold is not that of {first.path}: {difference}")


def find_gold_difference(first: Result, split: str, other: Result, other_split: str) -> str:
    """What tells the gold of two splits apart: number of documents, support or a word; empty if nothing does.

    Words and tags are compared if the predictions of both are at hand.
    """
    ours, theirs = first.count(split), other.count(other_split)
    if ours is None or theirs is None:
        rows = [result.report[name]["entities"] for result, name in ((first, split), (other, other_split))]
        supports = [{name: row.get("support", 0) for name, row in part.items()} for part in rows]
        return _describe_supports("the split", *supports)
    both_tagged = split in first.tagged and other_split in other.tagged
    types = sorted({*ours.types, *theirs.types})
    if ours.unit != theirs.unit:
        if both_tagged:
            difference = _find_other_word(first, split, other, other_split, units=False)
        else:
            totals = [counts.select(types)[:, :-1, 2].sum(0).tolist() for counts in (ours, theirs)]
            difference = _describe_supports("the split", *(dict(zip(types, one, strict=True)) for one in totals))
        units = f"it is divided into {theirs.unit}s, the other into {ours.unit}s: mark documents by -DOCSTART- lines"
        return difference or units
    if len(ours.values) != len(theirs.values):
        return f"{len(theirs.values)} {ours.unit}s, in the other {len(ours.values)}"
    supports = [counts.select(types)[..., :-1, 2] for counts in (ours, theirs)]
    places = np.argwhere(supports[0] != supports[1])
    if not len(places):
        return _find_other_word(first, split, other, other_split) if both_tagged else ""
    place = places[0][0]
    rows = [dict(zip(types, support[place].tolist(), strict=True)) for support in supports]
    return _describe_supports(f"{ours.unit} {place + 1}", *rows)


def _describe_supports(place: str, ours: dict[str, int], theirs: dict[str, int]) -> str:
    for name in sorted(ours | theirs):
        numbers = theirs.get(name, 0), ours.get(name, 0)
        if numbers[0] != numbers[1]:
            return f"{place} has {numbers[0]} entities {name}, in the other {numbers[1]}"
    return ""


def _find_other_word(first: Result, split: str, other: Result, other_split: str, units: bool = True) -> str:
    """The first line of `other` with another word or gold tag than `first`; else empty.

    units: also one in another document, or in another sentence if these are what entities are counted by.
    """
    ours, theirs = first.tagged[split].documents, other.tagged[other_split].documents
    if ours == theirs:
        return ""
    for there, here in zip_longest(_list_words(theirs), _list_words(ours)):
        if there is None or here is None or there[0][not units :] != here[0][not units :]:
            sides = ((other.predictions[other_split], there), (first.predictions[split], here))
            return ", but ".join(_describe_word(*side) for side in sides)
    return ""


def _list_words(documents: Sequence[Document]) -> Iterator[tuple[Word, str, int]]:
    """Each word with its gold tag, the place of its sentence, and its number there from 0.

    Words are as the recipe writes them: those of other programs can have no-break spaces.
    """
    unit, groups = list_units(documents)
    for number, group in enumerate(groups, 1):
        name = f"{unit} {number}"
        for sentence in group.sentences:
            for offset, (word, tag) in enumerate(zip(sentence.words, sentence.tags, strict=True)):
                yield Word(name, format_cells([word]), tag), sentence.place, offset


def _describe_word(file: Path, found: tuple[Word, str, int] | None) -> str:
    if found is None:
        return f"{file} ends"
    word, place, offset = found
    path, _, line = place.rpartition(":")
    return f"{path}:{int(line) + offset} has {shorten(word.word)!r} {word.tag} in {word.unit}"

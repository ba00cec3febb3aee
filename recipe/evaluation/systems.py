"""The systems that a comparison is about: finished runs, their seeds, and files of predictions of any program."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from glob import glob
from itertools import chain, combinations, pairwise
from pathlib import Path
from string import ascii_uppercase
from typing import Any

import numpy as np

from recipe.data.documents import Document, list_sentences
from recipe.errors import RecipeError
from recipe.evaluation.gold import check_gold, find_gold_difference
from recipe.evaluation.results import list_settings, read_f1
from recipe.evaluation.scored import UNNAMED, Result, read_result
from recipe.evaluation.scoring import describe_units

ASIDE = re.compile(r"(.+\.)?aside-\d+")  # what --restart calls the folder with the files of an earlier run


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

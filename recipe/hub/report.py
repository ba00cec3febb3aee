"""The page of a run and its figures, `report.html` and `analysis.json`, made from the files in the run's folder.

`python -m recipe report runs/ner/name` makes them again at any later time. A page without text of the data, for pushes,
is made from files that contain only figures.
"""

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from recipe.command_line import VerbParser
from recipe.errors import RecipeError
from recipe.evaluation.analysis import analyze
from recipe.evaluation.buckets import Mentions
from recipe.evaluation.examples import list_examples, list_suspects
from recipe.evaluation.filled import read_filled
from recipe.evaluation.matches import list_cases
from recipe.evaluation.page import Curves, Page, SplitPart, render_page
from recipe.evaluation.predictions import name_predictions, read_mentions, read_predictions
from recipe.evaluation.scoring import check_predictions, score_entities
from recipe.files import write_whole
from recipe.hub.run_folder import RunFolder, explain_damage

PAGE, ANALYSIS = "report.html", "analysis.json"
NO_PREDICTIONS = "The predictions of this split are not in the folder: its errors in context are left out."
NO_CONFIDENCES = "Confidences were not recorded: calibration and labels that may be wrong are left out."
NO_ANALYSIS = "The analysis of the errors of this split is not in the folder, so it is left out."
NO_MENTIONS = "The entities of training were not recorded: scores of seen and unseen entities are left out."

logger = logging.getLogger(__name__)


class Report(NamedTuple):
    """The page of a run, and the figures of the analysis by split, which are empty if there is no analysis.

    A split whose predictions are gone keeps the figures of the `analysis.json` that is there.
    """

    page: str
    figures: dict[str, Mapping[str, Any]]

    def write(self, folder: Path) -> None:
        """Write `report.html`, and `analysis.json` if there are figures. Raises RecipeError as `write_whole` does."""
        if self.figures:
            write_whole(folder / ANALYSIS, json.dumps(self.figures, indent=1) + "\n")
        write_whole(folder / PAGE, self.page)


def make_report(folder: Path, with_text: bool = True) -> Report:
    """The page and the figures of a run.

    with_text: whether the page quotes the data. If not, nothing of `predictions/` is read.
    Raises RecipeError if there is nothing to show, or if the files are not as the recipe writes them.
    """
    run = RunFolder(folder)
    if not (run.scores or run.history):
        raise RecipeError(f"{folder}: has neither scores nor learning curves: give the folder of a finished run")
    with explain_damage(folder):
        names = sorted(run.scores, reverse=True)  # test first
        if with_text:
            mentions = read_mentions(folder)
            splits = [_analyze_split(run, split, mentions) for split in names]
        else:
            splits = [_read_split(run, split) for split in names]
        page = Page(
            title=folder.resolve().name,
            task=_name_task(run),
            facts=_list_facts(run),
            splits=splits,
            curves=_find_curves(run),
            settings=yaml.safe_dump(run.changed_settings, sort_keys=False).rstrip() if run.settings else "",
            command=run.command,
            with_text=with_text,
        )
        return Report(render_page(page), {split.name: split.analysis for split in splits if split.analysis})


def try_report(folder: Path) -> None:
    """Write the report of a run that has just finished. If it cannot be made, a warning says why.

    Raises RecipeError if a file cannot be written.
    """
    try:
        report = make_report(folder)
    except Exception as error:  # the run is good without its page
        reason = str(error) if isinstance(error, RecipeError) else f"{type(error).__name__}: {error}"
        logger.warning("no %s: %s (python -m recipe report %s makes it later)", PAGE, reason, folder)
        return
    report.write(folder)


def _analyze_split(run: RunFolder, split: str, mentions: Mentions | None) -> SplitPart:
    scores = run.scores[split]
    if "entities" not in scores:
        return SplitPart(split, scores, filled=read_filled(run.folder, split))
    sentences = read_predictions(run.folder, split)
    if not sentences:
        part = _read_split(run, split)
        return replace(part, notes=[*part.notes, NO_PREDICTIONS])
    found = score_entities([one.gold for one in sentences], [one.predicted for one in sentences])
    check_predictions(name_predictions(run.folder, split), found, scores["entities"])
    cases = list_cases(sentences)
    notes = [NO_CONFIDENCES] if sentences[0].word_scores is None else []
    return SplitPart(
        name=split,
        scores=scores,
        analysis=analyze(cases, mentions),
        examples=list_examples(cases),
        suspects=list_suspects(cases, mentions),
        notes=notes + ([NO_MENTIONS] if mentions is None else []),
    )


def _read_split(run: RunFolder, split: str) -> SplitPart:
    """A split without text of the data, from the analysis that the run has written."""
    scores, analysis = run.scores[split], run.analysis.get(split, {})
    notes = [NO_ANALYSIS] if "entities" in scores and not analysis else []
    return SplitPart(split, scores, analysis, notes=notes)


def _list_facts(run: RunFolder) -> dict[str, str]:
    """The facts of a run in the head of its page; those that are not recorded are left out."""
    record = run.record
    minutes = record.get("train_minutes")
    counted = record.get("sentences") or {}
    facts = {
        "Scores": None if run.scores else "none in the folder (report.json or metrics.json)",
        "Data": run.data,
        "Sentences": ", ".join(f"{split} {count:,}" for split, count in counted.items()),
        "Model": record.get("model"),
        "Teachers": ", ".join((record.get("distillation") or {}).get("teachers", [])),
        "Training": f"{minutes:g} minutes, {record['precision']}" if minutes else None,
        "Machine": record.get("hardware"),
        "Seed": record.get("seed"),
        "Commit": record.get("commit"),
    }
    return {name: str(value) for name, value in facts.items() if value not in (None, "")}


def _name_task(run: RunFolder) -> str:
    """A run that only scores a model has no configuration in its folder, but scores of entities."""
    is_tagger = run.task == "token-classification" or any("entities" in scores for scores in run.scores.values())
    return "Named-entity recognition" if is_tagger else "Masked pretraining"


def _find_curves(run: RunFolder) -> list[Curves]:
    """The curves of the training, and of the pretraining if the folder of its model is at hand."""
    found = [Curves(_name_task(run), run.history)] if run.is_trained else []
    start = run.settings.get("model_name_or_path")
    if start and os.path.isdir(start) and not os.path.samefile(start, run.folder):  # it can be longer than a path
        try:
            before = RunFolder(Path(start))
            found.append(Curves(f"Before: {Path(start).name}", before.history))
        except RecipeError as error:  # a folder that is not ours
            logger.warning("%s", error)
    return found


def main(argv: list[str]) -> None:
    """`python -m recipe report`: write the page of a run."""
    parser = VerbParser(
        "report",
        "Write the page of a finished run, report.html, from the files in its folder.",
        "python -m recipe report runs/ner/name",
    )
    parser.add_argument("folder", type=Path, help="a run's folder")
    args = parser.parse_args(argv)
    if not args.folder.is_dir():
        reason = "is a file: give its folder" if args.folder.exists() else "no such folder: check the path"
        raise RecipeError(f"{args.folder}: {reason}")
    make_report(args.folder).write(args.folder)
    print(args.folder / PAGE)

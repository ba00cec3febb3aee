"""The facts in the files of a run's folder: its record, settings, scores and tokenizer."""

import dataclasses
import json
import logging
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, NoReturn

import yaml
from jinja2 import TemplateError

from recipe.data.schemes import list_types
from recipe.data.settings import AugmentationArguments, EntityArguments, TextArguments
from recipe.data.splits import HUB_NAMES, SPLITS
from recipe.errors import RecipeError
from recipe.evaluation.scoring import differs
from recipe.evaluation.shapes import OBJECT, Check
from recipe.hub.contents import ANALYSES, CONFIG, OLD_NAMES, RECORD, SCORES, STATE
from recipe.hub.settings import CardArguments
from recipe.inference.exports import RECORD as EXPORT_RECORD
from recipe.inference.exports import find_exports
from recipe.inference.settings import KEY, DecodingArguments, TaggerSettings
from recipe.inputs.case_markers import CAPITALISED
from recipe.inputs.settings import BlockArguments, VocabularyArguments, WindowArguments
from recipe.model.settings import HeadArguments, LabelArguments, ModelArguments
from recipe.training.checkpoints import find_step
from recipe.training.settings import DistillationArguments, TrainingArguments

REPORT = "report.json"
logger = logging.getLogger(__name__)
SETTINGS = (
    *(
        ModelArguments,
        HeadArguments,
        LabelArguments,
        TextArguments,
        EntityArguments,
        AugmentationArguments,
        BlockArguments,
        VocabularyArguments,
    ),
    *(WindowArguments, DecodingArguments, DistillationArguments, TrainingArguments, CardArguments),
)
DERIVED = {  # settings that follow from others or from the machine
    *("output_dir", "hub_token", "accelerator_config", "use_cpu", "dataloader_pin_memory", "disable_tqdm"),
    *("activation_checkpointing", "gradient_checkpointing", "run_name", "trackio_static_space_id"),
}


def list_changed(settings: dict) -> dict:
    """The settings of a run that differ from their defaults."""
    defaults = {field.name: field.default for cls in SETTINGS for field in dataclasses.fields(cls)}
    defaults |= {"config": None} | dataclasses.asdict(TaggerSettings())
    return {
        key: value
        for key, value in settings.items()
        if value not in (None, [], {}, "") and key in defaults.keys() - DERIVED and value != defaults[key]
    }


def find_record(folder: Path) -> Path:
    """The path of a folder's `run.yaml`, which may not exist. A checkpoint without its own has that of its run."""
    own = folder / "run.yaml"
    return folder.parent / own.name if not own.exists() and find_step(folder) is not None else own


def _read(path: Path, check: Check = OBJECT) -> dict:
    """The content of a JSON or YAML file, empty without the file. Raises RecipeError if `check` refuses it."""
    if not path.exists():
        return {}
    try:
        text = path.read_text(encoding="utf-8")
        refuse = _refuse_constant if path.name == REPORT else None  # a log can have losses that are not finite
        content = json.loads(text, parse_constant=refuse) if path.suffix == ".json" else yaml.safe_load(text)
        if isinstance(content, dict):
            check(content, "")
    except (OSError, yaml.YAMLError, ValueError, RecursionError) as error:
        raise RecipeError(f"{path}: {error}: fix the file") from None
    if not isinstance(content, dict):
        raise RecipeError(f"{path}: is not an object with keys: fix the file")
    return content


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a figure")


@contextmanager
def explain_damage(folder: Path) -> Iterator[None]:
    """A context in which values that the recipe does not write to a run's folder raise RecipeError."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, TemplateError) as error:
        reason = f"{type(error).__name__}: {error}"[:300]
        raise RecipeError(f"{folder}: one of its files is not as the recipe wrote it ({reason}): restore it") from error


def _name_path(path: str) -> str:
    """The folder and name of a file."""
    return str(Path(*Path(path).parts[-2:]))


def _shorten_path(word: str) -> str:
    """A word of a command line, with `_name_path` instead of a path outside the working folder."""
    flag, equals, value = word.rpartition("=")
    return flag + equals + _name_path(value) if value.startswith(("/", "~", "..")) else word


def _shorten_paths(value: Any) -> Any:
    """The value of a setting, with `_shorten_path` for texts and lists of texts."""
    if isinstance(value, list):
        return [_shorten_paths(one) for one in value]
    return _shorten_path(value) if isinstance(value, str) else value


class RunFolder:
    """The folder of a run or of one of its checkpoints. While the run is in progress, there are no scores.

    Reading a damaged file raises RecipeError.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.record = _read(find_record(folder), RECORD)
        self.settings = self.record.get("settings", {})

    @cached_property
    def config(self) -> dict:
        """The model's configuration."""
        return _read(self.folder / "config.json", CONFIG)

    @cached_property
    def history(self) -> list[dict]:
        """The log of the Trainer."""
        return _read(self.folder / "trainer_state.json", STATE).get("log_history", [])

    @cached_property
    def scores(self) -> dict:
        """The report of each split that was scored."""
        results = _read(self.folder / REPORT, SCORES) or _read(self.folder / "metrics.json", SCORES)
        named = {OLD_NAMES.get(split, split): scores for split, scores in results.items()}
        return {split: scores for split, scores in named.items() if split in HUB_NAMES}

    @cached_property
    def analysis(self) -> dict:
        """The analysis of the errors of each split, in figures; empty if the run has no analysis."""
        return _read(self.folder / "analysis.json", ANALYSES)

    @cached_property
    def running_text(self) -> dict[str, dict]:
        """For each split, the F1 of the Tagger and of the pipeline on running text; empty if they were not compared."""
        return {split: scores["running_text"] for split, scores in self.scores.items() if "running_text" in scores}

    @cached_property
    def pipeline_differs(self) -> bool:
        """Whether the two differ by more than a point on some split."""
        return any(differs(row["tagger"], row["pipeline"]) for row in self.running_text.values())

    @cached_property
    def limits(self) -> dict[str, int]:
        """The number of scored sentences, for each split that was limited to its first sentences."""
        limits = {split: self.settings.get(SPLITS[split].limit) for split in self.scores}
        return {split: limit for split, limit in limits.items() if limit}

    @cached_property
    def exports(self) -> list[dict]:
        """What was measured of each whole export of the model, beside the model itself; see `recipe.export`."""
        found = find_exports(self.folder)
        for damage in filter(None, found.values()):
            logger.warning("left out of the model card: %s", damage)
        return [_read(export / EXPORT_RECORD) for export, damage in found.items() if not damage]

    @cached_property
    def compared_exports(self) -> list[tuple[str, str, list[dict]]]:
        """The exports that were compared on the same file and machine: its name, the hardware, and their records."""
        place = itemgetter("file", "hardware")
        return [(*key, list(rows)) for key, rows in groupby(sorted(self.exports, key=place), place)]

    @cached_property
    def task(self) -> str:
        """What the model does, in the Hub's terms."""
        architecture = " ".join(self.config.get("architectures") or [])
        return "token-classification" if "TokenClassification" in architecture else "fill-mask"

    @cached_property
    def changed_settings(self) -> dict:
        """The settings that differ from their defaults, without the folders that only the machine of the run has."""
        return {key: _shorten_paths(value) for key, value in list_changed(self.settings).items()}

    @cached_property
    def command(self) -> str:
        """The command line of the run, without the folders that only its machine has."""
        # shlex reads standard input if it is given None
        return shlex.join(map(_shorten_path, shlex.split(self.record.get("command") or "")))

    @cached_property
    def tagging(self) -> dict:
        """The settings of the tagger as recorded: in `run.yaml`, or else in the model's configuration."""
        known = {field.name for field in dataclasses.fields(TaggerSettings)}
        given = {key: value for key, value in self.settings.items() if key in known and value is not None}
        return (self.config.get(KEY) or {}) | given

    @cached_property
    def data(self) -> str:
        """The name of the data, or the folders and names of its files."""
        named = self.record.get("data", "data not recorded")
        files = map(self._shorten, (split.files for split in SPLITS.values())) if named == "files" else ()
        return next(filter(None, files), named)

    def name_split(self, split: str) -> str:
        """The files of a split if the settings name them, or else the name of its folder or data set."""
        folder = Path(self.settings.get("data_dir") or "").name
        return self._shorten(SPLITS[split].files) or folder or self.data

    @cached_property
    def is_trained(self) -> bool:
        """Whether the run trained the model, rather than only scoring it."""
        return self.settings.get("do_train") is not False

    @cached_property
    def sources(self) -> list[str]:
        """The names of the data that the run trained on, extra files included, or else of the data that it scored."""
        if self.is_trained:
            return [self.data, *filter(None, [self._shorten("extra_train_file")])]
        return list(dict.fromkeys(map(self.name_split, self.scores))) or [self.data]

    def _shorten(self, key: str) -> str:
        """The files that a setting names, each by its folder and name."""
        return " ".join(_name_path(pattern) for pattern in self.settings.get(key) or [])

    @cached_property
    def labels(self) -> list[str]:
        """The labels of a tagger, by label id."""
        return list(self.config.get("id2label", {}).values())

    @cached_property
    def entities(self) -> list[str]:
        """The entity types of a tagger."""
        return list_types(self.labels)

    @cached_property
    def case(self) -> str:
        """How the tokenizer treats case: `cased`, `uncased`, or `marked` (uncased, with case markers)."""
        normalizer = json.dumps(_read(self.folder / "tokenizer.json").get("normalizer"))
        if CAPITALISED in normalizer:
            return "marked"
        return "uncased" if '"lowercase": true' in normalizer or '"Lowercase"' in normalizer else "cased"

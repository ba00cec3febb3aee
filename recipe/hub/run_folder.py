"""What the files of a run's folder tell of the run: its record, settings, scores and tokenizer."""

import json
from functools import cached_property
from pathlib import Path

import yaml

from recipe.data.schemes import list_types
from recipe.data.splits import HUB_NAMES, SPLITS
from recipe.errors import RecipeError
from recipe.inputs.case_markers import CAPITALISED, UPPER
from recipe.training.checkpoints import find_step

OLD_NAMES = {"validation": "dev"}  # of a split, in the metrics.json of earlier versions


def find_record(folder: Path) -> Path:
    """Where a folder's `run.yaml` is, or should be: of a checkpoint it may be that of the run's folder around it."""
    own = folder / "run.yaml"
    return folder.parent / own.name if not own.exists() and find_step(folder) is not None else own


def _read(path: Path) -> dict:
    if not path.exists():
        return {}
    text = path.read_text(encoding="utf-8")
    try:
        return (json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)) or {}
    except (yaml.YAMLError, ValueError) as error:
        raise RecipeError(f"{path}: {' '.join(str(error).split())}: mend it") from None


class RunFolder:
    """The folder of a run, or of one of its checkpoints; that of a run under way lacks its results.

    Reading a file that is damaged, as by hand, raises RecipeError.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.record = _read(find_record(folder))
        self.settings = self.record.get("settings", {})

    @cached_property
    def config(self) -> dict:
        """The model's configuration."""
        return _read(self.folder / "config.json")

    @cached_property
    def history(self) -> list[dict]:
        """What the Trainer logged."""
        return _read(self.folder / "trainer_state.json").get("log_history", [])

    @cached_property
    def scores(self) -> dict:
        """The report of each split that was scored."""
        results = _read(self.folder / "report.json") or _read(self.folder / "metrics.json")
        named = {OLD_NAMES.get(split, split): scores for split, scores in results.items()}
        return {split: scores for split, scores in named.items() if split in HUB_NAMES}

    @cached_property
    def task(self) -> str:
        """The Hub's name of what the model does."""
        architecture = " ".join(self.config.get("architectures") or [])
        return "token-classification" if "TokenClassification" in architecture else "fill-mask"

    @cached_property
    def data(self) -> str:
        """The name of the data, or the folders and names of its files."""
        named = self.record.get("data", "data not recorded")
        files = map(self._shorten, (split.files for split in SPLITS.values())) if named == "files" else ()
        return next(filter(None, files), named)

    def name_split(self, split: str) -> str:
        """The files that a split was read from, if they were named, or else the name of its folder or data set."""
        folder = Path(self.settings.get("data_dir") or "").name
        return self._shorten(SPLITS[split].files) or folder or self.data

    @cached_property
    def use_of_data(self) -> str:
        """What was done with the data, those that were added to train on included."""
        if self.settings.get("do_train") is False:
            return f"scored on {' and '.join(dict.fromkeys(map(self.name_split, self.scores))) or self.data}"
        extra = self._shorten("extra_train_file")
        return f"trained on {self.data}" + (f" and {extra}" if extra else "")

    def _shorten(self, key: str) -> str:
        """The files that a setting names, each by its folder and name."""
        return " ".join(str(Path(*Path(pattern).parts[-2:])) for pattern in self.settings.get(key) or [])

    @cached_property
    def entities(self) -> list[str]:
        """The types of entities that the model tags."""
        return list_types(self.config.get("id2label", {}).values())

    @cached_property
    def case(self) -> str:
        """What the tokenizer makes of case."""
        normalizer = json.dumps(_read(self.folder / "tokenizer.json").get("normalizer"))
        if CAPITALISED in normalizer:
            return (
                f"uncased, but {CAPITALISED} stands before each capitalised word and {UPPER} before each one in upper "
                'case; with `aggregation_strategy="first"` a pipeline keeps entities whole; their text is that from '
                "`start` to `end`, as `word` shows the markers"
            )
        if '"lowercase": true' in normalizer or '"Lowercase"' in normalizer:
            return "uncased: the tokenizer folds capitals, which tell names apart"
        return "cased"

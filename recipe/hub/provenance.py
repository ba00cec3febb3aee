"""Origin of a run and its weights: Hub ids, commit, hardware."""

import platform
import re
import subprocess
from pathlib import Path

import torch

from recipe.data.settings import EntityArguments, SourceArguments
from recipe.errors import RecipeError
from recipe.hub.run_folder import RunFolder, find_record
from recipe.inputs.pretrained import EMBEDDED, ORIGIN
from recipe.model.settings import ModelArguments

HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")


def trace_origin(model: ModelArguments, data: SourceArguments, training: bool = True) -> dict:
    """The Hub ids of a run: its `base_model`, the `dataset` it is scored on, and all training `datasets` of the model.

    For a model of an earlier run, ids are also taken from the run.yaml of that run. Local files are not a Hub data set,
    even if they contain the same text; `dataset_name` counts only if the data are read from it.
    training: whether the run trains.
    """
    name = model.model_name_or_path
    earlier_base, earlier_datasets = _read_origin(Path(name)) if name and Path(name).is_dir() else (None, [])
    base = ORIGIN if name == EMBEDDED else name
    if base is None or Path(base).exists() or not HUB_NAME.fullmatch(base):
        base = earlier_base
    files = (data.train_file, getattr(data, "data_dir", None), getattr(data, "test_file", None))
    if isinstance(data, EntityArguments):
        files += (data.validation_file,)
    dataset = data.dataset_name if not any(files) else None
    if dataset and (Path(dataset).exists() or not HUB_NAME.fullmatch(dataset)):
        dataset = None
    datasets = {*earlier_datasets, *([dataset] if dataset and training else [])}
    scored = None if data.validation_file else dataset
    return {"base_model": base, "dataset": scored, "datasets": sorted(datasets)}


def _read_origin(folder: Path) -> tuple[str | None, list[str]]:
    """The `base_model` and the `datasets` of an earlier run. Raises RecipeError if they are something else."""
    record = RunFolder(folder).record
    base, datasets = record.get("base_model"), record.get("datasets", [])
    if (
        not isinstance(base, str | None)
        or not isinstance(datasets, list)
        or not all(isinstance(one, str) for one in datasets)
    ):
        raise RecipeError(f"{find_record(folder)}: base_model or datasets is not what the recipe writes: fix the file")
    return base, datasets


def name_data(data: SourceArguments) -> str:
    """The name of the training data, or else of the scored data: the folder or data set name, or `files`."""
    folder = getattr(data, "data_dir", None)
    if folder and not data.train_file:
        return Path(folder).resolve().name
    scored = isinstance(data, EntityArguments) and (data.validation_file or data.test_file)
    return "files" if data.train_file or scored or not data.dataset_name else Path(data.dataset_name).name


def find_commit(folder: Path = Path(__file__).parents[2]) -> str:
    """The commit of this repository, with `-dirty` if there are uncommitted changes; `unknown` outside a checkout.

    Changed results do not count: a measurement that has just written one changes nothing for the next.
    folder: the repository.
    """
    try:
        head = _run_git(folder, "rev-parse", "--short=10", "HEAD")
        changed = _run_git(folder, "status", "--porcelain", "--untracked-files=no", "--", ".", ":(exclude)results")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{head}-dirty" if changed else head


def _run_git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


def describe_hardware(gpus: int = 1) -> str:
    """The GPUs in use (`gpus` is their number), or the CPU and its threads if there are none."""
    if gpus and torch.cuda.is_available():
        return f"{gpus} x {torch.cuda.get_device_name()}"
    if gpus and torch.accelerator.is_available() and (accelerator := torch.accelerator.current_accelerator()):
        return f"{gpus} x {accelerator.type} of {platform.platform()}"
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        models = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        name = models[0].partition(":")[2].strip() if models else name
    return f"{name}, {torch.get_num_threads()} threads"

"""Where a run and its weights come from: Hub ids, commit, hardware."""

import platform
import re
import subprocess
from pathlib import Path

import torch

from recipe.data.settings import EntityArguments, SourceArguments
from recipe.hub.run_folder import RunFolder
from recipe.inputs.pretrained import EMBEDDED, ORIGIN
from recipe.model.settings import ModelArguments

HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")


def trace_origin(model: ModelArguments, data: SourceArguments, training: bool = True) -> dict:
    """Hub ids where there are any: `base_model`, the `dataset` that is scored on, and all `datasets` of the weights.

    A model of an earlier stage passes on what its own run.yaml tells. Local files are no Hub data set, even if they
    hold the same text; `dataset_name` counts only where the data are read from it. training: whether the run does.
    """
    name = model.model_name_or_path
    earlier = RunFolder(Path(name)).record if name and Path(name).is_dir() else {}
    base = ORIGIN if name == EMBEDDED else name
    if base is None or Path(base).exists() or not HUB_NAME.fullmatch(base):
        base = earlier.get("base_model")
    files = (data.train_file, getattr(data, "data_dir", None), getattr(data, "test_file", None))
    if isinstance(data, EntityArguments):
        files += (data.validation_file,)
    dataset = data.dataset_name if not any(files) else None
    if dataset and (Path(dataset).exists() or not HUB_NAME.fullmatch(dataset)):
        dataset = None
    datasets = {*earlier.get("datasets", []), dataset if training else None} - {None}
    scored = None if data.validation_file else dataset
    return {"base_model": base, "dataset": scored, "datasets": sorted(datasets)}


def name_data(data: SourceArguments) -> str:
    """What the training data, or else those that are scored, are called: `files`, their folder's or data set's name."""
    folder = getattr(data, "data_dir", None)
    if folder and not data.train_file:
        return Path(folder).resolve().name
    scored = isinstance(data, EntityArguments) and (data.validation_file or data.test_file)
    return "files" if data.train_file or scored or not data.dataset_name else Path(data.dataset_name).name


def find_commit() -> str:
    """The commit of this repository, with `-dirty` if its files differ from it; `unknown` outside a checkout."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=10", "--exclude=*"]
    try:
        found = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return found.stdout.strip()


def describe_hardware(gpus: int = 1) -> str:
    """The GPUs in use, `gpus` of them where there are any, or else the processor and the threads."""
    if gpus and torch.cuda.is_available():
        return f"{gpus} x {torch.cuda.get_device_name()}"
    if gpus and torch.accelerator.is_available():
        return f"{gpus} x {torch.accelerator.current_accelerator().type} of {platform.platform()}"
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        models = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        name = models[0].partition(":")[2].strip() if models else name
    return f"{name}, {torch.get_num_threads()} threads"

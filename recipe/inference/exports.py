"""Exports of finished models, which run on ONNX Runtime or OpenVINO without torch, or with torch in another precision.

An export is a folder that `python -m recipe export` writes: tokenizer, `config.json` with the entry `export`, and a
graph or a torch model.
"""

import json
import os
import shlex
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import httpx
from transformers import PreTrainedConfig

from recipe.connection import explain_download
from recipe.errors import RecipeError
from recipe.folders import find_changed, find_digest
from recipe.inference.backends import BATCH_TOKENS, Backend, Batch
from recipe.inputs.pretrained import resolve_name
from recipe.model.settings import ModelArguments

KEY = "export"  # in config.json
EXPORTS, RECORD = "export", "measured.json"  # in a run's folder, and in that of an export
GRAPHS = {"onnx": "model.onnx", "openvino": "model.xml"}
REQUIREMENTS = "requirements.txt"  # what runs an export without torch
PRECISIONS = {
    "torch": ("fp32", "bf16"),
    "onnx": ("fp32", "int8"),  # ONNX Runtime has no bf16 on CPUs
    "openvino": ("fp32", "bf16", "int8"),
}


@dataclass(frozen=True)
class Export:
    """The backend and precision of an export: a key of `PRECISIONS`, and one of its values."""

    backend: str
    precision: str

    @property
    def name(self) -> str:
        """The name of its folder, such as `onnx-int8`."""
        return f"{self.backend}-{self.precision}"


def list_exports() -> list[Export]:
    """Every combination of backend and precision."""
    return [Export(backend, precision) for backend, precisions in PRECISIONS.items() for precision in precisions]


def read_export(config: PreTrainedConfig) -> Export | None:
    """The entry `export` of a model's configuration; None without one. Raises RecipeError if it is not valid."""
    given = getattr(config, KEY, None)
    if given is None:
        return None
    found = [export for export in list_exports() if given == vars(export)]
    if not found:
        raise RecipeError(f"config.json of the model: {KEY}: {given}: cannot be read: export the model again")
    return found[0]


def refuse_export(config: PreTrainedConfig, name: str) -> None:
    """Raise RecipeError if `config`, that of the model `name` (setting and value), is of an export, only to be used."""
    if getattr(config, KEY, None) is not None:
        raise RecipeError(f"{name}: is an export: give the model that it was made of")


def load_graph(export: Export, arguments: ModelArguments, threads: int | None = None) -> Backend:
    """Load an export for ONNX Runtime or OpenVINO.

    arguments: its folder or Hub id is `model_name_or_path`. threads: default: see `count_threads`.
    Raises RecipeError if the package or the file is missing, or if the file cannot be loaded.
    """
    name = str(arguments.model_name_or_path)
    graph = (Path(name) if Path(name).is_dir() else _download(arguments)) / GRAPHS[export.backend]
    if not graph.exists():
        raise RecipeError(f"{graph}: no such file: export the model again")
    build = OnnxBackend if export.backend == "onnx" else OpenvinoBackend
    try:
        return build(graph, export.precision, count_threads(threads))
    except ImportError as error:
        raise RecipeError(
            f"{name}: {error.name} is not installed: run pip install -r {shlex.quote(name)}/{REQUIREMENTS}"
        ) from None
    except Exception as error:  # the libraries raise classes of their own
        text = " ".join(str(error).split())[:200]
        raise RecipeError(f"{graph}: cannot be loaded ({text}): export the model again") from error


def find_folder(export: str, arguments: ModelArguments) -> Path:
    """The local folder of an export of the model `model_name_or_path`; it is downloaded from the Hub, and no other.

    export: its name, such as `onnx-int8`. Raises RecipeError if the model has no such export.
    """
    name, known = str(arguments.model_name_or_path), [one.name for one in list_exports()]
    if export not in known:
        raise RecipeError(f"export: {export} is not one of {' '.join(known)}")
    if is_export(Path(name)):
        raise RecipeError(f"{name}: is an export already: leave out the export {export}")
    folder = Path(name) if Path(name).is_dir() else _download(arguments, f"{EXPORTS}/{export}/*")
    found = folder / EXPORTS / export
    if not (found / "config.json").exists():
        backend, precision = export.split("-")
        command = f"python -m recipe export {shlex.quote(name)} --backend {backend} --precision {precision}"
        raise RecipeError(f"{name}: has no {EXPORTS}/{export}: make it with {command}")
    check_whole(found, export)
    return found


def is_export(folder: Path) -> bool:
    """Whether a folder has the configuration of an export."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        return config.get(KEY) in map(asdict, list_exports())
    except (OSError, ValueError, AttributeError, RecursionError):  # said when it is loaded
        return False


def check_whole(folder: Path, name: str | None = None) -> None:
    """Raise RecipeError if the files of an export, or of its model, are not as its record, written last, says.

    name: of the export, if it is known; another one is refused too.
    """
    own = ""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        own, damage = record["export"]["name"], find_changed(folder, record["files"], record.get("sha256", {}))
        damage = damage or _find_other_model(folder, record.get("model_sha256", {}))
    except FileNotFoundError as error:
        damage = f"{Path(error.filename).name} is missing"
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        damage = f"{RECORD} is damaged"
    if damage:
        raise RecipeError(f"{folder}: {damage}: export the model again")
    if name not in (None, own):
        raise RecipeError(f"{folder}: is the export {own}: rename the folder")


def list_model_files(folder: Path) -> list[str]:
    """The names of the files of a model that its exports depend on: its configuration and its weights."""
    return ["config.json", *sorted(path.name for path in folder.glob("*.safetensors"))]


def _find_other_model(folder: Path, made_of: dict[str, str]) -> str | None:
    """What shows that an export is in the folder of another model than it was made of.

    made_of: the digests of the model's files; empty in records of earlier versions. None also where these files are not
    at hand, as beside an export from the Hub.
    """
    place = folder.absolute().parent
    if place.name == EXPORTS and all((place.parent / name).is_file() for name in made_of):
        for name, digest in made_of.items():
            file = place.parent / name
            if _find_digest_once(file, file.stat().st_mtime_ns) != digest:
                return f"{name} of the model has changed since it was made"
    return None


@lru_cache
def _find_digest_once(path: Path, changed: int) -> str:
    """The digest of a file of a model, which all its exports are compared with. changed: when, so that it counts."""
    return find_digest(path)


def find_exports(run: Path) -> dict[Path, RecipeError | None]:
    """The folders of the exports of a run; for one that is not whole, or of other weights, the error that says so."""
    found: dict[Path, RecipeError | None] = {}
    for folder in [run / EXPORTS / export.name for export in list_exports()]:
        if folder.is_dir():
            found[folder] = None
            try:
                check_whole(folder, folder.name)
            except RecipeError as error:
                found[folder] = error
    return found


def _download(arguments: ModelArguments, files: str | None = None) -> Path:
    """The local folder of a repository on the Hub. files: a pattern of those that are needed."""
    name = str(arguments.model_name_or_path)
    try:
        return Path(
            snapshot_download(
                resolve_name(name),
                revision=arguments.model_revision,
                cache_dir=arguments.cache_dir,
                allow_patterns=files,
            )
        )
    except (OSError, ValueError, HfHubHTTPError, httpx.TransportError) as error:
        raise RecipeError(f"{name}: {explain_download(error, 'use a local folder')}") from error


def check_threads(threads: int | None) -> None:
    """Raise RecipeError for a number of threads that cannot be."""
    if threads is not None and not (isinstance(threads, int) and threads is not True and threads >= 1):
        raise RecipeError(f"threads: {threads!r} is not valid: expected a whole number of at least 1")


def count_threads(wanted: int | None = None) -> int:
    """The number of threads `wanted`, else OMP_NUM_THREADS, else the CPUs that this process may use.

    At most one for each CPU of the machine: more make it slower, and very many cannot be started.
    """
    most, given = os.cpu_count() or 1, os.environ.get("OMP_NUM_THREADS", "")
    if wanted is None and given.isdecimal() and int(given):
        wanted = int(given)
    if wanted is None:
        wanted = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else most
    return min(wanted, most)


class OnnxBackend:
    """A graph on ONNX Runtime, on the CPU."""

    batch_tokens = BATCH_TOKENS

    def __init__(self, graph: Path, precision: str, threads: int):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads  # by default all cores of the machine, also those of others
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])

    def run(self, batches: Iterable[Batch]) -> Iterator[np.ndarray]:
        """The logits of each batch."""
        for batch in batches:
            yield np.asarray(self._session.run(None, batch)[0])


class OpenvinoBackend:
    """A graph on OpenVINO, on the CPU.

    streams: number of batches that are computed at the same time, each with its share of the threads.
    """

    batch_tokens = BATCH_TOKENS

    def __init__(self, graph: Path, precision: str, threads: int, streams: int = 1):
        import openvino

        settings: dict[str, Any] = {
            "INFERENCE_NUM_THREADS": threads,
            # By default OpenVINO computes in bf16 where the CPU can, whatever the precision of the file.
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
            "PERFORMANCE_HINT": "LATENCY" if streams == 1 else "THROUGHPUT",
        }
        if streams > 1:
            settings["NUM_STREAMS"] = streams
        self._model = openvino.Core().compile_model(str(graph), "CPU", settings)
        self._streams = streams
        self._waiting: list[Any] = []  # requests that no call uses

    def run(self, batches: Iterable[Batch]) -> Iterator[np.ndarray]:
        """The logits of each batch. Calls in several threads do not share requests, which hold inputs and outputs."""
        own = [self._take() for _ in range(self._streams)]
        free, running = deque(own), deque()
        try:
            for batch in batches:
                if not free:
                    free.append(running.popleft())
                    yield _finish(free[0])
                running.append(free.popleft())
                running[-1].start_async(batch, share_inputs=True)
            yield from map(_finish, running)
        finally:  # a caller that stops early must not leave them busy
            for request in running:
                request.wait()
            self._waiting += own

    def _take(self) -> Any:
        try:
            return self._waiting.pop()
        except IndexError:
            return self._model.create_infer_request()


def _finish(request: Any) -> np.ndarray:
    """The logits of a started request of OpenVINO; they stay valid when it is used again."""
    request.wait()
    return request.get_output_tensor(0).data.copy()

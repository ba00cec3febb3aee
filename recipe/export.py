"""`python -m recipe export`: small and fast forms of a finished model, each compared with it before it is kept."""

import importlib.metadata
import importlib.util
import json
import shutil
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from transformers.utils.logging import disable_progress_bar

from recipe.command_line import VerbParser
from recipe.errors import RecipeError
from recipe.exportable import Source, check_run, open_source
from recipe.files import write_whole
from recipe.folders import PARTIAL, clear_partial, finalize, find_digest, sync_files
from recipe.hub.card import write_card
from recipe.hub.provenance import describe_hardware, find_commit
from recipe.inference.conversion import convert
from recipe.inference.exports import (
    EXPORTS,
    KEY,
    PRECISIONS,
    RECORD,
    REQUIREMENTS,
    Export,
    list_exports,
    list_model_files,
)
from recipe.inference.guard import Judged, format_judged, judge
from recipe.inference.measuring import measure
from recipe.model.configuration import load_config
from recipe.model.settings import ModelArguments
from recipe.precision import choose_precision
from recipe.training.checkpoints import lock_folder

KEPT = (0, 1 / 8, 1 / 4, 1 / 2)  # shares of the linear layers that stay in fp32, tried until an export passes
PACKAGES = {"torch": (), "onnx": ("onnx", "onnxscript", "onnxruntime"), "openvino": ("openvino", "nncf")}
RUNNING = ("transformers", "tokenizers", "huggingface_hub", "numpy", "regex", "nupunkt")  # without torch
RUNTIMES = {"onnx": "onnxruntime", "openvino": "openvino"}


def choose_exports(backend: str, precision: str) -> list[Export]:
    """The exports to try. "auto" stands for all that this machine offers.

    Raises RecipeError for a combination that does not exist, and for a backend whose packages are not installed.
    """
    found = [one for one in list_exports() if backend in ("auto", one.backend) and precision in ("auto", one.precision)]
    if not found:
        raise RecipeError(f"{backend}: not available in {precision}: choose {' or '.join(PRECISIONS[backend])}")
    if precision == "auto":
        found = [one for one in found if one.precision != "bf16" or choose_precision("auto", on_cpu=True)[0] == "bf16"]
    if backend == "auto":
        return [one for one in found if not list_missing(one.backend)]
    if missing := list_missing(backend):
        raise RecipeError(f"{backend}: needs {' and '.join(missing)}, not installed: run pip install -e '.[export]'")
    return found


def list_missing(backend: str) -> list[str]:
    """The packages that a backend needs and that are not installed."""
    return [name for name in PACKAGES[backend] if importlib.util.find_spec(name) is None]


def make(source: Source, export: Export, folder: Path) -> Judged:
    """Write an export to `folder`, and compare it with its model.

    int8: layers that suffer most stay in fp32, more and more of them, until the export passes.
    Raises RecipeError if the model cannot be converted.
    """
    for share in KEPT if export.precision == "int8" else [0]:
        shutil.rmtree(folder, ignore_errors=True)
        kept = source.ranked_layers[: round(share * len(source.ranked_layers))] if share else []
        with explain_full_disk(source, folder.parent):
            convert(source.model, export, folder, source.batches, kept)
            write_companions(source, export, folder)
        judged = judge(export, source.trial, source.measured, measure(folder, source.trial), len(kept) or None)
        if judged.passes:
            break
    return judged


@contextmanager
def explain_full_disk(source: Source, folder: Path) -> Iterator[None]:
    """A context that writes to `folder`. If it fails where an export hardly fits, the error says so.

    Libraries tell a full disk in their own ways, some without a word of it.
    """
    try:
        yield
    except Exception as error:
        free = shutil.disk_usage(folder).free
        if free < source.size:
            reason = f"only {free >> 20} MB free on the disk"
            raise RecipeError(f"{folder.parent}: {reason}: make room, or export a copy of the run") from error
        raise


def write_companions(source: Source, export: Export, folder: Path) -> None:
    """Write what an export needs beside its weights: tokenizer, `config.json`, and the packages that run it."""
    source.tokenizer.save_pretrained(folder)
    config = load_config(ModelArguments(model_name_or_path=str(source.folder)))
    setattr(config, KEY, asdict(export))
    config.save_pretrained(folder)
    if export.backend in RUNTIMES:
        packages = (*RUNNING, RUNTIMES[export.backend])
        pins = [f"{name}=={importlib.metadata.version(name)}" for name in packages]
        write_whole(folder / REQUIREMENTS, "\n".join([*pins, ""]))


def write_record(source: Source, judged: Judged, folder: Path) -> None:
    """Write `measured.json`: the figures of an export and of its model, the machine, and the files with their digests.

    It is written last, when the files are on the disk, so that an export with a record is whole.
    """
    record = {"export": judged.describe(), "model": source.measured.figures, "file": source.trial.file.name}
    record |= {"hardware": describe_hardware(0), "threads": torch.get_num_threads(), "commit": find_commit()}
    record["files"], record["sha256"] = sync_files(folder)
    record["model_sha256"] = {name: find_digest(source.folder / name) for name in list_model_files(source.folder)}
    write_whole(folder / RECORD, json.dumps(record, indent=2) + "\n")


@contextmanager
def hold_folder(run: Path) -> Iterator[None]:
    """A context in which no other run or export uses a run's folder, and which has a folder of exports.

    What killed exports left there is removed, or brought back if it was whole.
    Raises RecipeError if nothing can be written to it, or if it is in use.
    """
    folder = run / EXPORTS
    try:
        folder.mkdir(exist_ok=True)
        TemporaryDirectory(dir=folder).cleanup()
        lock = lock_folder(run)
    except OSError as error:
        raise RecipeError(f"{folder}: {error.strerror}: export a copy of the run that you can write to") from None
    with lock:
        clear_partial(folder)
        try:
            yield
        finally:
            with suppress(OSError):  # it is not empty
                folder.rmdir()


@contextmanager
def unwind_on_signals() -> Iterator[None]:
    """A context in which SIGTERM and SIGHUP raise SystemExit, so that unfinished folders and processes are removed.

    Ctrl-C does the same with KeyboardInterrupt.
    """

    def leave(number: int, _) -> None:
        sys.exit(128 + number)

    ending = [one for one in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(one) == signal.SIG_DFL]
    for number in ending:
        signal.signal(number, leave)
    try:
        yield
    finally:
        for number in ending:
            signal.signal(number, signal.SIG_DFL)


def export_all(source: Source, exports: Sequence[Export], force: bool, fastest: bool) -> list[Judged]:
    """Make and compare exports, and keep those that pass in `export/` of the run; returns what was measured.

    force: keep those that are refused too. fastest: keep only the fastest.
    Raises RecipeError if a model cannot be converted, unless it can in another form.
    """
    target = source.folder / EXPORTS
    judged, errors = [], []
    with TemporaryDirectory(dir=target, prefix=PARTIAL) as partial:
        for export in exports:
            print(f"{export.name} ...", flush=True)
            try:
                judged.append(make(source, export, Path(partial) / export.name))
            except RecipeError as error:
                errors.append(error)
                if len(exports) > 1:
                    print(f"  {error}", flush=True)
        if not judged:
            raise errors[0]
        kept = [one for one in judged if one.passes or force]
        if fastest:
            kept = sorted(kept, key=lambda one: one.measured.costs.sentences_per_second)[-1:]
        for one in kept:
            made = Path(partial) / one.export.name
            write_record(source, one, made)
            finalize(made, target / one.export.name)
    print(f"\n{format_judged(source.trial, source.measured, judged)}\n")
    if judged[0].places < source.trial.enough:
        print(f"only {judged[0].places} {source.trial.places}: one of them decides: compare on a larger --file\n")
    if not kept:
        raise RecipeError(
            f"{source.folder}: no export passes, as the table shows: nothing is kept (--force keeps them)"
        )
    for one in kept:
        print(f"kept: {target / one.export.name}")
    return judged


def main(argv: list[str]) -> None:
    """`python -m recipe export`: export a finished model, and update the card of its run."""
    parser = VerbParser(
        "export",
        "Export a finished model to a smaller or faster form, and compare it with the model before keeping it.",
        "python -m recipe export runs/ner/name\n"
        "  python -m recipe export runs/ner/name --backend onnx --precision int8 --file dev.conll",
    )
    parser.add_argument("run", type=Path, help="the folder of a finished run of run_ner.py or run_mlm.py")
    parser.add_argument(
        "--backend",
        choices=("auto", *PRECISIONS),
        default="auto",
        help="default: auto, which is all that are installed",
    )
    parser.add_argument(
        "--precision",
        choices=("auto", "fp32", "bf16", "int8"),
        default="auto",
        help="default: auto, all; the fastest that passes is kept",
    )
    parser.add_argument(
        "--file",
        type=Path,
        help="file to compare on: columns with gold tags, or for a masked language model text (default: the run's dev)",
    )
    parser.add_argument("--encoding", help="of the file (default: utf-8, for a masked language model that of its run)")
    parser.add_argument("--word_column", type=int, help="taggers: index of the file's words (default: the first)")
    parser.add_argument("--tag_column", type=int, help="taggers: index of the file's tags (default: the last)")
    parser.add_argument("--force", action="store_true", help="keep an export that loses too much")
    args = parser.parse_args(argv)
    if not args.run.is_dir():
        raise RecipeError(f"{args.run}: no such folder")
    exports = choose_exports(args.backend, args.precision)
    columns = {name: getattr(args, name) for name in ("encoding", "word_column", "tag_column")}
    columns = {name: value for name, value in columns.items() if value is not None}
    check_run(args.run, args.file, columns)
    disable_progress_bar()
    with unwind_on_signals(), hold_folder(args.run), open_source(args.run, args.file, columns) as source:
        export_all(source, exports, args.force, fastest="auto" in (args.backend, args.precision))
    if (args.run / "run.yaml").exists():  # another README.md than that of a run is not ours
        write_card(args.run)

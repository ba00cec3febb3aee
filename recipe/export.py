"""`python -m recipe export`: small and fast forms of a finished tagger, each compared with it before it is kept."""

import importlib.metadata
import importlib.util
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from transformers import AutoModelForTokenClassification, PreTrainedModel
from transformers.utils.logging import disable_progress_bar

from recipe.command_line import VerbParser
from recipe.data.conll import read_conll
from recipe.data.documents import list_tags
from recipe.data.splits import check_labels
from recipe.errors import RecipeError
from recipe.files import write_whole
from recipe.hub.card import write_card
from recipe.hub.provenance import describe_hardware, find_commit
from recipe.inference.backends import Batch, pad
from recipe.inference.conversion import convert, take_sample, to_torch
from recipe.inference.exports import KEY, PRECISIONS, REQUIREMENTS, Export, list_exports
from recipe.inference.guard import Judged, format_judged, judge
from recipe.inference.measuring import Measurement, measure
from recipe.inference.sensitivity import rank_layers
from recipe.inference.tagger import Tagger
from recipe.model.configuration import load_config
from recipe.model.loading import load_model
from recipe.model.settings import ModelArguments
from recipe.precision import choose_precision

FOLDER, RECORD = "export", "measured.json"
SAMPLE_ROWS = 200  # sentences or windows that int8 is calibrated with
KEPT = (0, 1 / 8, 1 / 4, 1 / 2)  # shares of the linear layers that stay in fp32, tried until an export passes
PACKAGES = {"torch": (), "onnx": ("onnx", "onnxscript", "onnxruntime"), "openvino": ("openvino", "nncf")}
RUNNING = ("transformers", "tokenizers", "huggingface_hub", "numpy", "regex", "nupunkt")  # without torch
RUNTIMES = {"onnx": "onnxruntime", "openvino": "openvino"}


@dataclass(frozen=True)
class Source:
    """The tagger to export: its folder, the model on torch in fp32, and a file with gold tags to compare on."""

    folder: Path
    tagger: Tagger
    model: PreTrainedModel
    file: Path
    tag_column: int
    batches: list[Batch]  # of the file, for int8
    measured: Measurement


def load_source(folder: Path, file: Path | None, tag_column: int | None) -> Source:
    """Load and measure a tagger. file: default: the predictions on dev in its folder, which have the gold tags.

    Raises RecipeError if the folder has no tagger, or if there is no file to compare on.
    """
    own = folder / "predictions" / "dev.conll"
    if file is None and not own.exists():
        raise RecipeError(f"{own}: no such file to compare the export on: set --file to a column file with gold tags")
    arguments = ModelArguments(model_name_or_path=str(folder))
    config = load_config(arguments)
    if getattr(config, KEY, None):
        raise RecipeError(f"{folder}: is an export: give the folder of the run")
    if not any("TokenClassification" in name for name in config.architectures or ()):
        raise RecipeError(f"{folder}: is no tagger: give the folder of a run of run_ner.py")
    column = tag_column if tag_column is not None else 1 if file is None else -1
    documents = read_conll(file or own, tag_column=column, check=False)
    tagger = Tagger.load(folder, "fp32", "cpu")
    check_labels({"dev": documents}, tagger.labels)
    if all(tag == "O" for tags in list_tags(documents) for tag in tags):
        raise RecipeError(f"{file or own}: has no entities to compare on: set --file to one that has")
    windows = take_sample(tagger.windows(documents), SAMPLE_ROWS)
    batches = [pad([window["input_ids"]], tagger.tokenizer.pad_token_id) for window in windows]
    model = load_model(AutoModelForTokenClassification, arguments, config).eval()
    model.set_attn_implementation("sdpa" if model._supports_sdpa else "eager")
    return Source(folder, tagger, model, file or own, column, batches, measure(folder, file or own, column, "fp32"))


def choose_exports(backend: str, precision: str) -> list[Export]:
    """The exports to try. "auto" stands for all that this machine offers.

    Raises RecipeError for a combination that does not exist, and if none is left.
    """
    found = [one for one in list_exports() if backend in ("auto", one.backend) and precision in ("auto", one.precision)]
    if not found:
        raise RecipeError(f"{backend}: not available in {precision}: choose {' or '.join(PRECISIONS[backend])}")
    if precision == "auto":
        found = [one for one in found if one.precision != "bf16" or choose_precision("auto", on_cpu=True)[0] == "bf16"]
    if backend == "auto":
        found = [one for one in found if all(map(importlib.util.find_spec, PACKAGES[one.backend]))]
    return found


def make(source: Source, export: Export, folder: Path) -> Judged:
    """Write an export to `folder`, and compare it with its model.

    int8: layers that suffer most stay in fp32, more and more of them, until the export passes.
    Raises RecipeError if the model cannot be converted.
    """
    ranked: list[int] = []
    for share in KEPT if export.precision == "int8" else [0]:
        shutil.rmtree(folder, ignore_errors=True)
        if share and not ranked:
            ranked = rank_layers(source.model, [to_torch(batch) for batch in take_sample(source.batches, 32)])
        kept = ranked[: round(share * len(ranked))]
        convert(source.model, export, folder, source.batches, kept)
        write_companions(source, export, folder)
        judged = judge(export, source.measured, measure(folder, source.file, source.tag_column), len(kept) or None)
        if judged.passes:
            break
    return judged


def write_companions(source: Source, export: Export, folder: Path) -> None:
    """Write what an export needs beside its weights: tokenizer, `config.json`, and the packages that run it."""
    source.tagger.tokenizer.save_pretrained(folder)
    config = load_config(ModelArguments(model_name_or_path=str(source.folder)))
    setattr(config, KEY, asdict(export))
    config.save_pretrained(folder)
    if export.backend in RUNTIMES:
        packages = (*RUNNING, RUNTIMES[export.backend])
        pins = [f"{name}=={importlib.metadata.version(name)}" for name in packages]
        write_whole(folder / REQUIREMENTS, "\n".join([*pins, ""]))


def write_record(source: Source, judged: Judged, folder: Path) -> None:
    """Write `measured.json`: the figures of an export and of its model, with the machine that measured them."""
    record = {"export": judged.describe(), "model": asdict(source.measured.figures), "file": source.file.name}
    record |= {"hardware": describe_hardware(0), "threads": torch.get_num_threads(), "commit": find_commit()}
    write_whole(folder / RECORD, json.dumps(record, indent=2) + "\n")


def make_folder(folder: Path) -> None:
    """Make the folder of a run's exports. Raises RecipeError if nothing can be written to it."""
    try:
        folder.mkdir(exist_ok=True)
        TemporaryDirectory(dir=folder).cleanup()
    except OSError as error:
        raise RecipeError(f"{folder}: {error.strerror}: export a copy of the run that you can write to") from None


def export_all(source: Source, exports: Sequence[Export], force: bool, fastest: bool) -> list[Judged]:
    """Make and compare exports, and keep those that pass in `export/` of the run; returns what was measured.

    force: keep those that are refused too. fastest: keep only the fastest.
    Raises RecipeError if a model cannot be converted, unless it can in another form.
    """
    target = source.folder / FOLDER
    judged, errors = [], []
    with TemporaryDirectory(dir=target, prefix=".partial-") as partial:
        for export in exports:
            print(f"{export.name} ...", flush=True)
            try:
                judged.append(make(source, export, Path(partial) / export.name))
            except RecipeError as error:
                errors.append(error)
                print(f"  {error}", flush=True)
        if not judged:
            raise errors[0]
        kept = [one for one in judged if one.passes or force]
        if fastest:
            kept = sorted(kept, key=lambda one: one.figures.sentences_per_second)[-1:]
        for one in kept:
            made = Path(partial) / one.export.name
            write_record(source, one, made)
            shutil.rmtree(target / one.export.name, ignore_errors=True)
            made.rename(target / one.export.name)
    print(f"\n{format_judged(source.measured.figures, judged)}\n")
    if not kept:
        raise RecipeError(
            f"{source.folder}: no export passes, as the table shows: nothing is kept (--force keeps them)"
        )
    for one in kept:
        print(f"kept: {target / one.export.name}")
    return judged


def main(argv: list[str]) -> None:
    """`python -m recipe export`: export a finished tagger, and update the card of its run."""
    parser = VerbParser(
        "export",
        "Export a finished tagger to a smaller or faster form, and compare it with the tagger before keeping it.",
        "python -m recipe export runs/ner/name\n"
        "  python -m recipe export runs/ner/name --backend onnx --precision int8 --file dev.conll",
    )
    parser.add_argument("run", type=Path, help="the folder of a finished run of run_ner.py")
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
    parser.add_argument("--file", type=Path, help="column file with gold tags to compare on (default: the run's dev)")
    parser.add_argument("--tag_column", type=int, help="index of its tags (default: the last column)")
    parser.add_argument("--force", action="store_true", help="keep an export that loses too much")
    args = parser.parse_args(argv)
    if not args.run.is_dir():
        raise RecipeError(f"{args.run}: no such folder")
    exports = choose_exports(args.backend, args.precision)
    make_folder(args.run / FOLDER)
    disable_progress_bar()
    source = load_source(args.run, args.file, args.tag_column)
    export_all(source, exports, args.force, fastest="auto" in (args.backend, args.precision))
    write_card(args.run)

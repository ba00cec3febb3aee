"""What can be exported: a finished tagger or masked language model, and held-out data to compare its exports on."""

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from datasets.utils.logging import disable_progress_bar
from transformers import (
    AutoModelForMaskedLM,
    AutoModelForTokenClassification,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from recipe.arguments import MlmArguments
from recipe.data.articles import load_articles, name_source
from recipe.data.conll import read_conll
from recipe.data.documents import has_entities
from recipe.data.sources import find_suffix
from recipe.data.splits import ROW_FILES, check_labels
from recipe.errors import RecipeError
from recipe.hub.run_folder import RunFolder, explain_damage
from recipe.inference.backends import Batch, pad
from recipe.inference.conversion import take_positions, take_sample, to_torch
from recipe.inference.exports import KEY
from recipe.inference.measuring import Measurement, measure
from recipe.inference.scores import Row, find_places
from recipe.inference.sensitivity import rank_layers
from recipe.inference.tagger import Tagger
from recipe.inference.trials import FillingTrial, TaggingTrial, Trial, write_rows
from recipe.inputs.blocks import build_blocks
from recipe.inputs.masking import draw_masks
from recipe.inputs.tokenizer import load_tokenizer
from recipe.inputs.tokens import IGNORED
from recipe.model.configuration import find_longest, is_tagger, load_config
from recipe.model.loading import load_model
from recipe.model.objective import resolve_objective
from recipe.model.settings import ModelArguments

SAMPLE_ROWS = 200  # sentences, windows or blocks that int8 is calibrated with
RANKED_ROWS = 8  # of these: each is computed once for each layer
MOST_BLOCKS = 200  # that a masked language model is compared on


@dataclass(frozen=True)
class Source:
    """The model to export, on torch in fp32, and what its exports are compared on. batches: of that, for int8."""

    folder: Path
    tokenizer: PreTrainedTokenizerBase
    model: PreTrainedModel
    trial: Trial
    batches: list[Batch]
    measured: Measurement

    @property
    def size(self) -> int:
        """The bytes of the model's weights."""
        return sum(one.numel() * one.element_size() for one in self.model.parameters())

    @cached_property
    def ranked_layers(self) -> list[int]:
        """See `rank_layers`. Forms in int8 share the order, because it takes a while to find."""
        print("  finding the layers that suffer most from int8 ...", flush=True)
        return rank_layers(self.model, [to_torch(batch) for batch in take_sample(self.batches, RANKED_ROWS)])


@contextmanager
def open_source(folder: Path, file: Path | None, columns: Mapping[str, Any]) -> Iterator[Source]:
    """Load and measure the model of a run.

    file: to compare on; default: for a tagger the predictions on dev in its folder, which have the gold tags, for a
    masked language model the validation text that its record names. columns: see `check_run`.
    Raises RecipeError as `check_run` does, or if there is nothing to compare on.
    """
    config = check_run(folder, file, columns)
    print("the model itself ...", flush=True)
    if is_tagger(config):
        yield _load_tagger(folder, config, file, columns)
    else:
        with TemporaryDirectory() as place:
            yield _load_filler(folder, config, file, columns, Path(place) / "rows.npz")


def check_run(folder: Path, file: Path | None, columns: Mapping[str, Any]) -> PreTrainedConfig:
    """The configuration of a run's model.

    columns: how `file` is read: `encoding`, and for a tagger also `tag_column` and `word_column`.
    Raises RecipeError if the model cannot be exported, and for `columns` that it does not have.
    """
    config = load_config(ModelArguments(model_name_or_path=str(folder)))
    heads = " ".join(config.architectures or ())
    if getattr(config, KEY, None):
        raise RecipeError(f"{folder}: is an export: give the folder of the run")
    if not is_tagger(config) and "MaskedLM" not in heads:
        raise RecipeError(f"{folder}: is a {heads or config.model_type}: give a run of run_ner.py or run_mlm.py")
    if is_tagger(config) and file and (suffix := find_suffix(file.name)) in (*ROW_FILES, ".ann"):
        raise RecipeError(f"--file {file}: a {suffix} file cannot be compared on: give a column file of words and tags")
    for key in columns:
        if file is None:
            raise RecipeError(f"{key}: is that of another file than the run's own: set --file too")
        if not is_tagger(config) and key != "encoding":
            raise RecipeError(f"{key}: {folder} is a masked language model, whose text has no columns: leave it out")
    return config


def _load_tagger(folder: Path, config: PreTrainedConfig, file: Path | None, columns: Mapping[str, Any]) -> Source:
    own = folder / "predictions" / "dev.conll"
    if file is None and not own.exists():
        raise RecipeError(f"{own}: no such file to compare the export on: set --file to a column file with gold tags")
    trial = TaggingTrial(file, dict(columns)) if file else TaggingTrial(own, {"tag_column": 1})  # 2: the predicted tags
    documents = read_conll(trial.file, check=False, **trial.columns)
    tagger = Tagger.load(folder, "fp32", "cpu")
    check_labels({"dev": documents}, tagger.labels)
    if not has_entities(documents):
        raise RecipeError(f"{trial.file}: has no entities to compare on: set --file to one that has")
    windows = take_sample(tagger.windows(documents), SAMPLE_ROWS)
    batches = [pad([window["input_ids"]], tagger.tokenizer.pad_token_id) for window in windows]
    model = _load_model(AutoModelForTokenClassification, folder, config)
    return Source(folder, tagger.tokenizer, model, trial, batches, measure(folder, trial, "fp32"))


def _load_filler(
    folder: Path, config: PreTrainedConfig, file: Path | None, columns: Mapping[str, Any], place: Path
) -> Source:
    """place: the file to write the masked blocks to."""
    tokenizer = load_tokenizer(ModelArguments(model_name_or_path=str(folder)), training=False)
    with explain_damage(folder):
        arguments = _read_arguments(folder, config, file, columns)
        arguments.block_size = min(arguments.block_size, find_longest(tokenizer, config))  # of a run, it is below
        rows, targets = _draw_rows(arguments, tokenizer, own_file=file is None)
    write_rows(place, rows, targets)
    batches: list[Batch] = []
    for row in take_sample(rows, SAMPLE_ROWS):
        batch = pad([row.ids], tokenizer.pad_token_id)
        batches.append(batch | {"positions": find_places([row], batch["input_ids"].shape[1])})
    source = name_source(arguments, "dev").split(": ", 1)[1]
    trial = FillingTrial(Path(source), place)
    model = _load_model(AutoModelForMaskedLM, folder, config)
    take_positions(model)
    return Source(folder, tokenizer, model, trial, batches, measure(folder, trial, "fp32"))


def _load_model(auto_class: Any, folder: Path, config: PreTrainedConfig) -> PreTrainedModel:
    """A model whose attention can be exported."""
    model = load_model(auto_class, ModelArguments(model_name_or_path=str(folder)), config).eval()
    model.set_attn_implementation("sdpa" if model._supports_sdpa else "eager")
    return model


def _read_arguments(
    folder: Path, config: PreTrainedConfig, file: Path | None, columns: Mapping[str, Any]
) -> MlmArguments:
    """The settings of a run's text and masks, as its record names them; the validation text is `file`, if given."""
    known = {field.name for field in dataclasses.fields(MlmArguments)}
    settings = {name: value for name, value in RunFolder(folder).settings.items() if name in known}
    if file:
        settings |= {"validation_file": [str(file)], "max_eval_samples": None, **columns}
    arguments = MlmArguments(**settings)
    if not (arguments.validation_file or arguments.train_file or arguments.dataset_name):
        raise RecipeError(f"{folder}: its record names no text to compare on: set --file to a text file")
    return resolve_objective(arguments, config)


def _draw_rows(
    arguments: MlmArguments, tokenizer: PreTrainedTokenizerBase, own_file: bool
) -> tuple[list[Row], list[list[int]]]:
    """Evenly spaced blocks of the validation text, masked as in the evaluation of a run, and their original tokens.

    own_file: whether the text is that of the run. Raises RecipeError if there is no such text any more.
    """
    disable_progress_bar()
    try:
        articles = load_articles(arguments, ["dev"])["dev"]
    except RecipeError as error:
        hint = "; or set --file to a text file to compare the export on"
        raise RecipeError(f"{error}{hint if own_file else ''}") from None
    blocks: Any = build_blocks(articles, tokenizer, arguments, name_source(arguments, "dev"))
    rows, targets = [], []
    chosen = blocks.select(take_sample(range(len(blocks)), MOST_BLOCKS))
    for block in draw_masks(chosen, tokenizer, arguments, "set --file to a longer text"):
        positions = [place for place, label in enumerate(block["labels"]) if label != IGNORED]
        if positions:
            rows.append(Row(block["input_ids"], positions))
            targets.append([block["labels"][place] for place in positions])
    return rows, targets

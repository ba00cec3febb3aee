"""The settings: dataclasses whose fields are the command line's flags and the YAML files' keys alike.

Defaults < the YAML file that `--config` names < the command line. Names that transformers' own examples use are kept.
"""

import argparse
import dataclasses
import difflib
import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

import torch
import transformers
import yaml
from accelerate.utils import parse_flag_from_env
from transformers import HfArgumentParser
from transformers.integrations import get_available_reporting_integrations
from transformers.utils import is_torch_tf32_available

from recipe.distributed import choose_interface, is_sharded
from recipe.errors import RecipeError
from recipe.precision import choose_precision

COUNTS = ("threads", "per_device_train_batch_size", "per_device_eval_batch_size", "gradient_accumulation_steps")
PRECISIONS = ("no", "bf16", "fp16")  # as Accelerate calls them
LAUNCHER = ("main_process_ip", "mixed_precision", "fsdp_cpu_ram_efficient_loading")  # of `accelerate launch`
REFUSED = {
    "eval_do_concat_batches": "the reports are made of all predictions, batch by batch",
    "batch_eval_metrics": "the reports are made of all predictions",
    "prediction_loss_only": "the reports are made of all predictions",
    "auto_find_batch_size": "a run is continued with the batches that its settings name",
    "save_on_each_node": "all machines have one output folder",
}


@dataclass
class ModelArguments:
    """Which model, and where from."""

    config: str | None = field(default=None, metadata={"help": "YAML file of settings; the command line overrides it."})
    model_name_or_path: str | None = field(default=None, metadata={"help": "Checkpoint folder or Hub id."})
    model_revision: str = field(default="main", metadata={"help": "Branch, tag or commit on the Hub."})
    config_name: str | None = field(
        default=None, metadata={"help": "Folder, Hub id or JSON file of the configuration, if it is not the model's."}
    )
    model_type: str | None = field(
        default=None,
        metadata={"help": "From scratch: architecture whose default configuration to start from, as bert."},
    )
    config_overrides: str | None = field(
        default=None, metadata={"help": "Changes to the configuration, as hidden_size=128,num_attention_heads=2."}
    )
    attn_implementation: str | None = field(
        default=None,
        metadata={"help": "eager, sdpa, flash_attention_2 ...; by default transformers chooses, on a CPU the recipe."},
    )
    light_dropout: bool = field(default=True, metadata={"help": "Draw dropout masks faster on a CPU."})
    tokenizer_name: str | None = field(
        default=None, metadata={"help": "Folder or Hub id of the tokenizer, if it is not the model's."}
    )
    case_markers: bool = field(
        default=False, metadata={"help": "Uncased encoders: a token before each capitalised or upper-case word."}
    )
    cache_dir: str | None = field(default=None, metadata={"help": "Where downloads are kept."})
    trust_remote_code: bool = field(default=False, metadata={"help": "Run code that comes with the checkpoint."})


@dataclass
class SourceArguments:
    """Where the data come from: a Hub data set, or local files."""

    dataset_name: str | None = field(default=None, metadata={"help": "Hub id of the data set."})
    dataset_config_name: str | None = field(default=None, metadata={"help": "Its configuration."})
    dataset_revision: str = field(default="main", metadata={"help": "Its branch, tag or commit."})
    train_file: list[str] | None = field(default=None, metadata={"help": "Training files; globs are expanded."})
    validation_file: list[str] | None = field(default=None, metadata={"help": "Validation files or globs."})
    text_column_name: str | None = field(
        default=None, metadata={"help": "Column or key: of the text (default text), or words (tokens)."}
    )
    encoding: str = field(default="utf-8", metadata={"help": "Encoding of the files."})
    max_train_samples: int | None = field(
        default=None, metadata={"help": "Use this many training articles or sentences."}
    )
    max_eval_samples: int | None = field(
        default=None, metadata={"help": "Use this many validation articles or sentences."}
    )

    def __post_init__(self):
        for name, value in vars(self).items():
            if re.fullmatch("max_.*_samples", name) and value is not None and value < 1:
                raise ValueError(f"{name}: {value} is none: name at least 1, or leave it out")


@dataclass
class MlmArguments(SourceArguments):
    """Masked pretraining: text to blocks, and how blocks are masked."""

    metric_names: ClassVar[str] = "loss|perplexity|masked_accuracy"  # by which the best checkpoint may be chosen
    streaming: bool = field(default=False, metadata={"help": "Read the training text as it is needed."})
    validation_split_percentage: float = field(
        default=5, metadata={"help": "Percentage of the articles held out where no validation data are named."}
    )
    block_size: int = field(default=256, metadata={"help": "Length of a block in tokens, special ones included."})
    mlm_probability: float = field(default=0.15, metadata={"help": "Share of the tokens to predict."})
    mask_replace_prob: float = field(default=0.8, metadata={"help": "Share of those replaced by the mask token."})
    random_replace_prob: float = field(default=0.1, metadata={"help": "Share of those replaced by a random token."})
    eval_mask_seed: int = field(default=0, metadata={"help": "Seed of the masks drawn once for evaluation."})
    sparse_head: bool = field(default=True, metadata={"help": "Compute logits at masked positions only."})
    preprocessing_num_workers: int | None = field(default=None, metadata={"help": "Processes that tokenise."})
    tokenizer_type: Literal["wordpiece", "bpe"] = field(
        default="wordpiece", metadata={"help": "From scratch: the tokenizer to train (bpe is byte-level)."}
    )
    vocab_size: int = field(default=30522, metadata={"help": "From scratch: size of its vocabulary."})
    lowercase: bool = field(default=False, metadata={"help": "From scratch: fold case and strip accents."})


@dataclass
class NerArguments(SourceArguments):
    """Token classification: where words and tags stand, and how documents become windows."""

    metric_names: ClassVar[str] = "loss|precision|recall|f1|f1_.+"
    data_dir: str | None = field(default=None, metadata={"help": "Folder of train, dev and test column files."})
    test_file: list[str] | None = field(default=None, metadata={"help": "Test files or globs."})
    extra_train_file: list[str] | None = field(
        default=None,
        metadata={"help": "Files to train on besides, as the recipe writes them: UTF-8, word first, tag last."},
    )
    label_column_name: str = field(default="ner_tags", metadata={"help": "Column or key of the tags (JSONL, Hub)."})
    word_column: int = field(default=0, metadata={"help": "Column files: index of the word's column."})
    tag_column: int = field(default=-1, metadata={"help": "Column files: index of the tag's column."})
    comment_prefix: str | None = field(default=None, metadata={"help": "Column files: skip lines that begin so."})
    tag_scheme: Literal["IOB1", "IOB2", "IOBES", "BILOU"] | None = field(
        default=None, metadata={"help": "Scheme of the tags; detected in each file if not named."}
    )
    context: Literal["none", "document"] = field(
        default="document", metadata={"help": "What a window holds: one sentence, or neighbours of a document too."}
    )
    context_size: int = field(
        default=64,
        metadata={"help": "Tokens on either side that a word is predicted with, where its document has them."},
    )
    constrained_decoding: bool = field(
        default=True, metadata={"help": "Predict a sentence's best tags that IOB2 allows, not the best of each word."}
    )
    max_seq_length: int = field(default=512, metadata={"help": "Length of a window in tokens, special ones included."})
    max_predict_samples: int | None = field(default=None, metadata={"help": "Use this many test sentences."})

    def __post_init__(self):
        super().__post_init__()
        if self.context_size < 0:
            raise ValueError(f"context_size: {self.context_size} is below 0")


@dataclass
class TrainingArguments(transformers.TrainingArguments):
    """transformers' own with our defaults, how the machine is used (`recipe.runtime`), and what the model card says.

    Without a GPU the CPU is used; training batches are packed, and a new Hub repository is private.
    """

    precision: Literal["auto", "fp32", "bf16", "fp16"] = field(
        default="auto", metadata={"help": "What to train in; auto is bf16 where the hardware multiplies it natively."}
    )
    bf16: bool | None = field(default=None, metadata={"help": "The same as precision bf16; false: as fp32."})
    threads: int | None = field(
        default=None, metadata={"help": "CPU threads of each process; all physical cores, shared, if not set."}
    )
    onednn_matmul: bool = field(
        default=True, metadata={"help": "CPU: multiply fp32 by oneDNN where that is faster and as exact."}
    )
    reuse_memory: bool = field(
        default=True, metadata={"help": "CPU: keep freed memory for the next step, rather than return it."}
    )
    pack_batches: bool = field(
        default=True, metadata={"help": "Training: pack a batch into few rows, its examples apart, rather than pad it."}
    )
    train_sampling_strategy: Literal["group_by_length", "random", "sequential"] = field(
        default="random", metadata={"help": "How training examples are brought into batches."}
    )
    layer_lr_decay: float = field(
        default=1.0, metadata={"help": "Learning rate of each layer, times that of the layer above it; 1: all alike."}
    )
    eval_do_concat_batches: bool = field(
        default=False, metadata={"help": "Stays off: joining the batches would pad each to the longest of all."}
    )
    hub_private_repo: bool | None = field(default=True, metadata={"help": "Make a new Hub repository private."})
    restart: bool = field(
        default=False, metadata={"help": "Begin anew; what the output folder holds of earlier runs is set aside."}
    )
    hub_language: str | None = field(default=None, metadata={"help": "Language of the data, for the card, as en."})
    hub_license: str | None = field(default=None, metadata={"help": "Licence of the model, for the card, as mit."})
    hub_data_note: str | None = field(default=None, metadata={"help": "Domain and year of the data, for the card."})

    def __post_init__(self):
        launched = parse_flag_from_env("ACCELERATE_USE_CPU")  # by `accelerate launch` and its configuration
        self.use_cpu = self.use_cpu or launched or not torch.accelerator.is_available()
        self._set_precision()
        if not 0 < self.layer_lr_decay <= 1:
            raise ValueError(f"layer_lr_decay: {self.layer_lr_decay} is not within 0 (excluded) and 1")
        for name, reason in REFUSED.items():
            if getattr(self, name):
                raise ValueError(f"{name}: {reason}: leave it out")
        if not self.remove_unused_columns:
            raise ValueError("remove_unused_columns: the models do not read the others: leave it out")
        for name in COUNTS:
            if (value := getattr(self, name)) is not None and value < 1:
                raise ValueError(f"{name}: {value} is none: name at least 1, or leave it out")
        if self.tf32 is None and not self.use_cpu and is_torch_tf32_available():
            self.tf32 = True
        if self.metric_for_best_model in ("perplexity", "eval_perplexity") and self.greater_is_better is None:
            self.greater_is_better = False
        choose_interface()
        super().__post_init__()
        batches = self.accelerator_config
        if batches.split_batches or batches.dispatch_batches or not batches.even_batches:
            raise ValueError(
                "accelerator_config: split, dispatched and uneven batches would drop labels: leave them out"
            )
        if is_sharded():
            self._check_sharding()
        missing = set(self.report_to) - set(get_available_reporting_integrations())
        if missing:
            raise ValueError(f"report_to: {min(missing)} is not installed: pip install it, or set report_to none")

    @property
    def n_gpu(self) -> int:
        """At most one: under torch's DataParallel, Trainer multiplies a loss that is computed over all replicas."""
        return min(super().n_gpu, 1)

    def _check_sharding(self) -> None:
        if not self.do_train:
            raise ValueError("do_train: FSDP is for training: to score a model launch with multi_gpu.yaml")
        if parse_flag_from_env("FSDP_CPU_RAM_EFFICIENT_LOADING"):
            raise ValueError(
                "fsdp_cpu_ram_efficient_loading: a new head would be trained in the first process alone: set it false"
            )

    def _set_precision(self) -> None:
        launched = os.environ.get("ACCELERATE_MIXED_PRECISION", "no")  # by `accelerate launch --mixed_precision`
        flags = {"bf16": self.bf16, "fp16": self.fp16, launched: launched != "no"}
        named = {name for name, is_set in flags.items() if is_set} | {self.precision} - {"auto"}
        if launched not in PRECISIONS:
            raise ValueError(f"mixed_precision: {launched} is not one of {' '.join(PRECISIONS)}")
        if len(named) > 1:
            raise ValueError(f"precision: {' and '.join(sorted(named))} are both asked for: name one, in precision")
        wanted = named.pop() if named else "fp32" if self.bf16 is False else "auto"
        if wanted == "fp16" and self.use_cpu:
            raise ValueError("precision: fp16 wants a GPU: name bf16 or fp32")
        precision, self.precision_reason = choose_precision(wanted, self.use_cpu)
        self.bf16, self.fp16 = precision == "bf16", precision == "fp16"


class _Parser(HfArgumentParser):
    def error(self, message):
        raise RecipeError(message)


def parse(argv: list[str], *classes: type) -> tuple:
    """One instance of each of `classes`, filled by defaults < YAML file < `argv`.

    Raises RecipeError naming the key, and the file and line where a YAML file is at fault.
    """
    parser = _Parser(classes, allow_abbrev=False)
    names = [f.name for cls in classes for f in dataclasses.fields(cls) if f.init]
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    early.add_argument("--config")
    config = early.parse_known_args(argv)[0].config
    path = Path(config or "default").with_suffix("")
    # configs/ner/name.yaml writes into runs/ner/name
    options = [f"--output_dir={Path('runs', *[part for part in path.parts if part not in (path.anchor, '..')][-2:])}"]
    places = {}
    for place, key, option in _read_yaml(config) if config else ():
        if key not in names:
            raise RecipeError(f"{place}: unknown key {key}{_suggest(key, names)}")
        try:
            parser.parse_known_args(option)
        except RecipeError as error:
            raise RecipeError(f"{place}: {error}") from None
        options += option
        places[key] = place
    try:
        *parsed, unknown = parser.parse_args_into_dataclasses(
            [*options, *argv], return_remaining_strings=True, look_for_args_file=False
        )
    except (ValueError, TypeError) as error:
        reason = str(error).splitlines()[0]
        key = reason.partition(":")[0]
        on_command_line = any(word.split("=")[0] in (f"--{key}", f"--{key.replace('_', '-')}") for word in argv)
        elsewhere = "accelerate launch" if key in LAUNCHER else config or "command line"
        place = "command line" if on_command_line else places.get(key, elsewhere)
        raise RecipeError(f"{place}: {reason}") from None
    if unknown:
        key = unknown[0].removeprefix("--").split("=")[0]
        raise RecipeError(f"command line: unknown argument {unknown[0]}{_suggest(key, names)}")
    return tuple(parsed)


def _read_yaml(path: str) -> list[tuple[str, str, list[str]]]:
    """A flat YAML file as `(place, key, command-line words)`. Values keep their spelling: `no` and `1e-4` stay so."""
    try:
        root = yaml.compose(Path(path).read_text(encoding="utf-8"), yaml.SafeLoader)
    except OSError as error:
        raise RecipeError(f"config {path}: {error.strerror}: check the path") from None
    except yaml.MarkedYAMLError as error:
        line = (error.problem_mark or error.context_mark).line + 1
        raise RecipeError(f"{path}:{line}: not YAML: {error.problem}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise RecipeError(f"config {path}: not YAML in UTF-8: {str(error).splitlines()[0]}") from None
    if root is not None and not isinstance(root, yaml.MappingNode):
        raise RecipeError(f"{path}:1: expected lines of `key: value`")
    options, seen = [], {}
    for key_node, node in root.value if root else ():
        key, line = str(key_node.value), key_node.start_mark.line + 1
        if key in seen:
            raise RecipeError(f"{path}:{line}: {key} stands in line {seen[key]} already: delete one of them")
        seen[key] = line
        if node.tag != "tag:yaml.org,2002:null":
            options.append((f"{path}:{line}", key, _spell_option(key, node, f"{path}:{line}")))
    return options


def _spell_option(key: str, node: yaml.Node, place: str) -> list[str]:
    """The command-line words of one key and its value: a scalar, a list of scalars or a mapping."""
    if isinstance(node, yaml.ScalarNode):
        return [f"--{key}={node.value}"]
    if isinstance(node, yaml.MappingNode):
        try:
            return [f"--{key}={json.dumps(yaml.SafeLoader('').construct_document(node))}"]
        except (yaml.YAMLError, TypeError, RecursionError):
            raise RecipeError(f"{place}: {key}: expected plain values in the mapping") from None
    if not all(isinstance(item, yaml.ScalarNode) for item in node.value):
        raise RecipeError(f"{place}: {key}: expected a list of plain values")
    return [f"--{key}", *(item.value for item in node.value)]


def _suggest(key: str, names: list[str]) -> str:
    close = difflib.get_close_matches(key, names, n=1)
    return f" (did you mean {close[0]}?)" if close else ""

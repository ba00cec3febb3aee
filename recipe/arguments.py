"""The settings of both scripts, combined from all layers and read from defaults < YAML file < command line.

Each dataclass field is both a flag and a key of the YAML file. Names follow the example scripts of transformers.
"""

import argparse
import copy
import dataclasses
import difflib
import json
import re
import sys
import textwrap
import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import yaml
from transformers import HfArgumentParser
from transformers.integrations.deepspeed import unset_hf_deepspeed_config

from recipe.data.schemes import list_types
from recipe.data.settings import AugmentationArguments, EntityArguments, TextArguments
from recipe.errors import RecipeError
from recipe.hub.settings import CardArguments
from recipe.inference.settings import DecodingArguments
from recipe.inputs.settings import BlockArguments, VocabularyArguments, WindowArguments
from recipe.model.settings import HeadArguments, LabelArguments
from recipe.settings import check_limits, setting
from recipe.training.settings import DistillationArguments, TrainingArguments

MOST_NODES = 10_000  # values in one setting of a YAML file
SEVERAL = ("report_to",)  # of transformers, which reads one value where a list is allowed too; default: none
DATA = {"data_dir", "dataset_name", "dataset_config_name", "train_file"}
LAUNCHER = ("main_process_ip", "mixed_precision", "fsdp_cpu_ram_efficient_loading")  # of `accelerate launch`


@dataclass
class MlmArguments(TextArguments, BlockArguments, VocabularyArguments, HeadArguments):
    """Settings of `run_mlm.py` other than those of the model and of training."""

    metrics: ClassVar[tuple[str, ...]] = ("loss", "perplexity", "masked_accuracy")  # for metric_for_best_model


@dataclass
class NerArguments(
    EntityArguments, AugmentationArguments, WindowArguments, LabelArguments, DecodingArguments, DistillationArguments
):
    """Settings of `run_ner.py` other than those of the model and of training."""

    metrics: ClassVar[tuple[str, ...]] = ("loss", "precision", "recall", "f1", "f1_TYPE")


@dataclass
class RunArguments(CardArguments, TrainingArguments):
    """The configuration file, and the settings of training and of the model card."""

    config: str | None = setting(None, "YAML file of settings; the command line overrides it.", resume="free")


class _Parser(HfArgumentParser):
    def error(self, message):
        raise RecipeError(message)

    @staticmethod
    def _parse_dataclass_field(parser, field):
        field = copy.copy(field)  # HfArgumentParser passes all metadata on to argparse, which accepts only `help`
        if "resume" in field.metadata:
            field.metadata = {"help": field.metadata["help"].replace("%", "%%")}
        if field.name in SEVERAL:
            field.type, field.default, field.default_factory = list[str], dataclasses.MISSING, lambda: ["none"]
        HfArgumentParser._parse_dataclass_field(parser, field)


def parse(argv: list[str], *classes: type) -> tuple:
    """One instance of each of `classes`, filled from defaults < YAML file < `argv`; `--help` prints help and exits.

    Raises RecipeError that names the key, and for a YAML file also the file and line.
    """
    parser = _Parser(classes, allow_abbrev=False, add_help=False)
    if wanted := {"-h", "--help", "--help_all"}.intersection(argv):
        print(parser.format_help() if "--help_all" in wanted else format_help(classes))
        sys.exit(0)
    names = [f.name for cls in classes for f in dataclasses.fields(cls) if f.init]
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    early.add_argument("--config")
    config = early.parse_known_args(argv)[0].config
    options = [f"--output_dir={_name_output(config or 'default')}"]
    places: dict[str, str] = {}
    given = {word.split("=")[0].removeprefix("--").replace("-", "_") for word in argv if word.startswith("--")}
    for place, key, option in _read_yaml(config) if config else ():
        if key == "hub_data_note" and given & DATA:
            continue  # it describes the data of the file
        if key not in names:
            raise RecipeError(f"{place}: unknown key {key}{_suggest(key, names)}")
        try:
            _, unread = parser.parse_known_args(option)
        except RecipeError as error:
            raise RecipeError(f"{place}: {error}") from None
        if unread:
            raise RecipeError(f"{place}: {key}: expected one value, found a list")
        options += option
        places[key] = place
    try:
        *parsed, unknown = parser.parse_args_into_dataclasses(
            [*options, *_join_lists(argv, classes)], return_remaining_strings=True, look_for_args_file=False
        )
        for arguments in parsed:
            check_limits(arguments)
    except (ValueError, TypeError, ImportError, OSError, LookupError, AttributeError) as error:
        unset_hf_deepspeed_config()  # registered before it is checked: every later model would look for its methods
        reason = str(error).splitlines()[0]
        key = reason.partition(":")[0]
        on_command_line = key.replace("-", "_") in given
        elsewhere = "accelerate launch" if key in LAUNCHER else config or "command line"
        place = "command line" if on_command_line else places.get(key, elsewhere)
        raise RecipeError(f"{place}: {reason}") from None
    if unknown:
        key = unknown[0].removeprefix("--").split("=")[0]
        raise RecipeError(f"command line: unknown argument {unknown[0]}{_suggest(key, names)}")
    return tuple(parsed)


def _join_lists(argv: Sequence[str], classes: Sequence[type]) -> list[str]:
    """`argv` with the values of each list behind one flag: argparse would forget those of all but its last."""
    lists = {f.name for cls in classes for f in dataclasses.fields(cls) if _format_type(f.type) == LIST} | {*SEVERAL}
    words, joined, current = [], dict[str, list[str]](), None
    for word in argv:
        flag, equals, value = word.partition("=")
        key = flag.removeprefix("--").replace("-", "_")
        if word.startswith("--"):
            current = joined.setdefault(key, []) if key in lists else None
        if current is None:
            words.append(word)
        elif not word.startswith("--"):
            current.append(word)
        elif equals:
            current.append(value)
    return words + [part for key, values in joined.items() for part in (f"--{key}", *values)]


def check_metric(arguments: RunArguments, names: Sequence[str]) -> None:
    """Raise RecipeError if `metric_for_best_model` is not a metric of the evaluation.

    names: the metrics of the evaluation; `TYPE` matches any text.
    """
    metric = (arguments.metric_for_best_model or "loss").removeprefix("eval_")
    if not any(re.fullmatch(name.replace("TYPE", ".+"), metric) for name in names):
        raise RecipeError(f"metric_for_best_model: {metric} is not one of {' '.join(names)}")


def check_type_metric(arguments: RunArguments, labels: Sequence[str]) -> None:
    """Raise RecipeError if `metric_for_best_model` is the F1 of a type that `labels` lack."""
    metric, types = (arguments.metric_for_best_model or "").removeprefix("eval_"), list_types(labels)
    if metric.startswith("f1_") and metric.removeprefix("f1_") not in types:
        raise RecipeError(
            f"metric_for_best_model: {metric}: the labels have no such type, only {' '.join(sorted(types))}"
        )


def _name_output(config: str) -> Path:
    """The default output folder: configs/ner/name.yaml writes to runs/ner/name."""
    path = Path(config).with_suffix("")
    return Path("runs", *[part for part in path.parts if part not in (path.anchor, "..")][-2:])


def _read_yaml(path: str) -> list[tuple[str, str, list[str]]]:
    """A flat YAML file as `(place, key, command-line words)`. Values stay strings: `no` and `1e-4` are not parsed."""
    try:
        root = yaml.compose(Path(path).read_text(encoding="utf-8"), yaml.SafeLoader)
    except OSError as error:
        raise RecipeError(f"config {path}: {error.strerror}: check the path") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise RecipeError(f"{path}:{line}: not valid YAML: {error.problem}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise RecipeError(f"config {path}: not valid YAML in UTF-8: {str(error).splitlines()[0]}") from None
    if root is not None and not isinstance(root, yaml.MappingNode):
        raise RecipeError(f"{path}:1: expected lines of `key: value`")
    options, seen = [], {}
    for key_node, node in root.value if root else ():
        key, line = str(key_node.value), key_node.start_mark.line + 1
        if key in seen:
            raise RecipeError(f"{path}:{line}: {key} is already set in line {seen[key]}: delete one of them")
        seen[key] = line
        if node.tag != "tag:yaml.org,2002:null":
            options.append((f"{path}:{line}", key, _spell_option(key, node, f"{path}:{line}")))
    return options


def _spell_option(key: str, node: yaml.Node, place: str) -> list[str]:
    """The command-line words of one key and its value: a scalar, a list of scalars or a mapping."""
    if isinstance(node, yaml.ScalarNode):
        return [f"--{key}={node.value}"]
    if isinstance(node, yaml.MappingNode):
        if _count_nodes(node) > MOST_NODES:  # aliases of aliases can expand to any size
            raise RecipeError(f"{place}: {key}: more than {MOST_NODES} values: shorten it")
        try:
            return [f"--{key}={json.dumps(yaml.SafeLoader('').construct_document(node))}"]
        except (yaml.YAMLError, TypeError, ValueError, RecursionError):  # ValueError: a date such as 2020-13-41
            raise RecipeError(f"{place}: {key}: expected a mapping of plain values") from None
    if not all(isinstance(item, yaml.ScalarNode) for item in node.value):
        raise RecipeError(f"{place}: {key}: expected a list of plain values")
    return [f"--{key}", *(item.value for item in node.value)]


def _count_nodes(node: yaml.Node) -> int:
    """The number of values in a YAML node with its aliases expanded, or a larger number than `MOST_NODES`."""
    count, waiting = 0, [node]
    while waiting and count <= MOST_NODES:
        count += 1
        value = waiting.pop().value
        for item in value if isinstance(value, list) else []:
            waiting += item if isinstance(item, tuple) else [item]
    return count


def _suggest(key: str, names: list[str]) -> str:
    close = difflib.get_close_matches(key, names, n=1)
    return f" (did you mean {close[0]}?)" if close else ""


COMMON = (  # Trainer settings that most runs set
    *("output_dir", "do_train", "do_eval", "do_predict", "num_train_epochs", "max_steps", "learning_rate"),
    *("per_device_train_batch_size", "per_device_eval_batch_size", "gradient_accumulation_steps", "warmup_steps"),
    *("weight_decay", "seed", "eval_strategy", "save_strategy", "save_total_limit", "logging_steps", "report_to"),
    *("push_to_hub", "hub_model_id", "hub_strategy"),
)
WIDTH = 120
LIST = "FILE ..."  # of values, most of them files


def format_help(classes: tuple[type, ...]) -> str:
    """The recipe's own settings in groups, with help and default, and the names of the most common Trainer settings."""
    lines = ["Each setting is a flag (--seed 1) and a key of the YAML file (seed: 1). Defaults are in brackets."]
    for owner in _list_groups(classes):
        lines += ["", (owner.__doc__ or "").splitlines()[0]]
        own = [f for f in dataclasses.fields(owner) if f.name in owner.__annotations__ and "resume" in f.metadata]
        lines += [_describe_field(field) for field in own]
    fields = {f.name: f for cls in classes for f in dataclasses.fields(cls)}
    common = ", ".join(f"{name} ({_format_default(fields[name])})" for name in COMMON)
    lines += ["", "Common settings of the Trainer (with defaults); --help_all lists all settings.", ""]
    return "\n".join(lines) + textwrap.fill(common, WIDTH, initial_indent="  ", subsequent_indent="  ")


def _list_groups(classes: tuple[type, ...]) -> list[type]:
    """The recipe's dataclasses from which `classes` inherit, each once, base classes first."""
    owners = (owner for cls in classes for owner in reversed(cls.__mro__))
    own = (owner for owner in owners if owner.__module__.startswith("recipe.") and owner.__annotations__)
    return [owner for owner in dict.fromkeys(own) if owner not in (MlmArguments, NerArguments)]


def _describe_field(field: dataclasses.Field) -> str:
    text = field.metadata["help"]
    default = _format_default(field)
    if field.default is not None and not (isinstance(field.default, bool) and not field.default):
        text = f"{text.removesuffix('.')} [{default}]"
    flag = f"  --{field.name} {_format_type(field.type)}"
    return textwrap.fill(f"{flag:<44} {text}", WIDTH, subsequent_indent=" " * 45)


def _format_default(field: dataclasses.Field) -> str:
    value = field.default
    if value is dataclasses.MISSING or value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(getattr(value, "value", value))


def _format_type(annotation: Any) -> str:
    """The placeholder for a setting's value in the help text: its choices, or its type in upper case."""
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        return _format_type(next(part for part in typing.get_args(annotation) if part is not type(None)))
    if typing.get_origin(annotation) is typing.Literal:
        return "|".join(typing.get_args(annotation))
    if typing.get_origin(annotation) is list:
        return LIST
    return {bool: "true|false", int: "INT", float: "FLOAT"}.get(annotation, "TEXT")

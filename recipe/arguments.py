"""The settings: dataclasses whose fields are the command line's flags and the YAML files' keys alike.

Defaults < the YAML file that `--config` names < the command line. Names that transformers' own examples use are kept.
"""

import argparse
import dataclasses
import difflib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch
import transformers
import yaml
from transformers import HfArgumentParser

from recipe.errors import RecipeError


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
        default=None, metadata={"help": "Changes to the configuration, as hidden_size=128,num_hidden_layers=2."}
    )
    attn_implementation: str | None = field(
        default=None, metadata={"help": "eager, sdpa, flash_attention_2 ...; transformers chooses if not named."}
    )
    tokenizer_name: str | None = field(
        default=None, metadata={"help": "Folder or Hub id of the tokenizer, if it is not the model's."}
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
    text_column_name: str | None = field(default=None, metadata={"help": "Column or key of the text (or words)."})
    encoding: str = field(default="utf-8", metadata={"help": "Encoding of text and column files."})
    preprocessing_num_workers: int | None = field(default=None, metadata={"help": "Processes that tokenise."})


@dataclass
class MlmArguments(SourceArguments):
    """Masked pretraining: text to blocks, and how blocks are masked."""

    streaming: bool = field(default=False, metadata={"help": "Read the training text as it is needed."})
    validation_split_percentage: float = field(
        default=5, metadata={"help": "Percentage of the articles held out where no validation data are named."}
    )
    block_size: int = field(default=256, metadata={"help": "Length of a block in tokens, special ones included."})
    mlm_probability: float = field(default=0.15, metadata={"help": "Share of the tokens to predict."})
    mask_replace_prob: float = field(default=0.8, metadata={"help": "Share of those replaced by the mask token."})
    random_replace_prob: float = field(default=0.1, metadata={"help": "Share of those replaced by a random token."})
    eval_mask_seed: int = field(default=0, metadata={"help": "Seed of the masks drawn once for evaluation."})
    max_train_samples: int | None = field(default=None, metadata={"help": "Use this many training articles."})
    max_eval_samples: int | None = field(default=None, metadata={"help": "Use this many validation articles."})
    tokenizer_type: Literal["wordpiece", "bpe"] = field(
        default="wordpiece", metadata={"help": "From scratch: the tokenizer to train (bpe is byte-level)."}
    )
    vocab_size: int = field(default=30522, metadata={"help": "From scratch: size of its vocabulary."})
    lowercase: bool = field(default=False, metadata={"help": "From scratch: fold case and strip accents."})


@dataclass
class NerArguments(SourceArguments):
    """Token classification: where words and tags stand, and how documents become windows."""

    data_dir: str | None = field(default=None, metadata={"help": "Folder of train, dev and test column files."})
    test_file: list[str] | None = field(default=None, metadata={"help": "Test files or globs."})
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
    max_seq_length: int = field(default=512, metadata={"help": "Length of a window in tokens, special ones included."})
    max_train_samples: int | None = field(default=None, metadata={"help": "Use this many training sentences."})
    max_eval_samples: int | None = field(default=None, metadata={"help": "Use this many dev sentences."})
    max_predict_samples: int | None = field(default=None, metadata={"help": "Use this many test sentences."})


@dataclass
class TrainingArguments(transformers.TrainingArguments):
    """transformers' own, and what the model card says of itself. Two defaults are ours: no GPU means the CPU, and a
    new Hub repository is private."""

    hub_private_repo: bool | None = field(default=True, metadata={"help": "Make a new Hub repository private."})
    hub_language: str | None = field(default=None, metadata={"help": "Language of the data, for the card, as en."})
    hub_license: str | None = field(default=None, metadata={"help": "Licence of the model, for the card, as mit."})
    hub_data_note: str | None = field(default=None, metadata={"help": "Domain and year of the data, for the card."})

    def __post_init__(self):
        self.use_cpu = self.use_cpu or not torch.accelerator.is_available()
        super().__post_init__()


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
    # configs/ner/name.yaml writes into runs/ner/name
    options = [f"--output_dir={Path('runs', *Path(config or 'default').with_suffix('').parts[-2:])}"]
    for place, key, option in _read_yaml(config) if config else ():
        if key not in names:
            raise RecipeError(f"{place}: unknown key {key}{_suggest(key, names)}")
        try:
            parser.parse_known_args(option)
        except RecipeError as error:
            raise RecipeError(f"{place}: {error}") from None
        options += option
    try:
        *parsed, unknown = parser.parse_args_into_dataclasses(
            [*options, *argv], return_remaining_strings=True, look_for_args_file=False
        )
    except (ValueError, TypeError) as error:
        raise RecipeError(f"{config or 'command line'}: {str(error).splitlines()[0]}") from None
    if unknown:
        key = unknown[0].removeprefix("--").split("=")[0]
        raise RecipeError(f"command line: unknown argument {unknown[0]}{_suggest(key, names)}")
    return tuple(parsed)


def _read_yaml(path: str) -> list[tuple[str, str, list[str]]]:
    """A flat YAML file as `(place, key, command-line words)`. Values keep their spelling: `no` and `1e-4` stay so."""
    try:
        root = yaml.compose(Path(path).read_text(encoding="utf-8"), yaml.SafeLoader)
    except OSError as error:
        raise RecipeError(f"config {path}: {error.strerror}") from None
    except yaml.MarkedYAMLError as error:
        line = (error.problem_mark or error.context_mark).line + 1
        raise RecipeError(f"{path}:{line}: not YAML: {error.problem}") from None
    if root is not None and not isinstance(root, yaml.MappingNode):
        raise RecipeError(f"{path}:1: expected lines of `key: value`")
    options, seen = [], {}
    for key_node, node in root.value if root else ():
        key, line = key_node.value, key_node.start_mark.line + 1
        if key in seen:
            raise RecipeError(f"{path}:{line}: {key} stands in line {seen[key]} already")
        seen[key] = line
        if isinstance(node, yaml.SequenceNode):
            words = [f"--{key}", *(item.value for item in node.value)]
        elif isinstance(node, yaml.MappingNode):
            words = [f"--{key}={json.dumps(yaml.SafeLoader('').construct_document(node))}"]
        elif node.tag == "tag:yaml.org,2002:null":
            continue
        else:
            words = [f"--{key}={node.value}"]
        options.append((f"{path}:{line}", key, words))
    return options


def _suggest(key: str, names: list[str]) -> str:
    close = difflib.get_close_matches(key, names, n=1)
    return f" (did you mean {close[0]}?)" if close else ""

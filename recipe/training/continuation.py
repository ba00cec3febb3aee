"""Start of a run: from the beginning, or from a checkpoint with compatible settings."""

import json
import sys
from collections.abc import Mapping
from glob import glob
from pathlib import Path

from tokenizers import Tokenizer
from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from recipe.errors import RecipeError
from recipe.inference.settings import KEY as TAGGER
from recipe.launch import find_command
from recipe.model.objective import KEY as MASKED_LM
from recipe.settings import Resume
from recipe.training.checkpoints import (
    find_checkpoint,
    find_damage,
    list_checkpoints,
    list_later,
    read_manifest,
    set_aside,
    set_inside,
)
from recipe.training.settings import TrainingArguments

# Beside the settings of a checkpoint: digests of what it was trained on.
# Those of `SHAPES` are parts of the weights, which have a row for each label and token.
SHAPES = ("labels", "vocabulary")
PINNED = ("training_data", "teachers", "unlabelled_documents", *SHAPES)
INPUTS = ("model_name_or_path", "tokenizer_name", "config_name", "augmentation_model", "teacher")  # files or folders
INPUTS += ("data_dir", "train_file", "validation_file", "test_file", "extra_train_file", "unlabelled_file")
INPUTS += ("added_words",)
# What configurations of one model can differ in: where it was, what saved it, what the recipe notes about a run, and
# what Trainer sets when it starts: `use_cache`, and the ids of tokens from the tokenizer, which is compared itself.
NOTED = {"_name_or_path", "_commit_hash", "architectures", "dtype", "transformers_version", MASKED_LM, TAGGER}
NOTED |= {"use_cache", "bos_token_id", "eos_token_id", "pad_token_id"}
STATE = "trainer_state.json"  # a finished training writes this file to its folder


def find_start(folder: Path, arguments: TrainingArguments, settings: dict, rules: Mapping[str, Resume]) -> Path | None:
    """The checkpoint to continue from; None to start from the beginning.

    This is the newest whole checkpoint of the output folder, if it was made with these settings; with `restart` it is
    None. If `resume_from_checkpoint` is a folder or `last`, settings with the rule "same" can differ.
    settings: the settings to compare with those of the checkpoint. rules: the resume rule of each setting
    (`recipe.settings.Resume`).
    Raises RecipeError if the run cannot be continued, or only with `resume_from_checkpoint`.
    """
    wanted = arguments.resume_from_checkpoint
    if arguments.restart:
        if wanted:
            raise RecipeError(
                f"restart: starts over, but resume_from_checkpoint {wanted} continues: remove one of them"
            )
        _refuse_own_inputs(folder, settings)
        aside = set_aside(folder) if arguments.process_index == 0 else None
        if aside:
            print(f"{folder}: starting over; earlier files were moved to {aside}", file=sys.stderr)
        return None
    checkpoint = find_checkpoint(folder) if wanted in (None, "last") else Path(wanted)
    if checkpoint is None:
        if (folder / STATE).exists():
            raise RecipeError(f"{folder}: contains a finished run: set another output_dir, or add --restart")
        if wanted and arguments.process_index == 0:
            print(f"{folder}: has no checkpoint to continue from: training from the beginning", file=sys.stderr)
        return None
    if not checkpoint.is_dir():
        raise RecipeError(f"resume_from_checkpoint: no folder at {checkpoint}: check the path")
    if not _is_own(checkpoint, folder) and (list_checkpoints(folder) or (folder / STATE).exists()):
        raise RecipeError(
            f"resume_from_checkpoint {checkpoint}: {folder} contains a training already: set another output_dir, or "
            "resume_from_checkpoint to last to continue that training"
        )
    if damage := find_damage(checkpoint):
        raise RecipeError(
            f"resume_from_checkpoint {checkpoint}: damaged ({damage}): set a whole checkpoint that the recipe wrote"
        )
    _refuse_other_state(checkpoint, settings)
    known_later: dict[str, Resume] = dict.fromkeys(PINNED, "free")  # `refuse_other_content` compares them
    _refuse_other_settings(checkpoint, settings, {**rules, **known_later}, insists=wanted is not None)
    return checkpoint


def refuse_other_content(checkpoint: Path, name: str, digest: str, insists: bool) -> None:
    """Raise RecipeError if `checkpoint` was trained on something else under `name`, such as `training_data`.

    digest: of what this run trains on. insists: whether the user wants to continue all the same. Checkpoints of earlier
    versions say nothing about it.
    """
    made = read_manifest(checkpoint)["settings"] or {}
    if made.get(name, digest) == digest or (insists and name not in SHAPES):
        return
    advice = "restore what has changed, set another output_dir, or start over with --restart"
    if name in SHAPES:
        raise RecipeError(f"{checkpoint}: cannot be continued with other {name} than its weights are for: {advice}")
    what = name.replace("_", " ")
    raise RecipeError(
        f"{checkpoint}: made with other {what}: {advice}, or continue anyway with --resume_from_checkpoint last"
    )


def refuse_other_model(
    checkpoint: Path, config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase, insists: bool
) -> None:
    """Raise RecipeError if `checkpoint` has another model configuration or tokenizer, unless the user insists.

    Both come from what the run starts from, whose files can have changed since.
    """
    kind = type(config)
    saved_as = json.loads(config.to_json_string())  # both as a file gives them
    old, new = (one.to_dict() for one in (kind.from_pretrained(checkpoint), kind.from_dict(saved_as)))
    keys = sorted(key for key in {*old, *new} - NOTED if old.get(key) != new.get(key))
    changes = [f"{key} ({old.get(key)} -> {new.get(key)})" for key in keys]
    saved = Tokenizer.from_file(str(checkpoint / "tokenizer.json"))
    if _describe_tokenizer(saved) != _describe_tokenizer(tokenizer.backend_tokenizer):
        changes.append("the tokenizer")
    if changes and not insists:
        raise RecipeError(
            f"{checkpoint}: made with another model, {', '.join(changes)}: restore what has changed, set another "
            "output_dir, start over with --restart, or continue anyway with --resume_from_checkpoint last"
        )


def _describe_tokenizer(tokenizer: Tokenizer) -> dict:
    """All of a tokenizer except what each call sets."""
    return json.loads(tokenizer.to_str()) | {"padding": None, "truncation": None}


def set_later_aside(folder: Path, checkpoint: Path) -> None:
    """Move checkpoints of later steps aside if the run continues from `checkpoint`, so that none of them is the newest.

    They belong to a training that the user has left for another one, from this checkpoint.
    """
    later = list_later(folder, checkpoint) if _is_own(checkpoint, folder) else []
    if later:
        aside = set_inside(folder, later)
        print(f"{folder}: later checkpoints ({len(later)}) were moved to {aside}", file=sys.stderr)


def _is_own(checkpoint: Path, folder: Path) -> bool:
    return checkpoint.resolve().parent == folder.resolve()


def refuse_trained(folder: Path) -> None:
    """Raise RecipeError if the output folder contains a training, so that scoring does not replace its results."""
    if (folder / STATE).exists() or list_checkpoints(folder):
        raise RecipeError(
            f"{folder}: contains a training: to score a model, set another output_dir; to push the training, use "
            "`make push`"
        )


def find_continuation(arguments: TrainingArguments) -> str:
    """The command that continues this run: the same command, without `--restart` and without a fixed checkpoint."""
    command = find_command()
    if arguments.save_only_model:
        return f"{command} --restart"  # such checkpoints cannot be continued
    if arguments.restart:
        command += " --restart false"
    if arguments.resume_from_checkpoint not in (None, "last"):
        command += " --resume_from_checkpoint last"
    return command


def list_changes(folder: Path, settings: dict, rules: Mapping[str, Resume], rule: Resume = "same") -> list[str]:
    """The settings with resume rule `rule` that differ from those in the manifest of `folder`, as `key (old -> new)`.

    A key without a rule, for example from an older version, has the rule "same". Settings are plain values.
    """
    old = read_manifest(folder)["settings"] or {}
    keys = sorted(key for key in old.keys() | settings.keys() if rules.get(key, "same") == rule)
    return [f"{key} ({old.get(key)} -> {settings.get(key)})" for key in keys if old.get(key) != settings.get(key)]


def _refuse_own_inputs(folder: Path, settings: Mapping[str, object]) -> None:
    """Raise RecipeError if the run reads something in the output folder, whose files `restart` moves away."""
    for name in INPUTS:
        value = settings.get(name)
        for path in value if isinstance(value, list) else [value]:
            if path and any(Path(one).resolve().is_relative_to(folder.resolve()) for one in _expand(str(path))):
                raise RecipeError(
                    f"{name} {path}: is in the output folder, whose files --restart moves away: set another "
                    "output_dir, or move it"
                )


def _expand(pattern: str) -> list[str]:
    """The files that a pattern matches, and the pattern itself, which can be the name of a file."""
    path = str(Path(pattern).expanduser())
    return [path, *glob(path, recursive=True)]


def _refuse_other_state(checkpoint: Path, settings: dict) -> None:
    """Raise RecipeError if the saved state cannot be continued by this run at all."""
    made = read_manifest(checkpoint)["settings"] or {}
    if made.get("save_only_model"):
        raise RecipeError(
            f"{checkpoint}: has no optimizer state (save_only_model): start over with --restart, or start from its "
            "weights with --model_name_or_path and another output_dir"
        )
    if made.get("sharded", False) != settings["sharded"]:
        raise RecipeError(
            f"{checkpoint}: a run with FSDP can only be continued with FSDP, and one without FSDP only without: use "
            "the same launch configuration as before"
        )
    if settings.get("streaming") and made.get("processes") != settings["processes"]:
        raise RecipeError(
            f"{checkpoint}: the text was streamed by {made.get('processes')} process(es) and cannot be continued by "
            f"{settings['processes']}: start the same number of processes as before"
        )


def _refuse_other_settings(checkpoint: Path, settings: dict, rules: Mapping[str, Resume], insists: bool) -> None:
    """Raise RecipeError for settings that must not differ, or that can differ only if the user `insists`."""
    if fixed := list_changes(checkpoint, settings, rules, "fixed"):
        raise RecipeError(
            f"{checkpoint}: cannot be continued with other values of {', '.join(fixed)}: restore them, or start from "
            "its weights with --model_name_or_path and another output_dir"
        )
    changes = list_changes(checkpoint, settings, rules)
    if changes and not insists:
        raise RecipeError(
            f"{checkpoint}: made with other settings, {', '.join(changes)}: restore them, set another output_dir, "
            "start over with --restart, or continue anyway with --resume_from_checkpoint last"
        )

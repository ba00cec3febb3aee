"""Where a run starts: from the beginning, or from a checkpoint that its settings allow it to continue."""

import sys
from collections.abc import Mapping
from pathlib import Path

from recipe.errors import RecipeError
from recipe.launch import find_command
from recipe.settings import Resume
from recipe.training.checkpoints import find_checkpoint, find_damage, list_checkpoints, read_manifest, set_aside
from recipe.training.settings import TrainingArguments

STATE = "trainer_state.json"  # in the folder of a finished training


def find_start(folder: Path, arguments: TrainingArguments, settings: dict, rules: Mapping[str, Resume]) -> Path | None:
    """The checkpoint to continue from, None for the beginning.

    That is the newest whole one of the output folder, if it was made with these settings; with `restart` none. A folder
    that `resume_from_checkpoint` names, or `last`, is taken even if settings differ whose rule is "same".
    settings: what the run's checkpoints are compared by. rules: of each setting (`recipe.settings.Resume`).
    Raises RecipeError for what cannot be continued, or not without being asked.
    """
    wanted = arguments.resume_from_checkpoint
    if arguments.restart:
        aside = set_aside(folder) if arguments.process_index == 0 else None
        if aside:
            print(f"{folder}: starting over; what it held is in {aside}", file=sys.stderr)
        return None
    checkpoint = find_checkpoint(folder) if wanted in (None, "last") else Path(wanted)
    if checkpoint is None:
        if (folder / STATE).exists():
            raise RecipeError(f"{folder}: holds a finished run: set another output_dir, or add --restart")
        return None
    if not checkpoint.is_dir():
        raise RecipeError(f"resume_from_checkpoint: no folder at {checkpoint}")
    if damage := find_damage(checkpoint):
        raise RecipeError(
            f"resume_from_checkpoint {checkpoint}: {damage}: name a whole checkpoint that the recipe wrote"
        )
    _refuse_other_state(checkpoint, settings)
    _refuse_other_settings(checkpoint, settings, rules, insists=wanted is not None)
    return checkpoint


def refuse_trained(folder: Path) -> None:
    """Raise RecipeError if the output folder is that of a training, whose results are not to be replaced."""
    if (folder / STATE).exists() or list_checkpoints(folder):
        raise RecipeError(
            f"{folder}: is the folder of a training: to score a model, set another output_dir; `make push` pushes "
            "what is there"
        )


def find_continuation(arguments: TrainingArguments) -> str:
    """The command that continues this run: its own, with `--restart` and a named checkpoint switched off."""
    command = find_command()
    if arguments.save_only_model:
        return f"{command} --restart"  # from such checkpoints nothing can be continued
    if arguments.restart:
        command += " --restart false"
    if arguments.resume_from_checkpoint not in (None, "last"):
        command += " --resume_from_checkpoint last"
    return command


def list_changes(folder: Path, settings: dict, rules: Mapping[str, Resume], rule: Resume = "same") -> list[str]:
    """The settings under `rule` that differ from those `folder` was made with, each as `key (old -> new)`.

    A key without a rule, as one that an older version knew, is under "same". Settings are plain values.
    """
    old = read_manifest(folder)["settings"] or {}
    keys = sorted(key for key in old.keys() | settings.keys() if rules.get(key, "same") == rule)
    return [f"{key} ({old.get(key)} -> {settings.get(key)})" for key in keys if old.get(key) != settings.get(key)]


def _refuse_other_state(checkpoint: Path, settings: dict) -> None:
    """Raise RecipeError if the saved state is not what this run could go on from, whatever is asked for."""
    made = read_manifest(checkpoint)["settings"] or {}
    if made.get("save_only_model"):
        raise RecipeError(
            f"{checkpoint}: holds no optimizer state (save_only_model): start over with --restart, or start from its "
            "weights with --model_name_or_path and another output_dir"
        )
    if made.get("sharded", False) != settings["sharded"]:
        raise RecipeError(
            f"{checkpoint}: a run with FSDP cannot be continued without it, nor one without FSDP with it: launch it "
            "as before"
        )
    if settings.get("streaming") and made.get("processes") != settings["processes"]:
        raise RecipeError(
            f"{checkpoint}: streamed by {made.get('processes')} process(es), each with its place in the text: "
            f"{settings['processes']} cannot continue there: start as many as before"
        )


def _refuse_other_settings(checkpoint: Path, settings: dict, rules: Mapping[str, Resume], insists: bool) -> None:
    """Raise RecipeError for settings that cannot differ, or that may only where the user `insists`."""
    if fixed := list_changes(checkpoint, settings, rules, "fixed"):
        raise RecipeError(
            f"{checkpoint}: cannot be continued with other settings of {', '.join(fixed)}: restore them, or start from "
            "its weights with --model_name_or_path and another output_dir"
        )
    changes = list_changes(checkpoint, settings, rules)
    if changes and not insists:
        raise RecipeError(
            f"{checkpoint}: made with other settings, {', '.join(changes)}: restore them, set another output_dir, "
            "start over with --restart, or continue anyway with --resume_from_checkpoint last"
        )

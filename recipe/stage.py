"""What both scripts do around their data: set up, train, save, describe the run, push."""

import atexit
import json
import logging
import re
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import transformers
import yaml
from transformers import set_seed

from recipe.arguments import ModelArguments, SourceArguments, TrainingArguments
from recipe.card import write_card
from recipe.checkpoints import (
    FIXED,
    LOCK,
    PARTIAL,
    claim,
    clear_partial,
    find_checkpoint,
    find_damage,
    find_step,
    guard_save,
    list_changes,
    list_checkpoints,
    publish,
    read_manifest,
    set_aside,
    write_manifest,
)
from recipe.connection import limit_silence
from recipe.distributed import is_sharded, refuse_unshared, settle
from recipe.errors import RecipeError
from recipe.hub import PUSH_SILENCE, RunPusher
from recipe.interruption import Interruption
from recipe.provenance import describe_hardware, find_command, find_commit, name_data, trace_origin
from recipe.runtime import prepare
from recipe.trainer import RecipeTrainer

PRIVATE = ("predictions.conll", "words.conll", "train.log", "tokenizer/", LOCK)
RESULTS = ("report.json", "report.txt", "metrics.json", "predictions.conll")
PACKAGES = ("torch", "transformers", "datasets", "accelerate", "evaluate", "seqeval")


class Stage:
    """One run of one script: its settings, its clock and its output folder."""

    def __init__(self, model_args: ModelArguments, data_args: SourceArguments, training_args: TrainingArguments):
        self.model_args, self.data_args, self.training_args = model_args, data_args, training_args
        self.started, self.train_seconds = time.perf_counter(), 0.0
        self.folder = Path(training_args.output_dir)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if training_args.process_index == 0:
                # The Hub obeys this file: predictions hold the text of the data, which may not be ours to pass on.
                (self.folder / ".gitignore").write_text("\n".join([*PRIVATE, ""]))
                self.lock = claim(self.folder)
        except OSError as error:
            raise RecipeError(f"output_dir {self.folder}: {error.strerror}: name a folder to write in") from None
        if training_args.process_index == 0:
            logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
        else:
            logging.disable(logging.WARNING)
            transformers.utils.logging.set_verbosity_error()
        self._check_metric()
        atexit.register(settle)
        prepare(model_args, training_args)
        set_seed(training_args.seed)
        self.origin = trace_origin(model_args, data_args, training_args.do_train)
        self.settings = {**vars(model_args), **vars(data_args), **json.loads(training_args.to_json_string())}
        limit_silence(PUSH_SILENCE)
        if not training_args.do_train:
            self._refuse_trained()
        self.pusher = RunPusher(training_args) if training_args.push_to_hub else None
        training_args.hub_token = None  # else it would stand in training_args.bin
        with training_args.main_process_first(local=False):
            self.checkpoint = self._find_start() if training_args.do_train else None
        self.earlier_seconds = read_manifest(self.checkpoint).get("seconds", 0) if self.checkpoint else 0
        if training_args.do_train:
            refuse_unshared(self.folder, training_args.world_size, training_args.process_index)

    def _check_metric(self) -> None:
        """Raise RecipeError for a best checkpoint by a figure that no evaluation makes."""
        metric = (self.training_args.metric_for_best_model or "loss").removeprefix("eval_")
        if not re.fullmatch(self.data_args.metric_names, metric):
            names = self.data_args.metric_names.replace("|", " ").replace(".+", "TYPE")
            raise RecipeError(f"metric_for_best_model: {metric} is not one of {names}")

    def _find_start(self) -> Path | None:
        """The checkpoint to train on from, None for the beginning.

        That is the newest whole one of the output folder, if it was made with these settings; with `restart` none. A
        folder that `resume_from_checkpoint` names, or `last`, is taken whatever its settings.
        """
        wanted = self.training_args.resume_from_checkpoint
        if self.training_args.restart:
            aside = set_aside(self.folder) if self.training_args.process_index == 0 else None
            if aside:
                print(f"{self.folder}: begun anew; what it held is in {aside}", file=sys.stderr)
            return None
        checkpoint = find_checkpoint(self.folder) if wanted in (None, "last") else Path(wanted)
        if checkpoint is None and (self.folder / "trainer_state.json").exists():
            raise RecipeError(f"{self.folder}: holds a finished run: name another output_dir, or add --restart")
        if checkpoint and not checkpoint.is_dir():
            raise RecipeError(f"resume_from_checkpoint: no folder at {checkpoint}")
        if checkpoint:
            self._refuse_unresumable(checkpoint)
        return checkpoint

    def _refuse_trained(self) -> None:
        """Raise RecipeError if the output folder is that of a training, whose results are not to be replaced."""
        if (self.folder / "trainer_state.json").exists() or list_checkpoints(self.folder):
            raise RecipeError(
                f"{self.folder}: is the folder of a training: to score a model name another output_dir; "
                "`make push` pushes what is there"
            )

    def _refuse_unresumable(self, checkpoint: Path) -> None:
        """Raise RecipeError if `checkpoint` cannot be continued, or not unasked."""
        damage = find_damage(checkpoint)
        if damage:
            raise RecipeError(f"resume_from_checkpoint {checkpoint}: {damage}: name a whole checkpoint of the recipe's")
        made = read_manifest(checkpoint)["settings"] or {}
        if made.get("save_only_model"):
            raise RecipeError(
                f"{checkpoint}: holds no state of the optimizer (save_only_model): begin anew with --restart, or start "
                "from its weights with --model_name_or_path and another output_dir"
            )
        if made.get("sharded", False) != is_sharded():
            raise RecipeError(
                f"{checkpoint}: FSDP cannot go on without FSDP, nor with it what began without: launch it as before"
            )
        processes = self.training_args.world_size
        if getattr(self.data_args, "streaming", False) and made.get("processes") != processes:
            raise RecipeError(
                f"{checkpoint}: streamed by {made.get('processes')} process(es), each with its place in the text: "
                f"{processes} cannot go on there: start as many"
            )
        changes = list_changes(checkpoint, self._compared)
        fixed = [change for change in changes if FIXED.fullmatch(change.partition(" ")[0])]
        if fixed:
            raise RecipeError(
                f"{checkpoint}: cannot be continued with other settings of {', '.join(fixed)}: restore them, or start "
                "from its weights with --model_name_or_path and another output_dir"
            )
        if changes and self.training_args.resume_from_checkpoint is None:
            raise RecipeError(
                f"{checkpoint}: made with other settings, {', '.join(changes)}: restore them, name another output_dir, "
                "begin anew with --restart, or train on all the same with --resume_from_checkpoint last"
            )

    @property
    def _compared(self) -> dict:
        """What a checkpoint is compared by: the settings, and how the processes share out examples and model."""
        return self.settings | {"processes": self.training_args.world_size, "sharded": is_sharded()}

    def make_once(self, name: str, make: Callable[[Path], None]) -> str:
        """The folder `name` of the output folder, filled by `make` in one process, unless an earlier start did so.

        Where a run is continued, its checkpoint: that holds what was made then, whatever the settings are now.
        """
        if self.checkpoint:
            return str(self.checkpoint)
        final, partial = self.folder / name, self.folder / f"{PARTIAL}{name}"
        with self.training_args.main_process_first(local=False, desc=f"making {name}"):
            if self.training_args.process_index == 0 and (find_damage(final) or list_changes(final, self._compared)):
                clear_partial(self.folder)
                with guard_save(partial):
                    make(partial)
                    write_manifest(partial, 0, self._compared)
                    publish(partial, final)
        return str(final)

    def train(self, trainer: RecipeTrainer) -> None:
        """Train from where the output folder stands, and save model, tokenizer and trainer state.

        Raises StoppedError, after a save, if a signal ends the training.
        """
        trainer.settings = self._compared
        if self.pusher:
            self.write_run(trainer)  # for the cards of the checkpoints
            trainer.add_callback(self.pusher)
        begun = time.perf_counter() - self.earlier_seconds
        trainer.clock = lambda: time.perf_counter() - begun
        with Interruption(self._find_continuation()) as interruption:
            trainer.add_callback(interruption)
            result = trainer.train(resume_from_checkpoint=self.checkpoint and str(self.checkpoint))
            self.train_seconds = trainer.clock()
            if not self.checkpoint or find_step(self.checkpoint) != trainer.state.global_step:
                self._drop_results()
            trainer.save_model()
            if interruption.agree():  # on a signal that came after the last step
                trainer.save_checkpoint()
                raise interruption.stop(trainer.state.global_step, self.folder)
            trainer.save_state()
        trainer.log_metrics("train", result.metrics)

    def _drop_results(self) -> None:
        """Remove the scores that the folder holds of other weights, those before a run was trained on."""
        if self.training_args.process_index == 0:
            for name in RESULTS:
                (self.folder / name).unlink(missing_ok=True)

    def _find_continuation(self) -> str:
        """The command that continues this run: its own, with `--restart` and a named checkpoint switched off."""
        command = find_command()
        if self.training_args.save_only_model:
            return f"{command} --restart"  # from such checkpoints nothing can be continued
        if self.training_args.restart:
            command += " --restart false"
        if self.training_args.resume_from_checkpoint not in (None, "last"):
            command += " --resume_from_checkpoint last"
        return command

    def finish(self, trainer: RecipeTrainer) -> None:
        """Write `run.yaml` and the model card; push where that is asked for.

        Raises PushError if that fails, with everything on disk.
        """
        if self.pusher and not self.training_args.do_train:
            trainer.save_model()
        self.write_run(trainer)
        if trainer.is_world_process_zero() and (self.folder / "config.json").exists():
            write_card(self.folder, str(self.folder))
        if self.pusher:
            self.pusher.finish()

    def write_run(self, trainer: RecipeTrainer) -> None:
        """Write `run.yaml`: the resolved settings, what `describe` tells, the command and the weights' origin."""
        if trainer.is_world_process_zero():
            run = {"settings": self.settings, **self.describe(), "command": find_command(), **self.origin}
            (self.folder / "run.yaml").write_text(yaml.safe_dump(run, sort_keys=False), encoding="utf-8")

    def describe(self) -> dict:
        """The facts of this run as plain values: configuration, model, data, seed, commit, machine, minutes.

        The minutes are those of all starts, but for what came after the last checkpoint of one that was interrupted.
        """
        training = self.training_args
        model = Path(self.model_args.model_name_or_path or "from scratch")
        return {
            "config": self.model_args.config,
            "model": model.name if find_step(model) is None else "/".join(model.parts[-2:]),
            "data": name_data(self.data_args),
            "seed": training.seed,
            "commit": find_commit(),
            "hardware": describe_hardware(0 if training.use_cpu else training.world_size),
            "processes": training.world_size,
            "resumed": self.checkpoint is not None,
            "precision": "bf16" if training.bf16 else "fp16" if training.fp16 else "fp32",
            "train_minutes": round(self.train_seconds / 60, 1),
            "total_minutes": round((self.earlier_seconds + time.perf_counter() - self.started) / 60, 1),
            "versions": {package: version(package) for package in PACKAGES},
        }

    def write_json(self, name: str, content: dict) -> None:
        """Write `content` into the output folder."""
        (self.folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")

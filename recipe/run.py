"""One run of one script: output folder, settings and training time; at the end its record, results and push."""

import json
import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, TextIO

import torch
import transformers
import yaml
from transformers import PreTrainedConfig, PreTrainedModel, set_seed

from recipe.arguments import RunArguments
from recipe.connection import limit_silence
from recipe.data.settings import SourceArguments
from recipe.errors import RecipeError
from recipe.evaluation.predictions import PREDICTIONS
from recipe.files import write_whole
from recipe.folders import PARTIAL, clear_partial, finalize
from recipe.hub.card import write_card
from recipe.hub.provenance import describe_hardware, find_commit, name_data, trace_origin
from recipe.hub.pushes import PUSH_SILENCE, RunPusher
from recipe.hub.report import ANALYSIS, PAGE, try_report
from recipe.hub.run_folder import list_changed
from recipe.inference.exports import EXPORTS, refuse_export
from recipe.launch import find_command, is_sharded
from recipe.model.configuration import name_config
from recipe.model.settings import ModelArguments
from recipe.output_folder import open_folder, write_traceback
from recipe.summary import format_summary, pick_scores
from recipe.training.best import EarlyStopping, describe_decline
from recipe.training.checkpoints import (
    find_damage,
    find_step,
    guard_save,
    read_manifest,
    remove_results,
    remove_unused,
    write_manifest,
)
from recipe.training.continuation import (
    find_continuation,
    find_start,
    list_changes,
    refuse_other_content,
    refuse_other_model,
    refuse_trained,
    set_later_aside,
)
from recipe.training.processes import let_first, refuse_unshared, wait_for_gloo
from recipe.training.progress import disable_bars
from recipe.training.runtime import adapt_precision, prepare
from recipe.training.settings import find_resume_rules
from recipe.training.signals import SignalHandler
from recipe.training.tracking import finish_trackers
from recipe.training.trainer import RecipeTrainer
from recipe.training.trial import check_checkpointing, try_model, try_trainer

RESULTS = ("report.json", "report.txt", "metrics.json", "predictions.conll", PREDICTIONS, PAGE, ANALYSIS, EXPORTS)
PACKAGES = ("torch", "transformers", "datasets", "accelerate", "tokenizers")


@dataclass(frozen=True)
class Outcome:
    """The return value of a script's `main`: the run's folder, and the scores written there, by split."""

    folder: Path
    scores: dict[str, dict]


class Run(AbstractContextManager):
    """A context manager that locks the output folder, so that no other run can write to it.

    settings: all settings as plain values, as `run.yaml` and the checkpoints record them.
    checkpoint: the checkpoint to continue from; None to start from the beginning.
    facts: facts of the script, which are written with those of `describe`.
    scores: what `write_results` wrote, by split.
    """

    def __init__(self, model_args: ModelArguments, training_args: RunArguments):
        self.model_args, self.training_args = model_args, training_args
        self.folder = training_args.folder
        self.started, self.earlier_seconds, self.train_seconds = time.perf_counter(), 0.0, 0.0
        self.checkpoint: Path | None = None
        self.facts: dict[str, object] = {}
        self.scores: dict[str, dict] = {}
        self._lock: TextIO | None = None
        self._made_folder = False
        self._pinned: dict[str, str] = {}
        self._config = self._read_config()  # of an earlier start

    def __enter__(self) -> "Run":
        """Lock the folder, configure the machine, and check that the run can be pushed if `push_to_hub` is set."""
        try:
            self._prepare()
        except BaseException as error:
            self.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def _prepare(self) -> None:
        training = self.training_args
        self._made_folder = not self.folder.exists()
        self._lock = open_folder(self.folder, training.process_index)
        _set_verbosity(training.process_index)
        if training.disable_tqdm:
            disable_bars()
        if training.do_train:
            try_trainer(training)
        prepare(self.model_args, training)
        set_seed(training.seed)
        limit_silence(PUSH_SILENCE)
        if not training.do_train:
            refuse_trained(self.folder)
            if self.model_args.student_layers:
                raise RecipeError("student_layers: only a training starts from fewer layers: remove it")
        name = self.model_args.model_name_or_path
        if training.do_train and name and Path(name).is_dir() and self.folder.samefile(name):
            raise RecipeError(f"output_dir {self.folder}: would overwrite the model of the start: set another folder")
        token, training.hub_token = training.hub_token, None  # so that it is not saved in training_args.bin
        self.pusher = RunPusher(training, token) if training.push_to_hub else None

    def begin(self, data_args: SourceArguments, config: PreTrainedConfig) -> None:
        """Record the settings, which do not change from here on, and find the checkpoint to continue from.

        config: that of the model, which may need another precision than the automatic one.
        """
        training = self.training_args
        refuse_export(config, f"model_name_or_path {self.model_args.model_name_or_path}")
        adapt_precision(training, config)
        self.data_args = data_args
        self.settings = self._list_settings()
        training.others = {name: value for name, value in self.settings.items() if not hasattr(training, name)}
        self.rules = find_resume_rules(self.model_args, data_args, training)
        self.origin = trace_origin(self.model_args, data_args, training.do_train)
        if training.do_train:
            with training.main_process_first(local=False):
                self.checkpoint = find_start(self.folder, training, self.compared, self.rules)
            refuse_unshared(self.folder, training.world_size, training.process_index)
        if self.checkpoint:
            self.earlier_seconds = read_manifest(self.checkpoint).get("seconds", 0)

    def try_model(self, build: Callable[[PreTrainedConfig], PreTrainedModel], config: PreTrainedConfig) -> None:
        """Check what a model can do, and try a new one, before the data are read, so that an error costs no time."""
        if not self.training_args.do_train:
            return
        check_checkpointing(self.training_args, config)
        if not (self.checkpoint or self.model_args.model_name_or_path):
            try_model(build, config, self.training_args, name_config(self.model_args))

    def __exit__(self, kind, error, trace) -> None:
        if isinstance(error, Exception) and not isinstance(error, RecipeError):
            write_traceback(self.folder, error, self.training_args.process_index)
        if self._lock:
            self._lock.close()
        if isinstance(error, RecipeError) and self._made_folder and self.training_args.process_index == 0:
            remove_unused(self.folder)
        wait_for_gloo()

    def _list_settings(self) -> dict:
        groups = {**vars(self.model_args), **vars(self.data_args)}
        training = json.loads(self.training_args.to_json_string())
        del training["hub_token"]
        return json.loads(json.dumps(groups, default=str)) | training

    @property
    def compared(self) -> dict:
        """The values compared with those of a checkpoint: settings, processes, FSDP or not, threads, what was pinned.

        Sums over several threads are rounded in another order than over one, so their number changes the weights.
        """
        training = self.training_args
        threads = torch.get_num_threads() if training.use_cpu else None
        machine = {"processes": training.world_size, "sharded": is_sharded(), "threads_in_use": threads}
        return self.settings | machine | self._pinned

    def pin(self, name: str, find_digest: Callable[[], str]) -> None:
        """Record the digest of what is trained on under `name`, one of `PINNED`, for checkpoints and `make_once`.

        Raises RecipeError if it is not that of the checkpoint, unless the user insists on continuing.
        """
        insists = self.training_args.resume_from_checkpoint is not None

        def check() -> str:
            digest = find_digest()
            if self.checkpoint:
                refuse_other_content(self.checkpoint, name, digest, insists)
            return digest

        self._pinned[name] = let_first(check, self.training_args.world_size, self.training_args.process_index)

    def make_once(self, name: str, make: Callable[[Path], object], in_checkpoints: bool = True) -> str:
        """Return the subfolder `name` of the output folder; one process fills it with `make` unless it is up to date.

        in_checkpoints: whether checkpoints contain the same files. A resumed run then returns its checkpoint instead.
        Otherwise only a resumed run uses files of an earlier start, if they were made with its settings.
        """
        if self.checkpoint and in_checkpoints:
            return str(self.checkpoint)
        final, partial = self.folder / name, self.folder / f"{PARTIAL}{name}"

        def update() -> None:
            first = not (self.checkpoint or in_checkpoints)
            if first or find_damage(final) or list_changes(final, self.compared, self.rules | {"sharded": "free"}):
                clear_partial(self.folder)
                with guard_save(partial):
                    make(partial)
                    write_manifest(partial, 0, self.compared)
                    finalize(partial, final)

        let_first(update, self.training_args.world_size, self.training_args.process_index)
        return str(final)

    def train(self, trainer: RecipeTrainer) -> None:
        """Train, from `checkpoint` if there is one, and save model, tokenizer and trainer state.

        Raises StoppedError after saving if a signal ends the training.
        """
        trainer.settings = self.compared
        if self.checkpoint:
            self._refuse_other_start(self.checkpoint, trainer)
        if self.pusher:
            self.write_record(trainer)  # for the cards of the checkpoints
            trainer.add_callback(self.pusher)
        if self.training_args.early_stopping_patience:
            trainer.add_callback(EarlyStopping(self.training_args.early_stopping_patience))
        training_start = time.perf_counter() - self.earlier_seconds
        trainer.clock = lambda: time.perf_counter() - training_start
        with SignalHandler(find_continuation(self.training_args)) as signals:
            trainer.add_callback(signals)
            result = trainer.train(resume_from_checkpoint=str(self.checkpoint) if self.checkpoint else None)
            trainer.refuse_divergence()
            self.train_seconds = trainer.clock()
            trained = not self.checkpoint or find_step(self.checkpoint) != trainer.state.global_step
            if trained and trainer.is_world_process_zero():
                remove_results(self.folder, RESULTS)  # scores of other weights
            trainer.save_model()
            if signals.agree():  # a signal arrived after the last step
                trainer.save_checkpoint()
                raise signals.stop(trainer.state.global_step, self.folder)
            trainer.save_state()
        trainer.log_metrics("train", result.metrics)
        decline = describe_decline(trainer.state, self.training_args)
        if decline and trainer.is_world_process_zero():
            print(decline, flush=True)

    def _refuse_other_start(self, checkpoint: Path, trainer: RecipeTrainer) -> None:
        """Raise RecipeError if the model is another than that of the checkpoint; else set aside what comes after it."""
        training = self.training_args
        tokenizer: Any = trainer.processing_class  # the recipe gives no other processor

        def check() -> None:
            insists = training.resume_from_checkpoint is not None
            refuse_other_model(checkpoint, trainer.model.config, tokenizer, insists)
            if training.resume_from_checkpoint not in (None, "last"):
                set_later_aside(self.folder, checkpoint)

        let_first(check, training.world_size, training.process_index)

    def write_results(self, trainer: RecipeTrainer, name: str, scores: dict[str, dict]) -> None:
        """Write `scores` (by split) and the facts of the run to the JSON file `name`."""
        self.scores = scores
        if trainer.is_world_process_zero():
            facts = self.describe() | {"changed": list_changed(self.settings)}
            content = json.dumps(scores | {"run": facts}, indent=2) + "\n"
            write_whole(self.folder / name, content)

    def finish(self, trainer: RecipeTrainer, stage: str, epoch: tuple[str, int]) -> None:
        """Write `run.yaml`, the model card and the page, push the run if `push_to_hub` is set, and print the summary.

        stage: `mlm` or `ner`. epoch: what the training reads in an epoch, its unit and its number.
        Raises PushError if the push fails; all files are on disk, and the summary is printed, by then.
        """
        if self.pusher and not self.training_args.do_train:
            trainer.save_model()
        self.write_record(trainer)
        if trainer.is_world_process_zero() and (self.folder / "config.json").exists():
            write_card(self.folder)
        if trainer.is_world_process_zero():
            remove_results(self.folder, [PAGE, ANALYSIS])  # of earlier scores
            if self._read_config() != self._config:
                remove_results(self.folder, [EXPORTS])  # of other settings
            try_report(self.folder)
        if stage == "ner":  # the text stage ends in an evaluation, which the Trainer logs itself
            self._log_scores(trainer)
        finish_trackers(self.training_args.report_to or [])
        try:
            if self.pusher:
                self.pusher.finish()
        finally:
            if trainer.is_world_process_zero():
                print(self._summarize(trainer, stage, epoch), flush=True)

    def _read_config(self) -> bytes | None:
        path = self.folder / "config.json"
        return path.read_bytes() if path.is_file() else None

    def _log_scores(self, trainer: RecipeTrainer) -> None:
        """Log the final scores to the trackers, those of dev under the name of the evaluations during training."""
        for split, row in pick_scores(self.scores).items() if self.training_args.report_to else ():
            prefix = "eval" if split == "dev" else split
            trainer.log({f"{prefix}_{name}": value for name, value in row.items() if value is not None})

    def _summarize(self, trainer: RecipeTrainer, stage: str, epoch: tuple[str, int]) -> str:
        unit, count = epoch
        return format_summary(
            folder=self.folder,
            stage=stage,
            scores=pick_scores(self.scores),
            steps=trainer.state.global_step,
            seconds=self.seconds,
            train_seconds=self.train_seconds,
            amount=(unit, count * (trainer.state.epoch or 0)),
        )

    @property
    def seconds(self) -> float:
        """The duration of all starts of the run, without the time between the last checkpoint and an interruption."""
        return self.earlier_seconds + time.perf_counter() - self.started

    def write_record(self, trainer: RecipeTrainer) -> None:
        """Write `run.yaml`: the resolved settings, the facts of `describe`, the command and the weights' origin."""
        if trainer.is_world_process_zero():
            record = {"settings": self.settings, **self.describe(), **self.origin}
            write_whole(self.folder / "run.yaml", yaml.safe_dump(record, sort_keys=False))

    def describe(self) -> dict:
        """The facts of this run as plain values: configuration, model, data, seed, commit, machine, minutes.

        The minutes add up all starts of the run, see `seconds`.
        """
        training = self.training_args
        model = Path(self.model_args.model_name_or_path or "from scratch")
        return {
            "config": training.config,
            "model": model.name if find_step(model) is None else "/".join(model.parts[-2:]),
            "data": name_data(self.data_args),
            **self.facts,
            "seed": training.seed,
            "commit": find_commit(),
            "hardware": describe_hardware(0 if training.use_cpu else training.world_size),
            "processes": training.world_size,
            "resumed": self.checkpoint is not None,
            "precision": "bf16" if training.bf16 else "fp16" if training.fp16 else "fp32",
            "train_minutes": round(self.train_seconds / 60, 1),
            "total_minutes": round(self.seconds / 60, 1),
            "versions": {package: version(package) for package in PACKAGES},
            "command": find_command(),
        }


def _set_verbosity(process: int) -> None:
    """Show warnings from the first process only."""
    if process == 0:
        logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
    else:
        logging.disable(logging.WARNING)
        transformers.utils.logging.set_verbosity_error()

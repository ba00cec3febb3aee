"""A Trainer with exact resumption: a resumed run ends with the same weights as one that was never interrupted."""

import dataclasses
import json
from collections.abc import Callable, Iterator, Sized
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, IterableDataset, RandomSampler, Sampler
from transformers import PreTrainedModel, Trainer
from transformers.trainer_callback import ExportableState

from recipe.files import write_whole
from recipe.folders import PARTIAL, clear_partial, finalize
from recipe.seeds import derive_seed
from recipe.training.batching import LengthGroupedSampler
from recipe.training.checkpoints import (
    find_damage,
    guard_save,
    name_checkpoint,
    replace_files,
    rotate,
    write_manifest,
)
from recipe.training.collation import drop_labels
from recipe.training.settings import TrainingArguments


class EpochSampler(Sampler[int]):
    """A wrapper of a random sampler whose order depends only on the seed and the epoch."""

    def __init__(self, sampler: RandomSampler | LengthGroupedSampler, trainer: "ResumableTrainer"):
        self.sampler, self.trainer = sampler, trainer

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[int]:
        args = self.trainer.args
        seed = args.seed if args.data_seed is None else args.data_seed
        self.sampler.generator = torch.Generator().manual_seed(seed + self.trainer.epoch)
        return iter(self.sampler)


class ResumableTrainer(Trainer):
    """A Trainer whose randomness depends only on seed, epoch and step, and whose checkpoints are complete or absent.

    So no state of a random generator is needed to resume. Trainer alone is not exact: it does not save the order of
    examples under `group_by_length`, and it restores the generator of dropout only in the middle of an epoch, while an
    evaluation also advances it. Streamed text continues at the `position` that each process saves.
    """

    # The recipe trains nothing else; Trainer's own annotations are wider.
    args: TrainingArguments  # pyrefly: ignore[bad-override-mutable-attribute]
    model: PreTrainedModel  # pyrefly: ignore[bad-override-mutable-attribute]
    settings: dict | None = None  # saved in checkpoints and compared on resuming
    clock: Callable[[], float] = staticmethod(lambda: 0.0)  # seconds of training so far
    epoch = 0
    position: dict | None = None
    prepare_batch: Callable[[dict], dict] = staticmethod(lambda batch: batch)  # a subclass prepares batches with it
    saved_step: int | None = None

    def _init_training_state(self, max_steps, *args, **options):
        where = super()._init_training_state(max_steps, *args, **options)
        self.state.compute_steps(
            self.args, max_steps
        )  # use the save, eval and log intervals set now, not the saved ones
        return where

    def get_train_dataloader(self) -> DataLoader:
        if not isinstance(self.train_dataset, IterableDataset):
            return super().get_train_dataloader()
        # The stream already returns this process's batches. With one worker there is one position to resume at.
        prepare: Any = self.prepare_batch  # without a batch size, it gets single items of the stream
        return DataLoader(
            self.train_dataset,
            batch_size=None,
            collate_fn=prepare,
            num_workers=min(1, self.args.dataloader_num_workers or 0),
            pin_memory=self.args.dataloader_pin_memory,
        )

    def _get_train_sampler(self, train_dataset=None):
        sampler = super()._get_train_sampler(train_dataset)
        return EpochSampler(sampler, self) if isinstance(sampler, RandomSampler) else sampler

    # Trainer passes all of these by keyword.
    def _run_epoch(  # pyrefly: ignore[bad-override]
        self, *, epoch, steps_in_epoch, resume_from_checkpoint, steps_trained_in_current_epoch, **options
    ):
        if self.state.global_step >= self.state.max_steps:  # already finished: Trainer would do one more step
            self.control.should_training_stop = True
            return
        self.epoch = epoch
        if isinstance(self.train_dataset, IterableDataset):
            if resume_from_checkpoint:
                stream: Any = self.train_dataset  # a `recipe.inputs.stream.BlockStream`
                stream.load_state_dict(self._load_position(resume_from_checkpoint))
            # The stream is already at its position. Nothing is skipped; only the fraction of the epoch is reported.
            epoch += steps_trained_in_current_epoch / steps_in_epoch
        else:
            for drawn in (self.data_collator, self.train_dataset):
                if hasattr(drawn, "set_epoch"):
                    drawn.set_epoch(epoch)
        super()._run_epoch(
            epoch=epoch,
            steps_in_epoch=steps_in_epoch,
            resume_from_checkpoint=resume_from_checkpoint,
            steps_trained_in_current_epoch=steps_trained_in_current_epoch,
            **options,
        )

    def get_batch_samples(self, epoch_iterator, num_batches, device):
        self.micro_step = 0
        return super().get_batch_samples(map(self._prepare_batch, epoch_iterator), num_batches, device)

    def _prepare_batch(self, batch: dict) -> dict:
        """Note the position of a stream; remove the labels of examples that only fill up the last batch."""
        self.position = batch.pop("position", None)
        if self.args.world_size > 1 and self.accelerator.gradient_state.end_of_dataloader:
            # gradient_state.remainder cannot be used: it is lost when an epoch is resumed in the middle.
            assert isinstance(self.train_dataset, Sized)  # streams do not end
            remainder = len(self.train_dataset) % (self.args.train_batch_size * self.args.world_size)
            own = remainder - self.args.process_index * self.args.train_batch_size
            if remainder and not self.args.dataloader_drop_last:
                drop_labels(batch, own)
        return batch

    def training_step(self, model, inputs, num_items_in_batch=None):
        where = (self.args.seed, self.state.global_step, self.micro_step, self.args.process_index)
        torch.manual_seed(derive_seed(*where))
        self.micro_step += 1
        return super().training_step(model, inputs, num_items_in_batch)

    def save_checkpoint(self) -> None:
        """Save a checkpoint of the current step, unless there is a whole one."""
        if find_damage(name_checkpoint(self.args.folder, self.state.global_step)):
            self.saved_step = None  # Trainer deletes the last checkpoint if it keeps only the best one
            self._save_checkpoint(self.model, None)

    def _save_checkpoint(self, model, trial):
        step, folder = self.state.global_step, self.args.folder
        if step == self.saved_step:  # a save by steps and a save at the end of the epoch can be the same step
            return
        final = name_checkpoint(folder, step)
        partial = final.with_name(PARTIAL + final.name)
        best = name_checkpoint(folder, self.state.best_global_step or 0)
        if best == final or best.exists():
            self.state.best_model_checkpoint = str(best)
        if self.is_world_process_zero():
            clear_partial(folder)
        self.accelerator.wait_for_everyone()
        with guard_save(partial):
            self._write_checkpoint(partial)
        self.accelerator.wait_for_everyone()
        if self.is_world_process_zero():
            with guard_save(partial):
                write_manifest(partial, step, self.settings, self.clock())
                finalize(partial, final)
        self.accelerator.wait_for_everyone()
        self.saved_step = step
        if self.args.should_save:
            best_checkpoint = self.state.best_model_checkpoint
            rotate(folder, self.args.save_total_limit, {final, Path(best_checkpoint) if best_checkpoint else final})

    def _write_checkpoint(self, folder: Path) -> None:
        """Write the files of a checkpoint, including those of this process."""
        self.store_flos()
        folder.mkdir(parents=True, exist_ok=True)
        self.save_model(str(folder), _internal_call=True)
        if not self.args.save_only_model:
            self._save_optimizer_and_scheduler(str(folder))
            self._save_scaler(str(folder))
            self._save_rng_state(str(folder))
        if self.position is not None:
            (folder / self._position_file).write_text(json.dumps(self.position))
        if self.args.should_save:
            states: Any = self.state.stateful_callbacks  # a dictionary, unlike its annotation
            for callback in [*self.callback_handler.callbacks, self.control]:
                if isinstance(callback, ExportableState):
                    states[type(callback).__name__] = callback.state()
            self.state.save_to_json(str(folder / "trainer_state.json"))

    @property
    def _position_file(self) -> str:
        return f"stream_{self.args.process_index}.json"

    def _load_position(self, checkpoint: str) -> dict:
        return json.loads((Path(checkpoint) / self._position_file).read_text())

    def _issue_warnings_after_load(self, load_result):
        # Tied weights are saved under one of their names; Trainer would warn of the others.
        missing = [key for key in load_result.missing_keys if key not in self.model.all_tied_weights_keys]
        super()._issue_warnings_after_load(load_result._replace(missing_keys=missing))

    def save_state(self):
        if self.is_world_process_zero():
            content = json.dumps(dataclasses.asdict(self.state), indent=2, sort_keys=True) + "\n"
            write_whole(self.args.folder / "trainer_state.json", content)

    def _save(self, output_dir=None, state_dict=None):
        folder = Path(output_dir or self.args.folder)
        if folder.name.startswith(PARTIAL) or not self.args.should_save:
            return super()._save(output_dir, state_dict)
        partial = folder / f"{PARTIAL}model"
        with guard_save(partial):
            super()._save(str(partial), state_dict)
            replace_files(partial, folder)
        return None

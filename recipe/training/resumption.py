"""A Trainer whose run, interrupted at any moment and resumed, ends with the weights that it would have had anyway."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch.utils.data import DataLoader, IterableDataset, RandomSampler, Sampler
from transformers import Trainer
from transformers.trainer_callback import ExportableState
from transformers.trainer_utils import rotate_checkpoints

from recipe.inputs.tokens import IGNORED
from recipe.seeds import derive_seed
from recipe.training.checkpoints import (
    PARTIAL,
    clear_partial,
    finalize,
    find_damage,
    guard_save,
    name_checkpoint,
    replace_files,
    write_manifest,
)


class EpochSampler(Sampler[int]):
    """A random sampler's order, drawn for each epoch from the seed and the epoch's number alone."""

    def __init__(self, sampler: Sampler[int], trainer: "ResumableTrainer"):
        self.sampler, self.trainer = sampler, trainer

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[int]:
        args = self.trainer.args
        seed = args.seed if args.data_seed is None else args.data_seed
        self.sampler.generator = torch.Generator().manual_seed(seed + self.trainer.epoch)
        return iter(self.sampler)


class ResumableTrainer(Trainer):
    """Trainer whose randomness is a function of seed, epoch and step, and whose checkpoints are whole or not there.

    Its state needs no random generators then: not those of the order of the examples, which Trainer leaves to the
    state of the moment under `group_by_length`, nor dropout's, which Trainer restores in the middle of an epoch only
    and which an evaluation moves. Streamed text goes on where it was, of which each process notes its own `position`.
    """

    settings: dict | None = None  # what a checkpoint is made with, to be compared on resuming
    clock: Callable[[], float] = staticmethod(lambda: 0.0)  # seconds of training so far
    epoch = 0
    position: dict | None = None
    saved_step: int | None = None

    def _init_training_state(self, max_steps, *args, **options):
        where = super()._init_training_state(max_steps, *args, **options)
        self.state.compute_steps(self.args, max_steps)  # to save, evaluate and log at: as set now, not as once saved
        return where

    def get_train_dataloader(self) -> DataLoader:
        if not isinstance(self.train_dataset, IterableDataset):
            return super().get_train_dataloader()
        # The stream makes batches of this process's own share: one worker, so that there is one position to resume at.
        workers = min(1, self.args.dataloader_num_workers)
        return DataLoader(
            self.train_dataset, batch_size=None, num_workers=workers, pin_memory=self.args.dataloader_pin_memory
        )

    def _get_train_sampler(self, train_dataset=None):
        sampler = super()._get_train_sampler(train_dataset)
        return EpochSampler(sampler, self) if isinstance(sampler, RandomSampler) else sampler

    def _run_epoch(self, *, epoch, steps_in_epoch, resume_from_checkpoint, steps_trained_in_current_epoch, **options):
        if self.state.global_step >= self.state.max_steps:  # finished before: Trainer would go one step too far
            self.control.should_training_stop = True
            return
        self.epoch = epoch
        if isinstance(self.train_dataset, IterableDataset):
            if resume_from_checkpoint:
                self.train_dataset.load_state_dict(self._load_position(resume_from_checkpoint))
            # The stream stands where it was: nothing is to be skipped, only the share of the steps done to be told.
            epoch += steps_trained_in_current_epoch / steps_in_epoch
        elif hasattr(self.data_collator, "set_epoch"):
            self.data_collator.set_epoch(epoch)
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
        """Note where a stream stands; take the labels off what fills up the last batch of several processes."""
        self.position = batch.pop("position", None)
        if self.args.world_size > 1 and self.accelerator.gradient_state.end_of_dataloader:
            # Not gradient_state.remainder, which is lost in an epoch that is resumed in the middle.
            remainder = len(self.train_dataset) % (self.args.train_batch_size * self.args.world_size)
            own = remainder - self.args.process_index * self.args.train_batch_size
            if remainder and not self.args.dataloader_drop_last:
                batch["labels"][max(own, 0) :] = IGNORED
        return batch

    def training_step(self, model, inputs, num_items_in_batch=None):
        where = (self.args.seed, self.state.global_step, self.micro_step, self.args.process_index)
        torch.manual_seed(derive_seed(*where))
        self.micro_step += 1
        return super().training_step(model, inputs, num_items_in_batch)

    def save_checkpoint(self) -> None:
        """Save the step at which training stands, unless a whole checkpoint of it is there."""
        if find_damage(name_checkpoint(Path(self.args.output_dir), self.state.global_step)):
            self.saved_step = None  # Trainer deletes the last one where only the best may stay
            self._save_checkpoint(self.model, None)

    def _save_checkpoint(self, model, trial):
        step, folder = self.state.global_step, Path(self.args.output_dir)
        if step == self.saved_step:  # by its number of steps, and again at the end of the epoch
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
            rotate_checkpoints(
                str(folder), self.args.save_total_limit, self.state.best_model_checkpoint, use_mtime=True
            )

    def _write_checkpoint(self, folder: Path) -> None:
        """The files of a checkpoint, those of this process among them."""
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
            for callback in [*self.callback_handler.callbacks, self.control]:
                if isinstance(callback, ExportableState):
                    self.state.stateful_callbacks[type(callback).__name__] = callback.state()
            self.state.save_to_json(str(folder / "trainer_state.json"))

    @property
    def _position_file(self) -> str:
        return f"stream_{self.args.process_index}.json"

    def _load_position(self, checkpoint: str) -> dict:
        return json.loads((Path(checkpoint) / self._position_file).read_text())

    def _save(self, output_dir=None, state_dict=None):
        folder = Path(output_dir or self.args.output_dir)
        if folder.name.startswith(PARTIAL) or not self.args.should_save:
            return super()._save(output_dir, state_dict)
        partial = folder / f"{PARTIAL}model"
        with guard_save(partial):
            super()._save(str(partial), state_dict)
            replace_files(partial, folder)
        return None

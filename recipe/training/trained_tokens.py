"""The number of tokens that a new head was trained on, kept in the model's configuration."""

from dataclasses import replace

from transformers import TrainerCallback

from recipe.model.objective import Pretraining, note_pretraining


class TokenCounter(TrainerCallback):
    """Notes in the model's configuration, at each step, how many tokens of text its head has seen.

    start: what was known before the training. block_size: tokens in an example. epoch: tokens in an epoch, whose last
    step is smaller if they do not fill it.
    """

    def __init__(self, start: Pretraining, block_size: int, epoch: int):
        self.start, self.block_size, self.epoch = start, block_size, epoch

    def on_step_end(self, args, state, control, **kwargs):
        batch = args.train_batch_size * args.world_size * self.block_size
        epoch = self.epoch - (self.epoch % batch if args.dataloader_drop_last else 0)
        step = batch * args.gradient_accumulation_steps
        epochs, steps = divmod(state.global_step, -(-epoch // step))
        trained = self.start.trained_tokens + epochs * epoch + min(steps * step, epoch)
        note_pretraining(kwargs["model"].config, replace(self.start, trained_tokens=trained))

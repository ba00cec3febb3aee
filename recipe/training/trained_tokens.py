"""The number of tokens that a new head was trained on, kept in the model's configuration."""

from dataclasses import replace

from transformers import TrainerCallback

from recipe.model.objective import Pretraining, note_pretraining


class TokenCounter(TrainerCallback):
    """Notes in the model's configuration, at each step, how many tokens of text its head has seen.

    start: what was known before the training. block_size: tokens in an example.
    """

    def __init__(self, start: Pretraining, block_size: int):
        self.start, self.block_size = start, block_size

    def on_step_end(self, args, state, control, **kwargs):
        blocks = state.global_step * args.train_batch_size * args.gradient_accumulation_steps * args.world_size
        trained = self.start.trained_tokens + blocks * self.block_size
        note_pretraining(kwargs["model"].config, replace(self.start, trained_tokens=trained))

"""The number of tokens that a new head was trained on, kept in the model's configuration."""

from dataclasses import replace

from transformers import TrainerCallback

from recipe.model.objective import Pretraining, note_pretraining


class TokenCounter(TrainerCallback):
    """Notes in the model's configuration, at each step, how many tokens of text its head has seen.

    start: what was known before the training. epoch: tokens in an epoch, whose last batch need not be full.
    """

    def __init__(self, start: Pretraining, epoch: int):
        self.start, self.epoch = start, epoch

    def on_step_end(self, args, state, control, **kwargs):
        trained = self.start.trained_tokens + round(state.epoch * self.epoch)
        note_pretraining(kwargs["model"].config, replace(self.start, trained_tokens=trained))

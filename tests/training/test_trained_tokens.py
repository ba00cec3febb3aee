"""The tokens that a head was trained on are counted by batches as they are."""

from types import SimpleNamespace

import pytest
from transformers import BertForMaskedLM

from conftest import make_config
from recipe.model.objective import Pretraining, read_pretraining
from recipe.training.trained_tokens import TokenCounter


@pytest.mark.parametrize(
    ("blocks", "batch", "accumulation", "processes", "drop_last", "steps", "trained"),
    [
        (100, 8, 1, 1, False, 4, 4 * 8),
        (100, 8, 1, 1, False, 13, 100),  # twelve full batches, and one of four
        (100, 8, 1, 1, False, 15, 116),
        (4, 16, 1, 1, False, 16, 64),  # no batch is full
        (100, 8, 4, 2, False, 2, 100),
        (100, 8, 4, 2, False, 3, 164),
        (100, 8, 1, 1, True, 13, 96 + 8),
    ],
)
def test_a_last_batch_that_is_not_full_counts_as_it_is(
    blocks, batch, accumulation, processes, drop_last, steps, trained
):
    args = SimpleNamespace(train_batch_size=batch, gradient_accumulation_steps=accumulation, world_size=processes)
    args.dataloader_drop_last = drop_last
    model = BertForMaskedLM(make_config())
    counter = TokenCounter(Pretraining(new_head=True, trained_tokens=7), 32, 32 * blocks)
    counter.on_step_end(args, SimpleNamespace(global_step=steps), None, model=model)
    assert read_pretraining(model.config) == Pretraining(new_head=True, trained_tokens=7 + 32 * trained)

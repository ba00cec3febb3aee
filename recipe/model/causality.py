"""A causal mask in an encoder: each token sees itself and what lies to its left, as in p(x_t | x_<t).

A hook on the encoder makes the mask, so the model's class, weights and files do not change. transformers' own switch,
`is_decoder`, exists for BERT and RoBERTa only, and would also make a fine-tuned model causal.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import PreTrainedModel

from recipe.errors import RecipeError
from recipe.model.packing import MASK_DTYPES, convert_mask

MADE_CAUSAL = "recipe_is_causal"  # attribute of an encoder with this hook


def make_causal(model: PreTrainedModel) -> None:
    """Make the attention of an encoder causal from now on, if it is not. Its input can be padded, packed, or masked.

    Raises RecipeError if its attention does not accept such a mask.
    """
    if getattr(model.base_model, MADE_CAUSAL, False):
        return
    config = model.config
    expected = MASK_DTYPES.get(config._attn_implementation)
    if expected is None:
        raise RecipeError(
            f"objective masked_autoregressive: not supported by attn_implementation {config._attn_implementation}: "
            f"set one of {', '.join(MASK_DTYPES)}"
        )

    dtype = torch.bool if expected == torch.bool else model.dtype

    def hide_the_right(encoder: torch.nn.Module, inputs: tuple, options: dict[str, Any]) -> tuple[tuple, dict]:
        ids = options["input_ids"] if options.get("input_ids") is not None else inputs[0]
        visible = _combine(options.get("attention_mask"), ids)
        mask: Any = convert_mask(visible, dtype)
        if config.model_type == "modernbert":
            places = options.get("position_ids")
            places = torch.arange(ids.shape[1], device=ids.device)[None] if places is None else places
            near = (places[:, None, :, None] - places[:, None, None, :]).abs() <= config.sliding_window
            mask = {"full_attention": mask, "sliding_attention": convert_mask(visible & near, dtype)}
        return inputs, options | {"attention_mask": mask}

    model.base_model.register_forward_pre_hook(hide_the_right, with_kwargs=True)
    setattr(model.base_model, MADE_CAUSAL, True)


def _combine(mask: torch.Tensor | None, ids: torch.Tensor) -> torch.Tensor:
    """What each token sees, (rows or 1, 1, length, length): what `mask` shows it, and of that nothing to its right.

    mask: of (rows, length), 0 for padding, or of (rows, 1, length, length), boolean or added to the scores.
    """
    length = ids.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool, device=ids.device).tril()[None, None]
    if mask is None:
        return causal
    if mask.dim() == 2:
        return causal & mask[:, None, None, :].bool()
    return causal & (mask if mask.dtype == torch.bool else mask == 0)


@contextmanager
def at_positions(model: PreTrainedModel, position_ids: torch.Tensor) -> Iterator[None]:
    """A context in which relative positions are those of `position_ids`, (rows, length), not those in the row.

    MPNet needs it: it computes its position bias from places in the row. Other models use `position_ids` themselves.
    """
    if model.config.model_type != "mpnet":
        yield
        return
    encoder: Any = model.base_model.encoder

    def compute_position_bias(hidden: torch.Tensor) -> torch.Tensor:
        relative = position_ids[:, None, :] - position_ids[:, :, None]
        return encoder.relative_attention_bias(encoder.relative_position_bucket(relative)).permute(0, 3, 1, 2)

    encoder.compute_position_bias = compute_position_bias
    try:
        yield
    finally:
        del encoder.compute_position_bias

"""Masking: new masks in every epoch of training, fixed masks for evaluation.

By default 15 % of the tokens are predicted: 80 % of these become the mask token, 10 % a random token, and 10 % stay
unchanged (Devlin et al. 2019).
"""

from typing import Any

import datasets
import torch
from transformers import DataCollatorForLanguageModeling, PreTrainedTokenizerBase

from recipe.errors import RecipeError
from recipe.inputs.rates import find_rates
from recipe.inputs.settings import BlockArguments
from recipe.inputs.tokens import IGNORED
from recipe.seeds import derive_seed


class MaskingCollator(DataCollatorForLanguageModeling):
    """The collator of transformers, with masks that depend only on the seed, the epoch and the block.

    So a block gets the same masks in any batch, process and data-loading worker, and after a resumed run, but new ones
    in each epoch. Blocks that already have labels (from `draw_masks`) are not masked again.
    Returns a batch of `input_ids`, `attention_mask` and `labels`, each (blocks, longest block); labels are -100 where
    nothing is predicted.
    """

    def __post_init__(self):
        super().__post_init__()
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # shared with persistent data-loading workers

    def set_epoch(self, epoch: int) -> None:
        """Draw the masks of `epoch` from now on."""
        self._epoch.fill_(epoch)

    def torch_call(self, examples: list[Any]) -> dict[str, torch.Tensor]:
        examples = [example if "labels" in example else self.mask(example["input_ids"]) for example in examples]
        batch = self.tokenizer.pad([{"input_ids": example["input_ids"]} for example in examples], return_tensors="pt")
        labels = [torch.as_tensor(example["labels"]) for example in examples]
        padded = torch.nn.utils.rnn.pad_sequence(labels, batch_first=True, padding_value=IGNORED)
        return {**batch, "labels": padded}

    def mask(self, block: list[int]) -> dict[str, list[int]]:
        """Mask one block of token ids; returns its `input_ids` and `labels`."""
        ids = torch.tensor([block])
        assert self.seed is not None
        self.generator = torch.Generator().manual_seed(derive_seed(self.seed, int(self._epoch), ids.numpy().tobytes()))
        inputs, labels = self.torch_mask_tokens(ids)
        return {"input_ids": inputs[0].tolist(), "labels": labels[0].tolist()}


def build_collator(tokenizer: PreTrainedTokenizerBase, arguments: BlockArguments, seed: int = 0):
    """The collator for the given rates. Raises RecipeError for rates out of range or a tokenizer without mask token."""
    masked, random = find_rates(arguments)
    try:
        return MaskingCollator(
            tokenizer,
            mlm_probability=arguments.mlm_probability,
            mask_replace_prob=masked,
            random_replace_prob=random,
            seed=seed,
        )
    except ValueError as error:
        raise RecipeError(f"masking: {error}") from None


def draw_masks(
    blocks: datasets.Dataset,
    tokenizer: PreTrainedTokenizerBase,
    arguments: BlockArguments,
    hint: str = "use more text, or set eval_mask_seed",
):
    """Mask evaluation blocks once with `eval_mask_seed`, so that two evaluations of one model give the same figures.

    blocks: a data set with the column `input_ids`. Returns a data set with `input_ids` and `labels`.
    Raises RecipeError with `hint` if no token is masked.
    """
    collator = build_collator(tokenizer, arguments, arguments.eval_mask_seed)
    masked = blocks.map(
        lambda block: collator.mask(block["input_ids"]), load_from_cache_file=False, desc="Drawing evaluation masks"
    )
    if not any(label != IGNORED for block in masked for label in block["labels"]):
        raise RecipeError(f"validation: too little text, no token is masked: {hint}")
    return masked

"""Masking: drawn again in every epoch of training, and once for evaluation.

Of the tokens to predict (15 %), 80 % become the mask token, 10 % a random one, 10 % stay (Devlin et al. 2019).
"""

import datasets
import torch
from transformers import DataCollatorForLanguageModeling, PreTrainedTokenizerBase

from recipe.errors import RecipeError
from recipe.inputs.settings import BlockArguments
from recipe.inputs.tokens import IGNORED
from recipe.seeds import derive_seed


class MaskingCollator(DataCollatorForLanguageModeling):
    """transformers' collator, whose masks depend on the seed, the epoch and the block alone.

    A block is masked alike whatever batch, process or data-loading worker it falls to and however often the run was
    interrupted before, and anew in each epoch. Blocks that carry labels (those of `draw_masks`) stay as they are.
    Returns a batch of `input_ids`, `attention_mask` and `labels`, each (blocks, longest block); labels are -100
    outside the chosen positions.
    """

    def __post_init__(self):
        super().__post_init__()
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # workers that live on see it change

    def set_epoch(self, epoch: int) -> None:
        """Draw the masks of this epoch from here on."""
        self._epoch.fill_(epoch)

    def torch_call(self, examples: list[dict]) -> dict[str, torch.Tensor]:
        examples = [example if "labels" in example else self.mask(example["input_ids"]) for example in examples]
        batch = self.tokenizer.pad([{"input_ids": example["input_ids"]} for example in examples], return_tensors="pt")
        labels = [torch.as_tensor(example["labels"]) for example in examples]
        padded = torch.nn.utils.rnn.pad_sequence(labels, batch_first=True, padding_value=IGNORED)
        return {**batch, "labels": padded}

    def mask(self, block: list[int]) -> dict[str, list[int]]:
        """`input_ids`, some of them masked, and `labels` of one block of token ids."""
        ids = torch.tensor([block])
        self.generator = torch.Generator().manual_seed(derive_seed(self.seed, int(self._epoch), ids.numpy().tobytes()))
        inputs, labels = self.torch_mask_tokens(ids)
        return {"input_ids": inputs[0].tolist(), "labels": labels[0].tolist()}


def build_collator(tokenizer: PreTrainedTokenizerBase, arguments: BlockArguments, seed: int = 0):
    """The collator of the settings' rates. Raises RecipeError for rates out of range or a tokenizer without a mask."""
    try:
        return MaskingCollator(
            tokenizer,
            mlm_probability=arguments.mlm_probability,
            mask_replace_prob=arguments.mask_replace_prob,
            random_replace_prob=arguments.random_replace_prob,
            seed=seed,
        )
    except ValueError as error:
        raise RecipeError(f"masking: {error}") from None


def draw_masks(blocks: datasets.Dataset, tokenizer: PreTrainedTokenizerBase, arguments: BlockArguments):
    """Mask evaluation blocks once, from `eval_mask_seed`: two evaluations of one model then agree to the last digit.

    blocks: a data set of `input_ids`. Returns one of `input_ids` and `labels`.
    Raises RecipeError if no token is masked.
    """
    collator = build_collator(tokenizer, arguments, arguments.eval_mask_seed)
    masked = blocks.map(
        lambda block: collator.mask(block["input_ids"]), load_from_cache_file=False, desc="Drawing evaluation masks"
    )
    if not any(label != IGNORED for block in masked for label in block["labels"]):
        raise RecipeError("validation: none of its few tokens is masked: give more text, or another eval_mask_seed")
    return masked

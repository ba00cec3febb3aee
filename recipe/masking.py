"""Masking, at random for every batch in training and drawn once for evaluation, and the score of what is predicted.

Of the tokens to predict (15 %), 80 % become the mask token, 10 % a random one, 10 % stay (Devlin et al. 2019).
"""

import math

import datasets
import torch
from transformers import DataCollatorForLanguageModeling, EvalPrediction, PreTrainedTokenizerBase

from recipe.arguments import MlmArguments
from recipe.errors import RecipeError
from recipe.sparse_head import select_labelled
from recipe.tokens import IGNORED


class MaskingCollator(DataCollatorForLanguageModeling):
    """transformers' collator, which leaves blocks that carry labels (those of `draw_masks`) as they are.

    Returns a batch of `input_ids`, `attention_mask` and `labels`, each (blocks, longest block); labels are -100
    outside the chosen positions.
    """

    def torch_call(self, examples: list[dict]) -> dict[str, torch.Tensor]:
        if "labels" not in examples[0]:
            return super().torch_call(examples)
        labels = [torch.tensor(example["labels"]) for example in examples]
        batch = self.tokenizer.pad([{"input_ids": example["input_ids"]} for example in examples], return_tensors="pt")
        padded = torch.nn.utils.rnn.pad_sequence(labels, batch_first=True, padding_value=IGNORED)
        return {**batch, "labels": padded}


def build_collator(tokenizer: PreTrainedTokenizerBase, arguments: MlmArguments, seed: int | None = None):
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


def draw_masks(blocks: datasets.Dataset, tokenizer: PreTrainedTokenizerBase, arguments: MlmArguments):
    """Mask evaluation blocks once, from `eval_mask_seed`: two evaluations of one model then agree to the last digit.

    blocks: a data set of `input_ids`. Returns one of `input_ids` and `labels`.
    """
    collator = build_collator(tokenizer, arguments, seed=arguments.eval_mask_seed)

    def mask(block: dict) -> dict:
        batch = collator([{"input_ids": block["input_ids"]}])
        return {"input_ids": batch["input_ids"][0].tolist(), "labels": batch["labels"][0].tolist()}

    # Cached results are looked up by a hash of the function, which cannot see the generator's state.
    return blocks.map(mask, load_from_cache_file=False, desc="Drawing evaluation masks")


def score_positions(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Reduce logits to (blocks, length, 2): loss in nats, and 1 where the best is right.

    logits: (blocks, length, vocabulary), or (masked tokens, vocabulary) from a sparse head.
    Both scores are 0 where `labels` (blocks, length) are -100.
    """
    masked = labels != IGNORED
    scores = torch.zeros(*labels.shape, 2, device=logits.device)
    wanted, found = labels[masked], select_labelled(logits, masked).float()
    scores[masked] = torch.stack(
        [torch.nn.functional.cross_entropy(found, wanted, reduction="none"), (found.argmax(-1) == wanted).float()], -1
    )
    return scores


def summarize_positions(output: EvalPrediction) -> dict[str, float]:
    """Mean loss (nats), perplexity and accuracy over all masked tokens, each counting the same."""
    scores = output.predictions[output.label_ids != IGNORED].astype("float64")
    loss, accuracy = scores.mean(0).tolist()
    return {"loss": loss, "perplexity": math.exp(loss), "masked_accuracy": accuracy, "masked_tokens": len(scores)}

"""Architectures, and the shortcuts of the recipe that give the same result for each of them.

An architecture that is not listed works too, without the shortcuts. Tests compare each entry with the plain model.
"""

from dataclasses import dataclass, replace

from transformers import PreTrainedConfig


@dataclass(frozen=True)
class Architecture:
    """The shortcuts that work for one `model_type`.

    light_attention: `recipe.model.attention` gives the same result as the model's own eager attention, also in bf16.
    Not if the model caps scores, shares keys among heads, or has keys and values of different types.
    packing: the attention accepts a mask of (rows, 1, length, length), so that examples can share a row.
    sparse_head: the masked-language-model head works on each position separately.
    causal: the attention accepts a causal mask (`recipe.model.causality`).
    positions_after_padding: the first position is the padding id plus 1, not 0.
    fp32_only: fails in mixed precision, so that fp32 is the automatic choice.
    fewer_layers: a model without some of its layers works, and is loaded again by its configuration.
    """

    light_attention: bool = False
    packing: bool = False
    sparse_head: bool = False
    causal: bool = False
    positions_after_padding: bool = False
    fp32_only: bool = False
    fewer_layers: bool = False


BERT = Architecture(light_attention=True, packing=True, sparse_head=True, causal=True, fewer_layers=True)
ROBERTA = replace(BERT, positions_after_padding=True)
UNPACKED = Architecture(light_attention=True, sparse_head=True, fewer_layers=True)
ATTENTION_ONLY = Architecture(light_attention=True, fewer_layers=True)
ARCHITECTURES = {
    "albert": replace(ATTENTION_ONLY, fewer_layers=False),  # one layer, used again and again
    "bert": BERT,
    "camembert": ROBERTA,
    "deberta": Architecture(fp32_only=True, fewer_layers=True),
    "deberta-v2": UNPACKED,
    "distilbert": BERT,
    "electra": BERT,
    "ernie": ATTENTION_ONLY,
    "esm": replace(ATTENTION_ONLY, fewer_layers=False),  # its contact head reads all layers
    "modernbert": replace(UNPACKED, causal=True),
    "mpnet": ROBERTA,
    "roberta": ROBERTA,
    "xlm-roberta": ROBERTA,
}


def find_architecture(model_type: str) -> Architecture:
    """The entry of `model_type`; all fields are false if it is not listed."""
    return ARCHITECTURES.get(model_type, Architecture())


def list_types(shortcut: str) -> list[str]:
    """The model types for which the field `shortcut` of `Architecture` is true."""
    return [model_type for model_type, facts in ARCHITECTURES.items() if getattr(facts, shortcut)]


def find_first_position(config: PreTrainedConfig) -> int:
    """The position id of the first token: 0, or the padding id plus 1 for RoBERTa and similar models."""
    return config.pad_token_id + 1 if find_architecture(config.model_type).positions_after_padding else 0

"""What the recipe knows of each architecture: which of its shortcuts give the same result there.

An architecture that is not listed works too, without the shortcuts. Tests compare each entry with the plain model.
"""

from dataclasses import dataclass

from transformers import PreTrainedConfig


@dataclass(frozen=True)
class Architecture:
    """The facts of one `model_type`.

    light_attention: `recipe.model.attention` computes what its own eager attention does, in bf16 too. Not where an
    architecture caps scores, shares keys among heads, or hands over keys and values of different types.
    packing: its attention takes a mask of (rows, 1, length, length), so that examples can share a row.
    sparse_head: the head of its masked language model works on each position by itself.
    positions_after_padding: its positions count from behind the padding id.
    """

    light_attention: bool = False
    packing: bool = False
    sparse_head: bool = False
    positions_after_padding: bool = False


ROBERTA = Architecture(light_attention=True, packing=True, sparse_head=True, positions_after_padding=True)
BERT = Architecture(light_attention=True, packing=True, sparse_head=True)
UNPACKED = Architecture(light_attention=True, sparse_head=True)
ATTENTION_ONLY = Architecture(light_attention=True)
ARCHITECTURES = {
    "albert": ATTENTION_ONLY,
    "bert": BERT,
    "camembert": ROBERTA,
    "deberta-v2": UNPACKED,
    "distilbert": BERT,
    "electra": BERT,
    "ernie": ATTENTION_ONLY,
    "esm": ATTENTION_ONLY,
    "modernbert": UNPACKED,
    "mpnet": ROBERTA,
    "roberta": ROBERTA,
    "xlm-roberta": ROBERTA,
}


def find_architecture(model_type: str) -> Architecture:
    """The facts of `model_type`; all false if it is not listed."""
    return ARCHITECTURES.get(model_type, Architecture())


def list_types(shortcut: str) -> list[str]:
    """The model types for which `shortcut`, a field of `Architecture`, holds."""
    return [model_type for model_type, facts in ARCHITECTURES.items() if getattr(facts, shortcut)]


def find_first_position(config: PreTrainedConfig) -> int:
    """The position of a first token: RoBERTa and its kin count from behind the padding id."""
    return config.pad_token_id + 1 if find_architecture(config.model_type).positions_after_padding else 0

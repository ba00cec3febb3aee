"""Settings of this layer: the tokenizer, blocks and masks of text, windows of documents."""

from dataclasses import dataclass
from typing import Literal

from recipe.settings import setting


@dataclass
class PretrainedArguments:
    """Where the checkpoint and its tokenizer come from."""

    model_name_or_path: str | None = setting(None, "Checkpoint folder or Hub id.")
    model_revision: str = setting("main", "Its branch, tag or commit on the Hub.")
    tokenizer_name: str | None = setting(None, "Folder or Hub id of the tokenizer, if it is not the model's.")
    case_markers: bool = setting(False, "Uncased encoders: put a token before each capitalised or upper-case word.")
    cache_dir: str | None = setting(None, "Where downloads are kept.", resume="free")
    trust_remote_code: bool = setting(False, "Run code that comes with the checkpoint.")


@dataclass
class BlockArguments:
    """Text to blocks, and how blocks are masked."""

    block_size: int = setting(256, "Tokens in a block, special tokens included.")
    mlm_probability: float = setting(0.15, "Share of the tokens to predict.")
    mask_replace_prob: float = setting(0.8, "Share of those that become the mask token.")
    random_replace_prob: float = setting(0.1, "Share of those that become a random token.")
    eval_mask_seed: int = setting(0, "Seed of the masks that are drawn once for evaluation.")
    preprocessing_num_workers: int | None = setting(None, "Processes that tokenize.")


@dataclass
class VocabularyArguments:
    """A tokenizer trained on the corpus."""

    tokenizer_type: Literal["wordpiece", "bpe"] = setting(
        "wordpiece", "From scratch: kind of tokenizer to train (bpe is byte-level)."
    )
    vocab_size: int = setting(30522, "From scratch: entries of its vocabulary.")
    lowercase: bool = setting(False, "From scratch: fold case and strip accents.")


@dataclass
class WindowArguments:
    """How documents become windows. A finished model has its own values, which a setting overrides."""

    context: Literal["none", "document"] | None = setting(
        None, "Context of a sentence: none, or the rest of its document (default: the model's own, else document)."
    )
    context_size: int | None = setting(
        None,
        "Tokens on either side that a word is predicted with, if its document has them (64).",
        resume="free",
        at_least=0,
    )
    max_seq_length: int | None = setting(None, "Tokens in a window, special tokens included (512).")

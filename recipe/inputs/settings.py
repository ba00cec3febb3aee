"""Settings of this layer: the tokenizer, blocks and masks of text, windows of documents."""

from dataclasses import dataclass
from typing import Literal

from recipe.settings import setting

Objective = Literal["masked", "masked_autoregressive"]


@dataclass
class PretrainedArguments:
    """The pretrained checkpoint and its tokenizer."""

    model_name_or_path: str | None = setting(None, "Checkpoint folder or Hub id.")
    model_revision: str = setting("main", "Branch, tag or commit of the checkpoint on the Hub.")
    tokenizer_name: str | None = setting(None, "Folder or Hub id of the tokenizer, if it is not that of the model.")
    case_markers: bool = setting(False, "Uncased encoders: put a token before each capitalised or upper-case word.")
    added_words: str | None = setting(None, "Training: file of words, one on each line, to make single tokens.")
    cache_dir: str | None = setting(None, "Folder for downloads.", resume="free")
    trust_remote_code: bool = setting(False, "Run code that comes with the checkpoint.")


@dataclass
class BlockArguments:
    """Blocks of text and their masks."""

    objective: Objective | None = setting(
        None,
        "masked: predict from both sides; masked_autoregressive: from the left (default: the model's, or masked).",
    )
    block_size: int = setting(256, "Tokens in a block, special tokens included.", at_least=3)
    mlm_probability: float = setting(0.15, "Share of the tokens to predict.", at_least=0.001, at_most=1)
    mask_replace_prob: float | None = setting(
        None,
        "Share of the predicted tokens that become the mask token (default: 0.8; masked_autoregressive: 1).",
        at_least=0,
        at_most=1,
    )
    random_replace_prob: float | None = setting(
        None,
        "Share of the predicted tokens that become a random token (default: 0.1; masked_autoregressive: 0).",
        at_least=0,
        at_most=1,
    )
    eval_mask_seed: int = setting(0, "Seed of the masks for evaluation, which are drawn once.")
    preprocessing_num_workers: int | None = setting(
        None, "Number of processes for tokenizing.", at_least=1, at_most=1024
    )


@dataclass
class VocabularyArguments:
    """A tokenizer trained on the corpus."""

    tokenizer_type: Literal["wordpiece", "bpe"] = setting(
        "wordpiece", "From scratch: type of tokenizer to train (bpe is byte-level)."
    )
    vocab_size: int = setting(30522, "From scratch: size of the vocabulary.", at_least=10, at_most=10**7)
    lowercase: bool = setting(False, "From scratch: convert to lower case and strip accents.")


@dataclass
class WindowArguments:
    """Windows of documents. Defaults are the values saved in the model, if it has any."""

    context: Literal["none", "document", "mixed"] | None = setting(
        None, "Context of a sentence: none, its document, or mixed: train with both (default: document)."
    )
    context_size: int | None = setting(
        None,
        "Scoring: tokens of context on each side of a word, if its document has them (default: 64).",
        resume="free",
        at_least=0,
    )
    max_seq_length: int | None = setting(
        None, "Tokens in a window, special tokens included (default: 512).", at_least=3
    )

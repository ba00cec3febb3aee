"""Token ids of special tokens and of single words, as plain lists."""

import hashlib
import json
from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

BATCH = 10_000  # sentences that are tokenized together: an encoding takes far more memory than its ids
IGNORED = -100  # label of positions that are not predicted, the default ignore_index of torch


def special_tokens(tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int]]:
    """The ids that the tokenizer puts before and after one sequence, such as `([CLS], [SEP])`."""
    encoding = tokenizer("a", return_special_tokens_mask=True)
    ids, added = encoding.input_ids, encoding.special_tokens_mask
    start = added.index(0)
    return ids[:start], ids[start + added.count(0) :]


def digest_vocabulary(tokenizer: PreTrainedTokenizerBase) -> str:
    """A SHA-256 digest of all tokens and their ids."""
    return hashlib.sha256(json.dumps(sorted(tokenizer.get_vocab().items())).encode()).hexdigest()


def tokenize_words(tokenizer: PreTrainedTokenizerBase, sentences: Sequence[list[str]]) -> list[list[list[int]]]:
    """The sub-word ids of each word of each sentence. A word without sub-words becomes the unknown token."""
    unknown = tokenizer.unk_token_id if tokenizer.unk_token_id is not None else tokenizer.pad_token_id
    result = []
    for first in range(0, len(sentences), BATCH):
        batch = [[_replace_surrogates(word) for word in words] for words in sentences[first : first + BATCH]]
        encodings = tokenizer(batch, is_split_into_words=True, add_special_tokens=False, verbose=False).encodings
        for words, encoding in zip(batch, encodings, strict=True):
            pieces: list[list[int]] = [[] for _ in words]
            for token_id, word in zip(encoding.ids, encoding.word_ids, strict=True):
                pieces[word].append(token_id)
            result.append([ids or [unknown] for ids in pieces])
    return result


def find_pieces(tokenizer: PreTrainedTokenizerBase) -> list[bool]:
    """For each token id, whether the token continues a word: by `##`, or in other tokenizers by a missing space.

    Vocabularies of either kind can contain some tokens that look like the other one.
    """
    tokens = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    continues = [token.startswith("##") for token in tokens]
    begins = [token.startswith(("\u0120", "\u2581")) for token in tokens]
    return continues if sum(continues) >= sum(begins) else [not begin for begin in begins]


def _replace_surrogates(word: str) -> str:
    """`word` with lone surrogates, which cannot be encoded, replaced by question marks."""
    return word if word.isascii() else word.encode("utf-8", "replace").decode()

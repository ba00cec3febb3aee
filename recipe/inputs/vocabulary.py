"""Training a tokenizer on the corpus: WordPiece like BERT, or byte-level BPE like RoBERTa."""

from collections.abc import Iterable

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from recipe.inputs.settings import VocabularyArguments

WORDPIECE_TOKENS = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}
BPE_TOKENS = {
    "cls_token": "<s>",
    "pad_token": "<pad>",
    "sep_token": "</s>",
    "unk_token": "<unk>",
    "mask_token": "<mask>",
}


def train_tokenizer(texts: Iterable[str], arguments: VocabularyArguments, max_length: int) -> PreTrainedTokenizerFast:
    """Train a tokenizer of `tokenizer_type` with at most `vocab_size` entries, special tokens included.

    The vocabulary is larger if the texts contain more different characters than that (for BPE, 256 bytes).
    max_length: `model_max_length` in tokens; use the block size, because the model is not trained on later positions.
    """
    build = _build_wordpiece if arguments.tokenizer_type == "wordpiece" else _build_bpe
    tokens = WORDPIECE_TOKENS if arguments.tokenizer_type == "wordpiece" else BPE_TOKENS
    tokenizer, trainer = build(arguments.lowercase, {"vocab_size": arguments.vocab_size, "show_progress": False})
    trainer.special_tokens = list(tokens.values())
    tokenizer.train_from_iterator(texts, trainer)
    cls, sep = tokens["cls_token"], tokens["sep_token"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{cls} $A {sep}",
        pair=f"{cls} $A {sep} $B:1 {sep}:1",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in (cls, sep)],
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=max_length, **tokens)


def _build_wordpiece(lowercase: bool, options: dict) -> tuple[Tokenizer, trainers.WordPieceTrainer]:
    tokenizer = Tokenizer(models.WordPiece(unk_token=WORDPIECE_TOKENS["unk_token"]))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer, trainers.WordPieceTrainer(**options)


def _build_bpe(lowercase: bool, options: dict) -> tuple[Tokenizer, trainers.BpeTrainer]:
    tokenizer = Tokenizer(models.BPE())
    if lowercase:
        tokenizer.normalizer = normalizers.Sequence(
            [normalizers.NFD(), normalizers.StripAccents(), normalizers.Lowercase()]
        )
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer, trainers.BpeTrainer(initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), **options)

"""Training a tokenizer on the corpus: WordPiece like BERT, or byte-level BPE like RoBERTa.

The same text always gives the same tokenizer. The WordPiece trainer of `tokenizers` does not: it numbers the pieces
within words in the random order of a hash map, and breaks ties by these numbers. Here its BPE trainer, which numbers
characters in order, learns the pieces: each character within a word is replaced by one of a private area of Unicode, so
that pieces at the start of a word and within it are different without the prefix `##`, which they get afterwards.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain, islice, repeat

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
PRIVATE = 0xF0000  # the first character of the planes for private use
CHUNK = 1000  # words that are passed to the trainer together


def train_tokenizer(texts: Iterable[str], arguments: VocabularyArguments, max_length: int) -> PreTrainedTokenizerFast:
    """Train a tokenizer of `tokenizer_type` with at most `vocab_size` entries, special tokens included.

    The vocabulary is larger if the texts contain more different characters than that (for BPE, 256 bytes).
    max_length: `model_max_length` in tokens; use the block size, because the model is not trained on later positions.
    """
    build = _train_wordpiece if arguments.tokenizer_type == "wordpiece" else _train_bpe
    tokens = WORDPIECE_TOKENS if arguments.tokenizer_type == "wordpiece" else BPE_TOKENS
    options = {"vocab_size": arguments.vocab_size, "show_progress": False, "special_tokens": list(tokens.values())}
    tokenizer = build(texts, arguments.lowercase, options)
    cls, sep = tokens["cls_token"], tokens["sep_token"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{cls} $A {sep}",
        pair=f"{cls} $A {sep} $B:1 {sep}:1",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in (cls, sep)],
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=max_length, **tokens)


def _train_wordpiece(texts: Iterable[str], lowercase: bool, options: dict) -> Tokenizer:
    normalizer, splitter = normalizers.BertNormalizer(lowercase=lowercase), pre_tokenizers.BertPreTokenizer()
    words: Counter[str] = Counter()
    for chunk, count in Counter(chain.from_iterable(map(str.split, texts))).items():
        for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(chunk)):
            words[word] += count
    inner = sorted({letter for word in words for letter in word[1:]})
    hide = {ord(letter): PRIVATE + number for number, letter in enumerate(inner)}
    show = {private: letter for letter, private in hide.items()}
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trained.train_from_iterator(_repeat_words(words, hide), trainers.BpeTrainer(**options))
    pieces = sorted(trained.get_vocab().items(), key=lambda item: item[1])
    vocabulary = {("##" if ord(piece[0]) in show else "") + piece.translate(show): number for piece, number in pieces}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token=WORDPIECE_TOKENS["unk_token"]))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, splitter
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens(options["special_tokens"])
    return tokenizer


def _repeat_words(words: Counter[str], hide: dict[int, int]) -> Iterator[str]:
    """Text in which each word stands as often as it was counted, the characters within it replaced by those of `hide`.

    Words with characters of the private planes, which could not be told apart, are left out.
    """
    known = (word for word in words if max(word) < chr(PRIVATE))
    repeated = chain.from_iterable(repeat(word[0] + word[1:].translate(hide), words[word]) for word in known)
    while part := list(islice(repeated, CHUNK)):
        yield " ".join(part)


def _train_bpe(texts: Iterable[str], lowercase: bool, options: dict) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    if lowercase:
        tokenizer.normalizer = normalizers.Sequence(
            [normalizers.NFD(), normalizers.StripAccents(), normalizers.Lowercase()]
        )
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(initial_alphabet=alphabet, **options))
    return tokenizer

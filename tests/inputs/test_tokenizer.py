import pytest
from sentencepiece import SentencePieceTrainer
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    AutoTokenizer,
    DebertaV2Config,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaTokenizer,
)

from conftest import make_tokenizer
from recipe.inputs.tokenizer import load_tokenizer
from recipe.inputs.tokens import find_pieces, tokenize_words
from recipe.model.settings import ModelArguments


def test_padding_is_on_the_right(tmp_path):
    tokenizer = make_tokenizer()
    tokenizer.padding_side = "left"
    tokenizer.save_pretrained(tmp_path)
    assert load_tokenizer(ModelArguments(model_name_or_path=str(tmp_path))).padding_side == "right"


def test_a_saved_roberta_tokenizer_makes_the_ids_of_training(tmp_path):
    """Its class makes the splitter anew from an attribute, whatever tokenizer.json says."""
    vocabulary = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    numbers = {token: number for number, token in enumerate(vocabulary)}
    RobertaTokenizer(vocab=numbers, merges=[]).save_pretrained(tmp_path)
    RobertaConfig(vocab_size=len(vocabulary)).save_pretrained(tmp_path)
    tokenizer = load_tokenizer(ModelArguments(model_name_or_path=str(tmp_path)))
    trained = tokenizer(["ab", "cd"], is_split_into_words=True).tokens()
    assert trained == ["<s>", "Ġ", "a", "b", "Ġ", "c", "d", "</s>"]
    tokenizer.save_pretrained(tmp_path / "saved")
    RobertaConfig(vocab_size=len(vocabulary)).save_pretrained(tmp_path / "saved")
    again = AutoTokenizer.from_pretrained(tmp_path / "saved")
    assert again(["ab", "cd"], is_split_into_words=True).tokens() == trained


def byte_level(**options):
    return pre_tokenizers.ByteLevel(add_prefix_space=False, **options)


# As of: GPT-2 and RoBERTa; Llama 3, EuroBERT and Qwen; Gemma and mmBERT.
SPACED = {
    "byte-level": (None, byte_level(), "Ġ"),
    "split": (
        None,
        pre_tokenizers.Sequence(
            [pre_tokenizers.Split(Regex(r" ?\w+| ?[^\s\w]"), "isolated"), byte_level(use_regex=False)]
        ),
        "Ġ",
    ),
    "replaced": (normalizers.Replace(" ", "▁"), pre_tokenizers.Split(" ", "merged_with_previous"), "▁"),
}


@pytest.mark.parametrize("kind", SPACED)
def test_words_are_read_as_behind_a_space(tmp_path, kind):
    """Loaded as saved, these tokenizers would read the second of two words as the continuation of the first."""
    normalizer, splitter, space = SPACED[kind]
    alphabet = sorted({*pre_tokenizers.ByteLevel.alphabet(), "▁"})
    vocabulary = {token: number for number, token in enumerate(["<unk>", *alphabet])}
    backend = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>"))
    backend.pre_tokenizer = splitter
    if normalizer:
        backend.normalizer = normalizer
    else:
        backend.post_processor = processors.Sequence([processors.ByteLevel(add_prefix_space=False, trim_offsets=True)])
    PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>").save_pretrained(tmp_path)
    tokenizer = load_tokenizer(ModelArguments(model_name_or_path=str(tmp_path)))
    pieces = tokenize_words(tokenizer, [["ab's", "c"]])[0]
    assert [tokenizer.convert_ids_to_tokens(ids) for ids in pieces] == [[space, *"ab's"], [space, "c"]]
    tokenizer.save_pretrained(tmp_path)
    found = AutoTokenizer.from_pretrained(tmp_path)("ab's c", return_offsets_mapping=True)
    assert found.tokens() == [space, *"ab's", space, "c"]
    offsets = [span for span, token in zip(found.offset_mapping, found.tokens(), strict=True) if token != space]
    assert offsets == [(0, 1), (1, 2), (2, 3), (3, 4), (5, 6)]


def test_a_sentencepiece_model_becomes_a_fast_tokenizer(tmp_path):
    """As DeBERTa-v3 is published: there is no tokenizer.json."""
    (tmp_path / "text.txt").write_text("\n".join(f"Oslo and Lima tell of port {number}" for number in range(300)))
    pieces = {f"{name}_id": number for number, name in enumerate(("pad", "bos", "eos", "unk"))}
    pieces |= {"pad_piece": "[PAD]", "bos_piece": "[CLS]", "eos_piece": "[SEP]", "unk_piece": "[UNK]"}
    prefix = str(tmp_path / "spm")
    SentencePieceTrainer.train(
        input=str(tmp_path / "text.txt"), model_prefix=prefix, vocab_size=50, minloglevel=2, **pieces
    )
    DebertaV2Config(vocab_size=51).save_pretrained(tmp_path)
    tokenizer = load_tokenizer(ModelArguments(model_name_or_path=str(tmp_path)))
    assert tokenizer(["Oslo", "port"], is_split_into_words=True).input_ids == tokenizer("Oslo port").input_ids
    assert tokenizer.decode(tokenizer("Oslo port").input_ids, skip_special_tokens=True) == "Oslo port"
    assert tokenizer.mask_token_id == 50


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        (["[MASK]", "port", "##s", "##a", "\u2581"], [False, False, True, True, False]),
        (["<mask>", "\u0120port", "s", "\u0120a", "##"], [True, False, True, False, True]),
        (["\u2581port", "s"], [False, True]),
    ],
)
def test_pieces_are_the_tokens_that_continue_a_word(tokens, expected):
    class Words(list):
        def convert_ids_to_tokens(self, ids):
            return [self[number] for number in ids]

    assert find_pieces(Words(tokens)) == expected

import pytest
from transformers import AutoTokenizer

from conftest import run_program
from recipe.arguments import MlmArguments
from recipe.inputs.vocabulary import train_tokenizer

TEXTS = ["The harbour of Évora opened again.", "Ships came into the harbour; the harbour was full."] * 20


@pytest.mark.parametrize("kind", ["wordpiece", "bpe"])
@pytest.mark.parametrize("lowercase", [False, True])
def test_trained_tokenizer_survives_saving(tmp_path, kind, lowercase):
    arguments = MlmArguments(tokenizer_type=kind, lowercase=lowercase, vocab_size=300)
    train_tokenizer(TEXTS, arguments, 48).save_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert len(tokenizer) <= 300
    assert tokenizer.model_max_length == 48
    ids = tokenizer("The harbour").input_ids
    assert (ids[0], ids[-1]) == (tokenizer.cls_token_id, tokenizer.sep_token_id)
    assert tokenizer.decode(ids, skip_special_tokens=True).strip() == ("the harbour" if lowercase else "The harbour")
    assert None not in (tokenizer.mask_token_id, tokenizer.pad_token_id, tokenizer.unk_token_id)
    assert tokenizer.decode(tokenizer(" Évora")["input_ids"][1:-1]).strip() == ("evora" if lowercase else "Évora")


PROGRAM = """
import hashlib
from recipe.arguments import MlmArguments
from recipe.inputs.vocabulary import train_tokenizer
texts = [f"ab{n % 7} cd{n % 11} éf{n % 13} naïve" for n in range(300)]  # many pairs that are equally frequent
tokenizer = train_tokenizer(iter(texts), MlmArguments(tokenizer_type="KIND", vocab_size=SIZE), 48)
print(hashlib.sha256(tokenizer.backend_tokenizer.to_str().encode()).hexdigest())
"""


@pytest.mark.parametrize(("kind", "size"), [("wordpiece", 60), ("bpe", 300)])
def test_the_same_text_gives_the_same_tokenizer_in_each_process(kind, size):
    assert len({run_program(PROGRAM.replace("KIND", kind).replace("SIZE", str(size))) for _ in range(3)}) == 1


def test_pieces_within_words_are_told_from_their_starts():
    tokenizer = train_tokenizer(["ababab baba ab\U000f0001"] * 9, MlmArguments(vocab_size=20), 48)
    vocabulary = tokenizer.get_vocab()
    assert {"a", "b", "##a", "##b"} <= vocabulary.keys()
    assert sorted(vocabulary.values()) == list(range(len(vocabulary)))
    assert tokenizer.decode(tokenizer("ababab abba").input_ids, skip_special_tokens=True) == "ababab abba"

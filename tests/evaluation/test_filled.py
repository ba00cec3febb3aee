"""The file of masked tokens in their context."""

import pytest

from recipe.errors import RecipeError
from recipe.evaluation.filled import FilledExample, FilledPiece, name_filled, read_filled, write_filled

EXAMPLE = FilledExample(
    block=3,
    before=[FilledPiece("Mara left", False, False)],
    original=FilledPiece("Ålesund", True, False),
    after=[FilledPiece(".", False, False), FilledPiece("s", True, True)],
    candidates=[("Oslo", 0.5), ("##s", 0.25)],
    rank=7,
    probability=0.01,
)


def test_examples_are_read_as_they_were_written(tmp_path):
    examples = [EXAMPLE, EXAMPLE._replace(rank=1)]
    write_filled(tmp_path, "dev", examples)
    assert read_filled(tmp_path, "dev") == examples
    assert [example.is_recovered for example in examples] == [False, True]
    assert read_filled(tmp_path, "test") == []


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"block": "x"}', '{"block": 1, "before": 2}', "\ud800"])
def test_a_damaged_file_is_refused_by_name(tmp_path, content):
    write_filled(tmp_path, "dev", [])
    name_filled(tmp_path, "dev").write_text(content, encoding="utf-8", errors="surrogatepass")
    with pytest.raises(RecipeError, match=r"dev.filled.jsonl: .*: evaluate the run again, or delete the file"):
        read_filled(tmp_path, "dev")

import json

import datasets
import pytest

from recipe.arguments import MlmArguments
from recipe.data.articles import load_articles, name_source
from recipe.errors import RecipeError
from recipe.inputs.blocks import build_blocks, digest_blocks, pack_blocks
from recipe.inputs.masking import draw_masks

SEP = 0


@pytest.mark.parametrize(
    ("articles", "size", "blocks"),
    [
        ([], 4, []),
        ([[]], 4, []),
        ([[1, 2]], 4, [[1, 2]]),
        ([[1, 2], [3]], 4, [[1, 2, SEP, 3]]),
        ([[1, 2, 3, 4, 5]], 2, [[1, 2], [3, 4], [5]]),
        ([[1, 2, 3], [4, 5]], 4, [[1, 2, 3], [4, 5]]),  # room for a separator only
        ([[1, 2, 3, 4], [5]], 4, [[1, 2, 3, 4], [5]]),
        ([[1], [], [2]], 4, [[1, SEP, 2]]),
        ([[1], [2, 3, 4, 5]], 4, [[1, SEP, 2, 3], [4, 5]]),
    ],
)
def test_pack_blocks(articles, size, blocks):
    assert list(pack_blocks(articles, size, SEP)) == blocks


@pytest.mark.parametrize(("suffix", "content"), [(".txt", "\n \n"), (".jsonl", '{"text": ""}\n')])
def test_validation_text_without_tokens_is_refused_by_name(tmp_path, tokenizer, articles_file, suffix, content):
    path = tmp_path / f"blank{suffix}"
    path.write_text(content)
    arguments = MlmArguments(train_file=[articles_file], validation_file=[str(path)])
    with pytest.raises(RecipeError, match=rf"validation_file: {path}: no .*check the content"):
        build_blocks(load_articles(arguments)["dev"], tokenizer, arguments, name_source(arguments, "dev"))


def test_streamed_text_of_the_hub_is_evaluated_on_a_fixed_set(tmp_path, tokenizer):
    rows = [json.dumps({"text": f"article {number}"}) for number in range(9)]
    (tmp_path / "train.jsonl").write_text("\n".join(rows))
    (tmp_path / "validation.jsonl").write_text("\n".join(rows[:5]))
    arguments = MlmArguments(dataset_name=str(tmp_path), streaming=True, max_eval_samples=3, block_size=16)
    articles = load_articles(arguments)
    assert isinstance(articles["train"], datasets.IterableDataset)
    assert list(articles["dev"]["text"]) == ["article 0", "article 1", "article 2"]
    blocks = draw_masks(build_blocks(articles["dev"], tokenizer, arguments), tokenizer, arguments)
    assert {"input_ids", "labels"} <= set(blocks.column_names)


@pytest.mark.parametrize("streaming", [False, True])
def test_blocks_hold_every_token_once_between_special_tokens(tokenizer, articles_file, streaming):
    arguments = MlmArguments(train_file=[articles_file], block_size=32, streaming=streaming)
    articles = load_articles(arguments, wanted=["train"])["train"]
    blocks = [row["input_ids"] for row in build_blocks(articles, tokenizer, arguments)]
    cls, sep = tokenizer.cls_token_id, tokenizer.sep_token_id
    assert all(len(block) <= 32 and block[0] == cls and block[-1] == sep and cls not in block[1:] for block in blocks)
    assert sum(len(block) < 31 for block in blocks) <= 1
    found = [i for block in blocks for i in block if i not in (cls, sep)]
    expected = tokenizer([row["text"] for row in articles], add_special_tokens=False).input_ids
    assert found == [i for ids in expected for i in ids]


def test_block_size_must_leave_room(tokenizer, articles_file):
    arguments = MlmArguments(train_file=[articles_file], block_size=2)
    with pytest.raises(RecipeError, match="block_size"):
        build_blocks(load_articles(arguments)["train"], tokenizer, arguments)


def test_a_digest_tells_tokens_and_blocks_apart():
    ids = [[1, 2, 3], [4, 5]]
    many = [[number % 97, 5] for number in range(3000)]
    others = [[1, 2], [3, 4, 5]], [[1, 2, 3], [4, 6]], [[4, 5], [1, 2, 3]], many, [*many[:2500], [0, 0], *many[2501:]]
    digests = [digest_blocks(datasets.Dataset.from_dict({"input_ids": blocks})) for blocks in (ids, *others)]
    assert len(set(digests)) == len(digests)
    reversed_ids = datasets.Dataset.from_dict({"input_ids": ids[::-1]})
    assert digest_blocks(reversed_ids.select([1, 0])) == digests[0]

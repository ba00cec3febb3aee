"""Streamed blocks: divided among processes, shuffled, and resumed where they stood."""

import json
import random
import re
from collections import Counter
from functools import partial
from itertools import islice, takewhile
from multiprocessing.reduction import ForkingPickler

import pytest

from recipe.arguments import MlmArguments
from recipe.data.articles import explain_reading, load_articles
from recipe.errors import RecipeError
from recipe.inputs import stream
from recipe.inputs.blocks import build_blocks
from recipe.inputs.masking import build_collator
from recipe.inputs.stream import BlockStream, _start_pass
from recipe.inputs.tokens import IGNORED

FILES = 6


@pytest.fixture
def make_stream(tokenizer, tmp_path, monkeypatch):
    """The stream of one of several processes over six files, whose blocks each hold two of the file's articles."""
    monkeypatch.setattr(stream, "CHUNK", 10)
    monkeypatch.setattr("recipe.inputs.blocks.BATCH", 6)
    for file in range(FILES):
        articles = [f"f{file} a{number:02}" for number in range(24 + 2 * file)]
        (tmp_path / f"{file}.txt").write_text("\n\n".join(articles))

    def make(rank=0, processes=1, **more):
        arguments = MlmArguments(
            train_file=[str(tmp_path / "*.txt")], block_size=13, streaming=True, mlm_probability=0.3
        )
        blocks = build_blocks(load_articles(arguments, wanted=["train"])["train"], tokenizer, arguments)
        explain = partial(explain_reading, arguments)
        collator = build_collator(tokenizer, arguments, 3)
        return BlockStream(blocks, collator, 4, 3, explain, rank, processes)

    return make


def unmask(batch):
    """The blocks of a batch as they were before masking."""
    inputs, labels = batch["input_ids"], batch["labels"]
    return [tuple(row) for row in inputs.where(labels == IGNORED, labels).tolist()]


def read_pass(batches, number=0):
    return list(takewhile(lambda batch: batch["position"]["pass"] == number, batches))


def plain(batch):
    return batch["input_ids"].tolist(), batch["labels"].tolist()


@pytest.mark.parametrize(("rank", "processes"), [(0, 1), (1, 4), (5, 8)])
def test_a_stream_goes_on_from_any_position(make_stream, rank, processes):
    draw = random.Random(0)
    expected = [plain(batch) for batch in islice(make_stream(rank, processes), 90)]
    found, stream = [], make_stream(rank, processes)
    while len(found) < len(expected):
        part = list(islice(stream, draw.randint(1, 14)))
        found += map(plain, part)
        stream = make_stream(rank, processes)
        stream.load_state_dict(json.loads(json.dumps(part[-1]["position"])))
    assert found[:90] == expected


@pytest.mark.parametrize("processes", [1, 2, 4, 6, 8])
def test_processes_share_the_text_without_overlap(make_stream, processes):
    shares = [
        [block for batch in read_pass(make_stream(rank, processes)) for block in unmask(batch)]
        for rank in range(processes)
    ]
    blocks = [block for share in shares for block in share]
    assert len(blocks) == len(set(blocks))
    assert all(shares)
    if processes in (1, 2, 6):  # else blocks are shared out, and the ends of files are made up into blocks elsewhere
        whole = [block for batch in read_pass(make_stream()) for block in unmask(batch)]
        assert sorted(blocks) == sorted(whole)


def test_a_pass_holds_all_of_the_text(make_stream, tokenizer):
    text = " ".join(tokenizer.decode(block) for batch in read_pass(make_stream()) for block in unmask(batch))
    found = Counter(re.findall(r"f ##(\d) a ##(\d) ##(\d)", text))
    expected = {(str(file), *f"{number:02}") for file in range(FILES) for number in range(24 + 2 * file)}
    assert found == Counter(expected)


def test_files_come_in_another_order_in_each_pass(make_stream, tokenizer):
    orders = []
    for number in range(3):
        stream = make_stream()
        stream.load_state_dict(_start_pass(number))
        texts = [tokenizer.decode(block) for batch in read_pass(stream, number) for block in unmask(batch)]
        orders.append(tuple(dict.fromkeys(re.findall(r"f ##(\d)", " ".join(texts)))))
    assert len(set(orders)) > 1


def test_a_stream_can_be_sent_to_a_worker_that_is_no_copy_of_its_process(make_stream):
    assert ForkingPickler.dumps(make_stream())  # as where workers are spawned


def test_resuming_reads_no_file_that_lies_before(make_stream, tokenizer, tmp_path):
    whole = read_pass(make_stream())
    at = len(whole) * 3 // 4
    read_again = whole[at - 6 :]  # what is left, and the shuffled chunk that is read again
    tokens = [tokenizer.decode(block) for batch in read_again for block in unmask(batch)]
    needed = set(re.findall(r"f ##(\d)", " ".join(tokens)))
    assert needed
    spoilt = {str(file) for file in range(FILES)} - needed
    assert len(spoilt) >= 2
    stream = make_stream()
    for file in spoilt:
        (tmp_path / f"{file}.txt").write_bytes(b"\xff\xff")
    stream.load_state_dict(whole[at - 1]["position"])
    assert [plain(batch) for batch in islice(stream, len(whole) - at)] == [plain(batch) for batch in whole[at:]]
    with pytest.raises(RecipeError, match=r"\d.txt:1: byte 0xff is not utf-8"):
        list(islice(stream, len(whole)))  # the next pass does read them


def test_a_second_pass_has_another_order_and_other_masks(make_stream):
    batches = list(islice(make_stream(), 100))
    first, second = ([b for b in batches if b["position"]["pass"] == number] for number in (0, 1))
    blocks = [[block for batch in part for block in unmask(batch)] for part in (first, second[: len(first)])]
    assert blocks[0] != blocks[1]
    masks = [{tuple(row) for batch in part for row in batch["labels"].tolist()} for part in (first, second)]
    assert len(masks[0] & masks[1]) < len(masks[0]) / 2

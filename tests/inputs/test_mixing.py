"""Windows whose context is drawn in each epoch: every word once, alone or with neighbours, repeatable."""

import pytest
import torch

from conftest import make_tokenizer
from recipe.data.documents import Document, Sentence
from recipe.inputs.mixing import MixedWindows
from recipe.inputs.tokens import IGNORED
from recipe.inputs.windows import build_windows
from recipe.model.packing import split_segments

LABELS = ["O", "B-X", "I-X"]
SENTENCES = [["ab", "c"], ["d"], ["ef", "g", "h"], ["ijk"]]


@pytest.fixture
def tokenizer():
    return make_tokenizer()


def make_windows(tokenizer, documents=30):
    document = Document([Sentence(words, ["B-X"] + ["O"] * (len(words) - 1)) for words in SENTENCES])
    return build_windows([document] * documents, tokenizer, LABELS, 64, "mixed")


def collate(tokenizer, examples):
    batch = tokenizer.pad([{key: example[key] for key in ("input_ids", "attention_mask")} for example in examples])
    longest = len(batch["input_ids"][0])
    labels = [example["labels"] + [IGNORED] * (longest - len(example["labels"])) for example in examples]
    return {key: torch.tensor(values) for key, values in {**batch, "labels": labels}.items()}


def list_rows(batch):
    """The tokens of each row without padding, with their labels."""
    rows = zip(batch["input_ids"], batch["labels"], batch["attention_mask"], strict=True)
    return [(ids[mask > 0].tolist(), labels[mask > 0].tolist()) for ids, labels, mask in rows]


def test_segments_are_what_sentences_alone_and_windows_whole_look_like(tokenizer):
    windows = make_windows(tokenizer)
    alone = [Document([Sentence(words, ["B-X"] + ["O"] * (len(words) - 1))]) for words in SENTENCES]
    alone = {tuple(window["input_ids"]): window["labels"] for window in build_windows(alone, tokenizer, LABELS, 64)}
    whole = {tuple(windows[0]["input_ids"])}
    mixed = MixedWindows(windows, tokenizer, seed=1)
    seen = {"alone": 0, "whole": 0, "few": 0}
    for number in range(len(mixed)):
        rows = list_rows(split_segments(collate(tokenizer, [mixed[number]])))
        if len(rows) == len(SENTENCES):
            assert {tuple(ids): labels for ids, labels in rows} == alone
            seen["alone"] += 1
        elif len(rows) == 1:
            assert {tuple(ids) for ids, _ in rows} == whole
            seen["whole"] += 1
        else:
            seen["few"] += 1
        assert sum(label != IGNORED for _, labels in rows for label in labels) == 7  # each word once
    assert min(seen.values()) > 0, seen


def test_draws_depend_on_seed_and_epoch_alone(tokenizer):
    windows = make_windows(tokenizer)

    def draw(seed, epoch):
        mixed = MixedWindows(windows, tokenizer, seed)
        mixed.set_epoch(epoch)
        return [mixed[number] for number in range(len(mixed))]

    assert draw(1, 2) == draw(1, 2)
    assert draw(1, 2) != draw(1, 3)
    assert draw(1, 2) != draw(2, 2)


def test_a_batch_without_splits_stays_as_it_is(tokenizer):
    batch = {"input_ids": torch.ones(2, 3, dtype=torch.int64), "attention_mask": torch.ones(2, 3, dtype=torch.int64)}
    assert split_segments(batch) is batch

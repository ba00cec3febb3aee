"""An ensemble tags by the mean logits, and its difference is that from the mean of the single runs."""

import numpy as np
import pytest

from bench.ensembles import LOGITS, describe, format_ensembles, tag_by_mean
from conftest import make_tokenizer
from recipe.data.documents import Document, Sentence
from recipe.inference.decoding import decode
from recipe.inference.tagger import Tagger

LABELS = ["O", "B-PER", "I-PER"]
DOCUMENTS = [Document([Sentence(["Mara", "left"], ["B-PER", "O"]), Sentence(["she", "ran", "home"], ["O"] * 3)])]


class Noise:
    """A backend with random logits of its own."""

    batch_tokens = 64

    def __init__(self, seed):
        self.seed = seed

    def run(self, batches):
        numbers = np.random.default_rng(self.seed)
        for batch in batches:
            yield numbers.normal(size=(*batch["input_ids"].shape, len(LABELS))).astype(np.float32)


@pytest.fixture
def taggers():
    return [Tagger(LABELS, make_tokenizer(), Noise(seed)) for seed in range(3)]


def test_one_tagger_tags_as_it_does_alone(taggers):
    for tagger in taggers:
        assert tag_by_mean([tagger], DOCUMENTS) == [one.tags for one in tagger.tag_documents(DOCUMENTS)]


def test_several_taggers_tag_by_their_mean_logits(taggers):
    mean = np.mean([tagger._collect(DOCUMENTS, *run(tagger))[0] for tagger in taggers], axis=0)
    assert tag_by_mean(taggers, DOCUMENTS) == decode(mean, [2, 3], LABELS)


def run(tagger):
    windows = tagger.windows(DOCUMENTS)
    return windows, tagger.run(windows)


def test_the_difference_is_from_the_mean_of_the_single_runs():
    found = {name: np.array([[[hits, 4, 4]]] * 3 + [[[4, 4, 4]]]) for name, hits in (("a", 1), ("b", 3), (LOGITS, 3))}
    rows = describe(found)
    assert [round(row["f1"], 1) for row in rows.values()] == [43.8, 81.2, 81.2]
    low, high = rows[LOGITS]["difference"]["interval"]
    assert low < 25 * 3 / 4 < high
    table = format_ensembles({"dev": rows, "test": {}})
    assert "| a | 43.75 |  |" in table
    assert f"| {LOGITS} | 81.25, +18.75 (+" in table


def test_seeds_that_agree_have_no_interval():
    found = dict.fromkeys(["a", "b", LOGITS], np.array([[[2, 4, 4]]] * 4))
    assert describe(found)[LOGITS]["difference"]["interval"] is None
    assert f"| {LOGITS} | 50.00, +0.00 |" in format_ensembles({"dev": describe(found), "test": {}})

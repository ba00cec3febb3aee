"""The page of a run with a large test split: how long it takes, and how much memory."""

import json
import os
import random
import subprocess
import sys

import pytest

from conftest import ROOT
from recipe.data.documents import Document, Sentence
from recipe.data.schemes import list_entities
from recipe.evaluation.predictions import Confidences, write_mentions, write_predictions
from recipe.evaluation.scoring import score

pytestmark = pytest.mark.slow

WORDS, LENGTH = 1_000_000, 20  # of the split, and of a sentence
TAGS = (["O"] * 16 + ["B-PER", "I-PER", "B-LOC", "O"], ["O"] * 15 + ["B-ORG", "I-ORG", "O", "B-LOC", "O"])


def write_run(folder):
    """A folder with a million words, 150,000 entities, and an error in every second sentence."""
    draw = random.Random(0)
    vocabulary = [f"word{number}" for number in range(50_000)]
    gold = [Sentence(draw.choices(vocabulary, k=LENGTH), TAGS[0]) for _ in range(WORDS // LENGTH)]
    predicted = [TAGS[number % 2] for number in range(len(gold))]
    confidences = [
        Confidences([draw.random() for _ in tags], [draw.random() for _ in list_entities(tags)]) for tags in predicted
    ]
    write_predictions(folder, "test", [Document(gold)], predicted, confidences)
    write_mentions(folder, gold[:10_000])
    few = score([sentence.tags for sentence in gold[:100]], predicted[:100])
    (folder / "report.json").write_text(json.dumps({"test": few, "run": {}}))


def test_the_page_of_a_million_words_takes_less_than_a_minute_and_two_gigabytes(tmp_path):
    """Measured as the processor time of a process of its own, so that a busy machine does not count."""
    write_run(tmp_path)
    process = subprocess.Popen([sys.executable, "-m", "recipe", "report", tmp_path], cwd=ROOT)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0
    seconds, peak = usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1000  # MB
    print(f"{seconds:.0f} s, {peak:.0f} MB")
    kinds = json.loads((tmp_path / "analysis.json").read_text())["test"]["kinds"]
    assert sum(kinds.values()) >= 100_000
    assert seconds < 60
    assert peak < 2000

"""Tagging of large files: constant memory, and an interrupted output that continues to the same bytes."""

import hashlib
import os
import random
import signal
import subprocess
import sys
import time

import pytest
from test_growth import make_word_tokenizer
from transformers import BertConfig, BertForTokenClassification

from conftest import ROOT

pytestmark = pytest.mark.slow

MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    tokenizer = make_word_tokenizer()
    labels = {0: "O", 1: "B-X", 2: "I-X"}
    sizes = {"vocab_size": len(tokenizer), "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = BertConfig(**sizes, intermediate_size=16, id2label=labels, label2id={"O": 0, "B-X": 1, "I-X": 2})
    BertForTokenClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_text(path, size):
    """Articles of 40 words of 40 letters: few words for much text, as it is the text that could pile up."""
    draw = random.Random(0)
    words = [f"{draw.getrandbits(160):040x}" for _ in range(2000)]
    articles = [" ".join(draw.choices(words, k=40)) + ".\n\n" for _ in range(500)]
    with open(path, "w") as file:
        while file.tell() < size:
            file.write("".join(draw.sample(articles, len(articles))))


def start(model, text, output, *more):
    command = [sys.executable, "-m", "recipe", "tag", "--model", model, text, "--output", output, *more]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)


def finish(process):
    """The peak of resident memory in MB of a process that ended well."""
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0
    return usage.ru_maxrss / 1000


def test_memory_does_not_grow_with_the_text_and_a_killed_run_continues_to_the_same_bytes(model, tmp_path):
    for size in (1, 100):
        write_text(tmp_path / f"{size}.txt", size * MEGABYTE)
    small = finish(start(model, tmp_path / "1.txt", tmp_path / "1.jsonl"))
    large = finish(start(model, tmp_path / "100.txt", tmp_path / "100.jsonl"))
    print(f"peak memory: {small:.0f} MB for 1 MB of text, {large:.0f} MB for 100 MB")
    assert large <= 1.2 * small
    killed = start(model, tmp_path / "100.txt", tmp_path / "again.jsonl")
    partial = tmp_path / "again.jsonl.partial"
    while not partial.exists() or partial.stat().st_size < 40 * MEGABYTE:
        assert killed.poll() is None
        time.sleep(0.1)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert not (tmp_path / "again.jsonl").exists()
    started = partial.stat().st_size
    finish(start(model, tmp_path / "100.txt", tmp_path / "again.jsonl", "--resume"))
    assert started >= 40 * MEGABYTE
    digests = {hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() for name in ("100.jsonl", "again.jsonl")}
    assert len(digests) == 1

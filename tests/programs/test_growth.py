"""What grows with the text and what does not."""

import json
import random
import time
from functools import partial

import datasets
import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertForMaskedLM, PreTrainedTokenizerFast

from conftest import make_tokenizer, run_program
from recipe.arguments import MlmArguments
from recipe.data.articles import explain_reading, load_articles
from recipe.data.documents import Document, Sentence
from recipe.inputs.blocks import build_blocks
from recipe.inputs.masking import build_collator
from recipe.inputs.stream import BlockStream
from recipe.inputs.windows import build_windows
from recipe.training.checkpoints import find_checkpoint
from recipe.training.runtime import count_cores
from recipe.training.settings import TrainingArguments
from recipe.training.trainer import RecipeTrainer

pytestmark = pytest.mark.slow

SHARD = 50_000_000  # bytes of a file of text


def make_word_tokenizer():
    """A token for each word: as fast as tokenizers get."""
    special = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "[MASK]": 4}
    tokenizer = Tokenizer(models.WordLevel(special, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    names = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, **{f"{name}_token": token for name, token in names.items()}
    )


def write_shard(path):
    """Articles of 40 words of 100 letters: few tokens for much text, as it is the text that could pile up."""
    draw = random.Random(path.name)
    words = [f"{draw.getrandbits(400):0100x}" for _ in range(2000)]
    articles = [" ".join(draw.choices(words, k=40)) for _ in range(500)]
    with open(path, "w") as file:
        while file.tell() < SHARD:
            file.write("\n\n".join(draw.sample(articles, len(articles))) + "\n\n")


def read_one_pass(folder):
    """Stream a folder's text through a pass and print the tokens and the peak of resident memory in MB."""
    tokenizer = make_word_tokenizer()
    arguments = MlmArguments(train_file=[f"{folder}/*.txt"], block_size=512, streaming=True)
    blocks = build_blocks(load_articles(arguments, wanted=["train"])["train"], tokenizer, arguments)
    tokens, started = 0, time.perf_counter()
    explain = partial(explain_reading, arguments)
    for batch in BlockStream(blocks, build_collator(tokenizer, arguments), 64, 42, explain):
        if batch["position"]["pass"]:
            break
        tokens += batch["input_ids"].numel()
    with open("/proc/self/status") as status:
        peak = next(int(line.split()[1]) >> 10 for line in status if line.startswith("VmHWM"))
    print(json.dumps({"tokens": tokens, "peak": peak, "seconds": time.perf_counter() - started}))


def test_memory_does_not_grow_with_the_streamed_text(tmp_path):
    found = []
    for shards in (2, 40):  # 0.1 GB, 2 GB
        folder = tmp_path / str(shards)
        folder.mkdir()
        write_shard(folder / "0.txt")
        for number in range(1, shards):
            (folder / f"{number}.txt").hardlink_to(folder / "0.txt")
        program = (
            f"import sys; sys.path[:0] = ['tests']; import test_growth; test_growth.read_one_pass({str(folder)!r})"
        )
        found.append(json.loads(run_program(program)))
        print(found[-1])
    assert found[1]["tokens"] == pytest.approx(20 * found[0]["tokens"], rel=0.02)
    assert found[1]["peak"] < 1.1 * found[0]["peak"]


def test_a_checkpoint_is_written_and_verified_at_the_speed_of_the_disk(tokenizer, tmp_path):
    config = BertConfig(hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536)
    training = TrainingArguments(output_dir=str(tmp_path), max_steps=1, save_strategy="no", disable_tqdm=True)
    blocks = datasets.Dataset.from_dict({"input_ids": [[2, 5, 6, 3]] * 8})
    collator = build_collator(tokenizer, MlmArguments(mlm_probability=1.0))
    trainer = RecipeTrainer(args=training, model=BertForMaskedLM(config), train_dataset=blocks, data_collator=collator)
    trainer.train()
    started = time.perf_counter()
    trainer.save_checkpoint()
    saved = time.perf_counter()
    checkpoint = find_checkpoint(tmp_path)
    verified = time.perf_counter()
    size = sum(path.stat().st_size for path in checkpoint.iterdir()) / 1e6
    print({"MB": size, "saved": saved - started, "verified": verified - saved})
    assert size == pytest.approx(12 * sum(p.numel() for p in trainer.model.parameters()) / 1e6, rel=0.02)
    assert saved - started < 10
    assert verified - saved < 1


def test_tokenising_grows_linearly(tokenizer):
    draw = random.Random(0)
    articles = [" ".join("".join(draw.choices("abcdef", k=5)) for _ in range(80)) for _ in range(8000)]
    seconds = {}
    for count in (2000, 8000):
        texts = datasets.Dataset.from_dict({"text": articles[:count]})
        started = time.process_time()
        build_blocks(texts, tokenizer, MlmArguments(block_size=256))
        seconds[count] = time.process_time() - started
    print(seconds)
    assert seconds[8000] < 4 * 1.25 * seconds[2000]


@pytest.mark.skipif(count_cores() < 2, reason="one core")
def test_one_process_tokenises_on_several_cores():
    """In a process of its own: tokenizers gives its threads up in one that has forked."""
    program = (
        "import time, datasets\n"
        "from recipe.arguments import MlmArguments\n"
        "from recipe.model.settings import ModelArguments\n"
        "from recipe.inputs.blocks import build_blocks\n"
        "from recipe.inputs.tokenizer import load_tokenizer\n"
        "tokenizer = load_tokenizer(ModelArguments(tokenizer_name='minilm-l6'))\n"
        "articles = datasets.Dataset.from_dict({'text': ['the port of Norvik was closed ' * 60] * 8000})\n"
        "wall, cpu = time.perf_counter(), time.process_time()\n"
        "build_blocks(articles, tokenizer, MlmArguments())\n"
        "print((time.process_time() - cpu) / (time.perf_counter() - wall))\n"
    )
    assert float(run_program(program)) > 1.3


def plan_a_million():
    """Windows of a document of a million sentences of one word; print the peak of resident memory in MB."""
    words = ["Mara", "left", "Oslo", "Lima"]
    sentences = [Sentence([words[number % 4]], ["O"]) for number in range(1_000_000)]
    windows = build_windows([Document(sentences)], make_tokenizer(max_length=512), ["O"], 512, "document", 64)
    scored = sum(int((np.asarray(window["word_ids"]) >= 0).sum()) for window in windows)
    with open("/proc/self/status") as status:
        peak = next(int(line.split()[1]) >> 10 for line in status if line.startswith("VmHWM"))
    print(json.dumps({"peak": peak, "scored": scored}))


def test_a_million_sentences_with_their_document_fit_into_memory():
    program = "import sys; sys.path[:0] = ['tests']; import test_growth; test_growth.plan_a_million()"
    found = json.loads(run_program(program))
    print(found)
    assert found["scored"] == 1_000_000
    assert found["peak"] < 3000  # MB

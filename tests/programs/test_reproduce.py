"""`make reproduce` as it stands, with a Hub of our own that serves a tiny BERT and data under the names it asks for."""

import io
import json
import os
import shutil
import subprocess

import pytest
from datasets import ClassLabel, Dataset, Features, List, Value
from huggingface_hub import ModelCard
from transformers import BertForMaskedLM

from conftest import ROOT, make_config, make_tokenizer
from hub_server import WRITER, HubServer

TAGS = ["O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC", "B-MISC", "I-MISC"]
SENTENCES = [
    ("Mara Okello left Oslo on Monday .", [1, 2, 0, 5, 0, 0, 0]),
    ("She had led Norvik Shipping , the Danish carrier .", [0, 0, 0, 3, 4, 0, 0, 7, 0, 0]),
    ("Rain is due in Lima and Quito .", [0, 0, 0, 0, 5, 0, 5, 0]),
    ("Pavel Strand won the Baltic Open .", [1, 2, 0, 0, 7, 8, 0]),
]


def make_parquet(copies: int) -> bytes:
    """A split in the columns of eriktks/conll2003, whose features stand in the file's own metadata."""
    rows = SENTENCES * copies
    columns = {
        "id": [str(number) for number in range(len(rows))],
        "tokens": [text.split() for text, _ in rows],
        "pos_tags": [[0] * len(tags) for _, tags in rows],
        "chunk_tags": [[0] * len(tags) for _, tags in rows],
        "ner_tags": [tags for _, tags in rows],
    }
    label = List(ClassLabel(names=["X"]))
    features = {"id": Value("string"), "tokens": List(Value("string")), "pos_tags": label, "chunk_tags": label}
    features |= {"ner_tags": List(ClassLabel(names=TAGS))}
    buffer = io.BytesIO()
    Dataset.from_dict(columns, Features(features)).to_parquet(buffer)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bert")
    BertForMaskedLM(make_config(max_position_embeddings=512)).save_pretrained(folder)
    make_tokenizer(512).save_pretrained(folder)
    with HubServer(tmp_path_factory.mktemp("hub")) as server:
        files = {path.name: path.read_bytes() for path in folder.iterdir()}
        server.publish("models", "google-bert/bert-base-cased", files)
        splits = {"train": 10, "validation": 2, "test": 2}
        files = {f"conll2003/{split}/0000.parquet": make_parquet(copies) for split, copies in splits.items()}
        server.publish("datasets", "eriktks/conll2003", files, "refs/convert/parquet")
        server.publish("datasets", "eriktks/conll2003", {"README.md": b"---\nlanguage: en\n---\n"})
        yield server


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of this checkout whose `make setup` has nothing to do: its environment is this one's."""
    if not (ROOT / ".venv" / "requirements.txt").exists():
        pytest.skip("no .venv here: `make setup` makes it")
    copy = tmp_path_factory.mktemp("checkout")
    for path in [ROOT / "Makefile", *ROOT.glob("run_*.py"), *ROOT.glob("requirements*.txt")]:
        shutil.copy(path, copy)
    for folder in ("configs", "recipe"):
        shutil.copytree(ROOT / folder, copy / folder)
    (copy / ".venv").symlink_to((ROOT / ".venv").resolve())
    for path in copy.glob("requirements*.txt"):
        os.utime(path, (0, 0))
    return copy


@pytest.fixture(scope="module")
def environment(hub, tmp_path_factory):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "ACCELERATE_"))}
    return kept | {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path_factory.mktemp("home")), "NO_PROXY": "127.0.0.1"}


@pytest.fixture(scope="module")
def reproduced(checkout, environment):
    """The checkout after `make reproduce`, and what it printed."""
    run = subprocess.run(["make", "reproduce"], cwd=checkout, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-3000:]
    return checkout, run.stdout


def test_make_reproduce_takes_both_stages_to_the_report(reproduced):
    checkout, printed = reproduced
    assert printed.count("Entities (strict)") == 2
    mlm, ner = (checkout / "runs" / kind / "bert-base-cased_conll2003" for kind in ("mlm", "ner"))
    assert json.loads((mlm / "metrics.json").read_text())["dev"]["masked_tokens"] > 0
    report = json.loads((ner / "report.json").read_text())
    supports = {tag: row["support"] for tag, row in report["test"]["tags"].items() if row["support"]}
    assert supports == {
        **{"B-LOC": 6, "B-MISC": 4, "B-ORG": 2, "B-PER": 4},
        **{"I-MISC": 2, "I-ORG": 2, "I-PER": 4, "O": 40},
    }
    for folder, task in ((mlm, "fill-mask"), (ner, "token-classification")):
        card = ModelCard.load(folder / "README.md")
        assert card.data.pipeline_tag == task
        assert card.data.base_model == "google-bert/bert-base-cased"
        assert card.data.datasets == ["eriktks/conll2003"]
        assert "accelerate launch --quiet --config_file configs/accelerate/one_" in card.text


@pytest.mark.slow
def test_a_second_run_needs_no_network_but_the_cache(reproduced, environment):
    checkout, _ = reproduced
    command = [".venv/bin/python", "run_ner.py", "--config", "configs/ner/bert-base-cased_conll2003.yaml"]
    command += ["--max_steps", "1", "--output_dir", "runs/offline"]
    offline = environment | {"HF_HUB_OFFLINE": "1", "HF_ENDPOINT": "http://127.0.0.1:9"}
    run = subprocess.run(command, cwd=checkout, env=offline, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-3000:]
    assert (checkout / "runs" / "offline" / "report.json").exists()


@pytest.mark.slow
def test_make_push_pushes_it_later(reproduced, environment, hub):
    checkout, _ = reproduced
    command = ["make", "push", "CKPT=runs/ner/bert-base-cased_conll2003", "REPO=mara/tagger"]
    run = subprocess.run(command, cwd=checkout, env=environment | {"HF_TOKEN": WRITER}, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-3000:]
    assert run.stdout.splitlines()[-1].startswith(f"pushed to {hub.url}/mara/tagger/commit/")
    assert hub.repositories["models", "mara/tagger"].private

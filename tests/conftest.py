"""What tests share: a tiny tokenizer and models made in memory, and the folder of the real data if there is one."""

import hashlib
import os
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    CONFIG_MAPPING,
    BertConfig,
    BertForMaskedLM,
    BertForTokenClassification,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
)

from recipe.inference.measuring import measure_here

torch.set_num_threads(2)
os.environ["ACCELERATE_USE_CPU"] = "true"  # what the tests expect was found on CPUs

ROOT = Path(__file__).parents[1]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,-"


def make_tokenizer(max_length: int = 64, letters: str = LETTERS, words: Sequence[str] = ()) -> PreTrainedTokenizerFast:
    """WordPiece over single characters: a word of n letters has n sub-words, unless it is one of `words`."""
    pieces = [*SPECIAL, *letters, *(f"##{letter}" for letter in letters), *words]
    tokenizer = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=max_length,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )


def make_config(**changes) -> BertConfig:
    """Two layers, 32 wide; dropout off so that runs compare."""
    settings = {
        "vocab_size": len(SPECIAL) + 2 * len(LETTERS),
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": 64,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
    }
    return BertConfig(**settings | changes)


def make_config_of(model_type: str, **settings) -> PreTrainedConfig:
    """A tiny configuration of any model type, with a vocabulary of 97."""
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
    if model_type == "distilbert":
        sizes = {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 48}
    return CONFIG_MAPPING[model_type](vocab_size=97, **sizes, **settings)


def make_tagger_folder(folder: Path, labels: Sequence[str], seed: int = 0, settings: dict | None = None) -> str:
    """Save a tiny tagger of random weights that is sure of many words, and its tokenizer.

    With the same seed, the head has the same weights for each label, whatever the order of `labels`.
    settings: those of the tagger.
    """
    torch.manual_seed(seed)
    names = {"id2label": dict(enumerate(labels)), "label2id": {label: number for number, label in enumerate(labels)}}
    model = BertForTokenClassification(make_config(**names, tagger={"max_seq_length": 64} | (settings or {})))
    with torch.no_grad():
        head = torch.randn(len(labels), model.config.hidden_size)
        order = sorted(range(len(labels)), key=labels.__getitem__)
        model.classifier.weight[order] = head
        model.classifier.bias.zero_()
    model.save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return str(folder)


def fill(folder, **files):
    """Write files of one line each; `a__b` is the file b in the folder a."""
    for name, text in files.items():
        path = folder.joinpath(*name.split("__"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def names(folder):
    """The paths of all files and folders in a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def compute_gradients(model, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    """The gradients of `loss` by the parameters' names."""
    model.zero_grad()
    loss.backward()
    weights = model.named_parameters()
    return {name: weight.grad.clone() for name, weight in weights if weight.grad is not None}


def assert_same_gradients(found: dict, expected: dict, rtol: float) -> None:
    """Equal to `rtol`, or to 1e-5 of the largest of all."""
    assert found.keys() == expected.keys()
    largest = max(float(gradient.abs().max()) for gradient in expected.values())
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=rtol, atol=1e-5 * largest, msg=name)


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_testnodedown(node, error):
    """Tells how a process of tests died: a signal from outside, as for want of memory, leaves no trace in it."""
    if error:
        status = node.gateway._io.popen.wait(timeout=60)
        free = psutil.virtual_memory().available >> 20
        node.config.get_terminal_writer().line(f"\n{node.gateway.id} ended with status {status}; {free} MB are free")


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    return make_tokenizer()


@pytest.fixture(scope="session")
def encoder(tmp_path_factory, tokenizer) -> str:
    """A folder with a tiny encoder and its tokenizer."""
    folder = tmp_path_factory.mktemp("encoder")
    torch.manual_seed(0)
    BertForMaskedLM(make_config()).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def column_files(tmp_path_factory) -> Path:
    """A folder of `train.txt`, `valid.txt` and `test.txt`, two documents each, tags in IOB1."""
    folder = tmp_path_factory.mktemp("columns")
    text = (
        "-DOCSTART- -X- O O\n\n"
        "Mara NNP B-NP I-PER\nOkello NNP I-NP I-PER\nleft VBD B-VP O\nOslo NNP B-NP I-LOC\n. . O O\n\n"
        "She PRP B-NP O\njoined VBD B-VP O\nNorvik NNP B-NP I-ORG\n. . O O\n\n"
        "-DOCSTART- -X- O O\n\nTwo CD B-NP O\nDanes NNPS I-NP I-MISC\nmet VBD B-VP O\nLima NNP B-NP I-LOC\n"
        "Quito NNP B-NP B-LOC\n\n"
    )
    for name in ("train", "valid", "test"):
        (folder / f"{name}.txt").write_text(text)
    return folder


@pytest.fixture(scope="session")
def uneven_file(tmp_path_factory):
    """80 sentences of 1 to 12 words: micro-batches differ much in their number of labelled tokens."""
    draw = random.Random(0)
    words = [f"{draw.choice('abcdefg') * draw.randint(1, 3)} {draw.choice(['O', 'B-X'])}" for _ in range(500)]
    sentences = ["\n".join(draw.choices(words, k=draw.randint(1, 12))) for _ in range(80)]
    path = tmp_path_factory.mktemp("uneven") / "train.txt"
    path.write_text("\n\n".join(sentences) + "\n")
    return str(path)


@pytest.fixture(scope="session")
def articles_file(tmp_path_factory) -> str:
    """A text file of 40 short articles."""
    path = tmp_path_factory.mktemp("text") / "articles.txt"
    path.write_text("\n\n".join(f"article {n} tells of port {n * 7}.\nits second line ends here." for n in range(40)))
    return str(path)


@pytest.fixture(scope="module")
def measured_here():
    """Exports are measured in this process, because most of the time would go to starting others."""

    def measure(model, trial, precision="auto"):
        return measure_here(model, trial, precision, time.time())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("recipe.export.measure", measure)
        patch.setattr("recipe.exportable.measure", measure)
        yield


@pytest.fixture(scope="session")
def conll2003() -> Path:
    """The folder of the original CoNLL-2003 files, which the project may not carry."""
    folder = os.environ.get("CONLL2003_DIR")
    if not folder:
        pytest.skip("CONLL2003_DIR names no folder with eng.train, eng.testa, eng.testb")
    return Path(folder)


def spawn(command, **options):
    """Start a process group of one thread a process, its output kept."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "TOKENIZERS_PARALLELISM": "false"}
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **options,
    )


def run_program(program):
    """What a Python program prints in a process of its own."""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def finish(process):
    """Wait for the end of a process, which must be a good one."""
    error = process.communicate()[1]
    assert process.returncode == 0, error


def fingerprint(folder):
    """The SHA-256 of the weights in a folder."""
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def wait_for_checkpoint(process, folder, other_than=()):
    """Wait until the run has saved a step that is not among `other_than`; return all that it has."""
    while process.poll() is None:
        found = {path.name for path in folder.glob("checkpoint-*")}
        if found - set(other_than):
            return found
        time.sleep(0.01)
    raise AssertionError(process.communicate()[1])

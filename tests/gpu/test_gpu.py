"""Both stages on one GPU (`make test-gpu`): precision, shortcuts, exact resumption, memory, launch configurations."""

import json
import os
import shutil
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForMaskedLM, AutoModelForTokenClassification

from conftest import ROOT, assert_same_gradients, compute_gradients, fingerprint, make_config_of
from recipe.inference.tagger import Tagger
from recipe.inputs.tokens import IGNORED
from recipe.model.compilation import compile_layers
from recipe.model.packing import ALIGNED, Packer
from recipe.model.sparse_head import SparseHead, find_positions
from recipe.training.loss import token_mean_loss

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU from NVIDIA here"),
]
BOUNDS = {"bf16": (5e-3, 3e-2), "fp16": (1e-3, 1e-2)}  # relative errors allowed for the loss and the gradient
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
HEADS = {"mlm": AutoModelForMaskedLM, "ner": AutoModelForTokenClassification}
WIDTH = 128


@pytest.fixture(autouse=True)
def exact_products():
    """fp32 products with all 23 bits."""
    torch.set_float32_matmul_precision("highest")


def make_model(head="ner", layers=2, **settings):
    config = make_config_of("bert", max_position_embeddings=512, pad_token_id=0)
    config.update(settings)
    config.hidden_size, config.intermediate_size, config.num_hidden_layers = WIDTH, 4 * WIDTH, layers
    torch.manual_seed(0)
    return HEADS[head].from_config(config, attn_implementation="sdpa").eval().cuda()  # no dropout


def make_batch(lengths=(70, 3, 20, 9, 1, 33, 12, 2), labels=2):
    draw = torch.Generator().manual_seed(1)
    mask = torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]
    ids = torch.randint(3, 97, mask.shape, generator=draw).masked_fill(~mask, 0)
    targets = torch.randint(0, labels, mask.shape, generator=draw).masked_fill(~mask, IGNORED)
    return {"input_ids": ids, "labels": targets, "attention_mask": mask.long()}


def compute(model, batch, dtype=None, head=None):
    """Loss and gradients of a batch, which is moved to the GPU."""
    batch = {name: values.cuda() for name, values in batch.items()}
    labels = batch.pop("labels")
    positions = find_positions(labels)
    with torch.autocast("cuda", dtype=dtype or torch.float16, enabled=dtype is not None):
        if head:
            with head.at(positions):
                logits = model(**batch).logits
        else:
            logits = model(**batch).logits
        loss = token_mean_loss({"logits": logits}, labels, positions=positions)
    return float(loss.detach()), compute_gradients(model, loss)


def measure_error(found, expected):
    """The relative error of a gradient over all parameters."""
    lost = sum(float((found[name] - expected[name]).double().square().sum()) for name in expected)
    whole = sum(float(gradient.double().square().sum()) for gradient in expected.values())
    return (lost / whole) ** 0.5


@pytest.mark.parametrize("precision", BOUNDS)
@pytest.mark.parametrize("head", HEADS)
def test_half_precision_is_near_fp32(head, precision):
    model, batch = make_model(head), make_batch(labels=97 if head == "mlm" else 2)
    exact, expected = compute(model, batch)
    loss, found = compute(model, batch, DTYPES[precision])
    most, most_gradient = BOUNDS[precision]
    error = measure_error(found, expected)
    print(f"{head} {precision}: loss {loss / exact - 1:.1e}, gradient {error:.1e}")
    assert loss == pytest.approx(exact, rel=most)
    assert error < most_gradient


def test_a_sparse_head_gives_the_loss_and_gradients_of_the_dense_one():
    model = make_model("mlm")
    batch = make_batch(labels=97)
    batch["labels"][:, ::2] = IGNORED
    dense_loss, dense = compute(model, batch)
    loss, found = compute(model, batch, head=SparseHead(model))
    assert loss == pytest.approx(dense_loss, rel=1e-5)
    assert_same_gradients(found, dense, rtol=1e-3)


def test_packed_rows_give_the_loss_and_gradients_of_padded_ones():
    model, batch = make_model(), make_batch()
    packer = Packer(model, align=True)
    packed = packer(batch)
    assert packed["input_ids"].numel() < batch["input_ids"].numel() / 2
    assert packed["input_ids"].shape[1] % ALIGNED == 0
    packed["attention_mask"] = packer.mask(packed.pop("segments"))
    padded_loss, padded = compute(model, batch)
    loss, found = compute(model, packed)
    assert loss == pytest.approx(padded_loss, rel=1e-5)
    assert_same_gradients(found, padded, rtol=1e-3)


def test_compiled_layers_give_the_same_loss_and_gradients():
    model, batch = make_model(), make_batch()
    eager_loss, eager = compute(model, batch)
    compile_layers(model)
    names = set(model.state_dict())
    loss, found = compute(model, batch)
    assert loss == pytest.approx(eager_loss, rel=1e-4)
    assert measure_error(found, eager) < 1e-3
    assert set(model.state_dict()) == names == set(make_model().state_dict())


def measure_memory(function):
    """The most memory in MB that a function's tensors take."""
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    function()
    return (torch.cuda.max_memory_allocated() - before) / 1e6


def test_each_switch_saves_memory():
    batch = make_batch([512] * 16, labels=97)
    batch["labels"][:, 77:] = IGNORED  # 15 %
    model = make_model("mlm", layers=6, vocab_size=30522)
    dense = measure_memory(lambda: compute(model, batch, torch.bfloat16))
    head = SparseHead(model)
    sparse = measure_memory(lambda: compute(model, batch, torch.bfloat16, head))
    model.gradient_checkpointing_enable()
    model.train()
    checkpointed = measure_memory(lambda: compute(model, batch, torch.bfloat16, head))
    model = make_model(layers=6)
    uneven = make_batch([300, *[10] * 63])
    packer = Packer(model, align=True)
    packed = packer(uneven)
    packed["attention_mask"] = packer.mask(packed.pop("segments"))
    padded_memory = measure_memory(lambda: compute(model, uneven, torch.bfloat16))
    packed_memory = measure_memory(lambda: compute(model, packed, torch.bfloat16))
    print(f"MB: dense {dense:.0f}, sparse {sparse:.0f}, with activation checkpointing {checkpointed:.0f}")
    print(f"MB: padded {padded_memory:.0f}, packed {packed_memory:.0f}")
    assert checkpointed < sparse < dense
    assert packed_memory < padded_memory / 2


def start(script, folder, *flags, config=None, program=(), **settings):
    """Run a script on the GPU, with `config` by `accelerate launch`; returns the finished process."""
    command = [sys.executable, *program, script]
    if config:
        launch = ["-m", "accelerate.commands.launch", "--quiet", "--main_process_port", "0", "--num_processes", "1"]
        command[1:1] = [*launch, "--config_file", f"configs/accelerate/{config}.yaml"]
    values = {"output_dir": folder, "do_train": True, "disable_tqdm": True, "max_steps": 6} | settings
    environment = {name: value for name, value in os.environ.items() if name != "ACCELERATE_USE_CPU"}
    return subprocess.run(
        [*command, *(f"--{name}={value}" for name, value in values.items()), *flags],
        cwd=ROOT,
        env=environment | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
    )


def train(script, folder, *flags, **settings):
    done = start(script, folder, *flags, **settings)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture
def stages(encoder, uneven_file, articles_file):
    """The settings of both stages on tiny data."""
    small = {"model_name_or_path": encoder, "save_strategy": "no", "logging_steps": 1, "learning_rate": 1e-3}
    return {
        "run_mlm.py": small | {"train_file": articles_file, "block_size": 32, "validation_split_percentage": 10},
        "run_ner.py": small | {"train_file": uneven_file, "context": "none", "max_seq_length": 64},
    }


SCRIPTS = ("run_mlm.py", "run_ner.py")


@pytest.mark.parametrize("precision", ["bf16", "fp16", "fp32"])
@pytest.mark.parametrize("script", SCRIPTS)
def test_both_stages_train_in_each_precision(script, precision, stages, tmp_path):
    train(script, tmp_path, precision=precision, **stages[script] | {"max_steps": 20})
    history = json.loads((tmp_path / "trainer_state.json").read_text())["log_history"]
    losses = [entry["loss"] for entry in history if "loss" in entry]
    assert losses[-1] < losses[0]
    assert "GPU" in (tmp_path / "run.yaml").read_text() or "NVIDIA" in (tmp_path / "run.yaml").read_text()


@pytest.mark.parametrize("config", ["one_gpu", "multi_gpu", "fsdp"])
@pytest.mark.parametrize("script", SCRIPTS)
def test_one_process_of_ddp_and_fsdp_trains_as_the_plain_one(script, config, stages, tmp_path):
    exact = {"precision": "fp32", "tf32": False, **stages[script]}
    train(script, tmp_path / "plain", **exact)
    train(script, tmp_path / config, config=config, **exact)
    plain, found = (load_file(tmp_path / name / "model.safetensors") for name in ("plain", config))
    for name, weight in plain.items():
        torch.testing.assert_close(found[name], weight, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("script", SCRIPTS)
def test_a_resumed_run_ends_with_the_same_weights(script, exact, stages, tmp_path):
    settings = stages[script] | {
        "save_strategy": "steps",
        "save_steps": 3,
        "full_determinism": exact,
        "precision": "bf16",
    }
    train(script, tmp_path / "whole", **settings)
    shutil.copytree(tmp_path / "whole" / "checkpoint-3", tmp_path / "parted" / "checkpoint-3")  # as after a kill
    train(script, tmp_path / "parted", **settings)
    whole, parted = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "parted"))
    difference = max(float((whole[name] - parted[name]).abs().max()) for name in whole)
    print(f"{script}, full_determinism {exact}: largest difference of a weight {difference:.1e}")
    if exact:
        assert fingerprint(tmp_path / "whole") == fingerprint(tmp_path / "parted")
    assert difference < 1e-3


WATCHED = """
import runpy, sys
import torch
from transformers import TrainerCallback, trainer

class Watch(TrainerCallback):
    def on_step_begin(self, args, state, control, **_):
        if state.global_step > 1:
            torch.cuda.set_sync_debug_mode("error")
    def on_step_end(self, args, state, control, **_):
        torch.cuda.set_sync_debug_mode("default")

trainer.DEFAULT_CALLBACKS.append(Watch)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize("script", SCRIPTS)
def test_no_training_step_waits_for_the_gpu(script, stages, tmp_path):
    watch = tmp_path / "watch.py"
    watch.write_text(WATCHED)
    weighted = {"class_weights": "X=2"} if script == "run_ner.py" else {}
    settings = stages[script] | weighted | {"logging_steps": 100, "precision": "bf16"}
    train(script, tmp_path / "run", program=[str(watch)], **settings)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_a_training_that_diverges_stops_in_one_line(precision, stages, tmp_path):
    settings = stages["run_ner.py"] | {"learning_rate": 1e30, "max_grad_norm": 0, "max_steps": 100}
    done = start("run_ner.py", tmp_path, precision=precision, **settings)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "no longer finite" in done.stderr
    assert not (tmp_path / "model.safetensors").exists()


def test_the_gpu_tags_as_the_cpu_does(stages, uneven_file, tmp_path):
    train("run_ner.py", tmp_path, **stages["run_ner.py"] | {"max_steps": 40})
    sentences = [["aa", "b", "ccc"], ["g"], ["d", "e", "ff", "a", "bbb"], ["c"] * 12] * 20
    on_gpu, on_cpu = (Tagger.load(tmp_path, "fp32", device=device) for device in ("cuda", "cpu"))
    found, expected = (tagger.tag_words(sentences) for tagger in (on_gpu, on_cpu))
    assert [sentence.tags for sentence in found] == [sentence.tags for sentence in expected]
    for one, other in zip(found, expected, strict=True):
        assert one.scores == pytest.approx(other.scores, abs=1e-4)


@pytest.mark.parametrize("script", SCRIPTS)
def test_compiled_layers_train_and_are_saved_under_their_own_names(script, stages, tmp_path):
    train(script, tmp_path / "plain", **stages[script], precision="fp32", tf32=False)
    train(script, tmp_path / "compiled", **stages[script], precision="fp32", tf32=False, compile_layers=True)
    plain, found = (load_file(tmp_path / name / "model.safetensors") for name in ("plain", "compiled"))
    assert plain.keys() == found.keys()
    for name, weight in plain.items():
        torch.testing.assert_close(found[name], weight, rtol=1e-2, atol=1e-3)

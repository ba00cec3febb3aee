"""A run that ends early and is started again loses nothing: the weights are those of an uninterrupted run."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml
from torch.utils.data import RandomSampler
from transformers import AutoModel, Trainer

import run_mlm
import run_ner
from conftest import ROOT, fingerprint, make_config_of, make_tokenizer
from recipe import folders
from recipe.errors import RecipeError, StoppedError
from recipe.inputs import stream
from recipe.seeds import derive_seed
from recipe.training.collation import OWNERS, POSITIONS
from recipe.training.resumption import EpochSampler, ResumableTrainer

COMMON = {
    "precision": "fp32",
    "do_train": True,
    "max_steps": 9,
    "save_steps": 2,
    "learning_rate": 1e-3,
    "logging_steps": 1,
    "disable_tqdm": True,
    # the weights depend on dropout's random numbers
    "config_overrides": "hidden_dropout_prob=0.1,attention_probs_dropout_prob=0.1",
}
NER = {"context": "none", "max_seq_length": 64, "per_device_train_batch_size": 16}  # 80 windows: epochs of 5 steps
MLM = {"block_size": 16, "do_eval": False, "per_device_train_batch_size": 8}
RUNS = {
    "ner": (run_ner, NER),
    "ner-by-length": (run_ner, NER | {"train_sampling_strategy": "group_by_length", "gradient_accumulation_steps": 2}),
    "ner-evaluated": (
        run_ner,
        NER | {"layer_lr_decay": 0.9, "do_eval": True, "eval_steps": 1, "eval_strategy": "steps"},
    ),
    "ner-mixed": (run_ner, NER | {"context": "mixed", "per_device_train_batch_size": 2}),
    "mlm": (run_mlm, MLM),
    "mlm-bf16": (run_mlm, MLM | {"precision": "bf16"}),
    "mlm-autoregressive": (run_mlm, MLM | {"objective": "masked_autoregressive"}),
    "mlm-accumulated": (run_mlm, MLM | {"gradient_accumulation_steps": 3}),
    "mlm-workers": (run_mlm, MLM | {"dataloader_num_workers": 2, "dataloader_persistent_workers": True}),
    "mlm-streamed": (run_mlm, MLM | {"streaming": True, "gradient_accumulation_steps": 2}),
    "mlm-streamed-worker": (run_mlm, MLM | {"streaming": True, "dataloader_num_workers": 2}),
}


class Killed(BaseException):
    """Stands for SIGKILL: nothing of the recipe catches it."""


@pytest.fixture
def start(encoder, uneven_file, articles_file, monkeypatch):
    """Start the run `name` of RUNS in a folder, with further settings."""
    monkeypatch.setattr(stream, "CHUNK", 20)
    torch.set_num_threads(1)

    def start(name, folder, **more):
        script, settings = RUNS[name]
        files = {"train_file": uneven_file, "validation_file": uneven_file}
        files = files if script is run_ner else {"train_file": articles_file}
        settings = COMMON | settings | files | {"model_name_or_path": encoder, "output_dir": folder} | more
        script.main([f"--{key}={value}" for key, value in settings.items()])

    return start


@pytest.fixture
def interrupt(monkeypatch):
    """Have something happen in the training step `step`."""

    def interrupt(step, action):
        training_step = ResumableTrainer.training_step

        def step_or_act(self, *args, **options):
            if self.state.global_step == step:
                monkeypatch.setattr(ResumableTrainer, "training_step", training_step)
                action()
            return training_step(self, *args, **options)

        monkeypatch.setattr(ResumableTrainer, "training_step", step_or_act)

    return interrupt


def kill():
    raise Killed


def steps(folder):
    return sorted(int(path.name.partition("-")[2]) for path in folder.glob("checkpoint-*"))


def read_state(folder):
    return json.loads((folder / "trainer_state.json").read_text())


def read_curve(folder):
    """The logged figures of a training, but for its speed, in the order in which they were logged."""
    kept = ("step", "epoch", "loss", "grad_norm", "learning_rate", "eval_loss", "eval_f1")
    history = read_state(folder)["log_history"]
    return [
        {key: entry[key] for key in kept if key in entry} | {"epoch": round(entry["epoch"], 9)} for entry in history
    ]


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The fingerprint of the weights that the run `name` ends with if nothing interrupts it; each is trained once."""
    known = {}

    def reference(start, name, curve=False):
        if name not in known:
            folder = tmp_path_factory.mktemp(name)
            start(name, folder)
            known[name] = fingerprint(folder), read_curve(folder)
        return known[name][curve]

    return reference


@pytest.mark.parametrize("step", [3, 5, pytest.param(8, marks=pytest.mark.slow)])  # behind the checkpoints 2, 4 and 8
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name == "mlm-workers" else []) for name in RUNS]
)
def test_a_killed_run_ends_with_the_weights_of_an_uninterrupted_one(start, interrupt, reference, tmp_path, name, step):
    interrupt(step, kill)
    with pytest.raises(Killed):
        start(name, tmp_path)
    assert not (tmp_path / "model.safetensors").exists()
    start(name, tmp_path)
    assert fingerprint(tmp_path) == reference(start, name)
    assert read_curve(tmp_path) == reference(start, name, curve=True)


def test_the_order_of_examples_depends_on_seed_and_epoch_alone():
    def draw(seed, epoch, data_seed=None):
        trainer = SimpleNamespace(args=SimpleNamespace(seed=seed, data_seed=data_seed), epoch=epoch)
        sampler = EpochSampler(RandomSampler(range(50)), trainer)
        assert len(sampler) == 50
        assert list(sampler) == list(sampler)
        return list(sampler)

    assert draw(3, 1) != draw(3, 0) != draw(4, 0)
    assert draw(3, 1) == draw(5, 1, data_seed=3)
    assert draw(3, 2) == list(RandomSampler(range(50), generator=torch.Generator().manual_seed(5)))


def test_dropout_depends_on_seed_step_micro_batch_and_process(start, tmp_path, monkeypatch):
    seeds, training_step = [], Trainer.training_step

    def note_seed(self, *args, **options):
        seeds.append(torch.initial_seed())
        return training_step(self, *args, **options)

    monkeypatch.setattr(Trainer, "training_step", note_seed)
    start("mlm-accumulated", tmp_path, max_steps=2, seed=7)
    assert seeds == [derive_seed(7, step, micro_batch, 0) for step in range(2) for micro_batch in range(3)]


@pytest.mark.parametrize(
    ("examples", "rank", "changes", "kept"),
    [
        (11, 0, {}, [0, 1, 2]),  # 8 in the first step, 3 in the second
        (11, 1, {}, []),
        (14, 0, {}, [0, 1, 2, 3]),
        (14, 1, {}, [0, 1]),
        (16, 1, {}, [0, 1, 2, 3]),
        (11, 1, {"end": False}, [0, 1, 2, 3]),  # before the last batch
        (11, 1, {"world_size": 1}, [0, 1, 2, 3]),  # a single process repeats no example
        (11, 1, {"dataloader_drop_last": True}, [0, 1, 2, 3]),
    ],
)
def test_examples_that_fill_up_the_last_batch_have_no_labels(examples, rank, changes, kept):
    given = {"world_size": 2, "train_batch_size": 4, "process_index": rank, "dataloader_drop_last": False, "end": True}
    args = SimpleNamespace(**given | changes)
    accelerator = SimpleNamespace(gradient_state=SimpleNamespace(end_of_dataloader=args.end))
    trainer = SimpleNamespace(args=args, accelerator=accelerator, train_dataset=range(examples))
    batch = {"labels": torch.arange(4), POSITIONS: torch.arange(4), OWNERS: torch.arange(4), "position": {"block": 1}}
    prepared = ResumableTrainer._prepare_batch(trainer, batch)
    assert [int(label) for label in prepared["labels"] if label != -100] == kept
    assert prepared[POSITIONS].tolist() == kept
    assert "position" not in prepared
    assert trainer.position == {"block": 1}


def test_a_checkpoint_has_the_state_of_training_and_of_its_callbacks(start, interrupt, tmp_path):
    interrupt(3, kill)
    with pytest.raises(Killed):
        start("mlm-streamed", tmp_path)
    state = read_state(tmp_path / "checkpoint-2")
    assert (state["global_step"], state["save_steps"], state["total_flos"] > 0) == (2, 2, True)
    assert state["stateful_callbacks"]["TrainerControl"]["args"]["should_training_stop"] is False
    position = json.loads((tmp_path / "checkpoint-2" / "stream_0.json").read_text())
    assert position.keys() == {"pass", "chunk", "block", "blocks"}
    start("mlm-streamed", tmp_path)
    assert read_state(tmp_path)["global_step"] == 9


def test_the_weights_depend_on_the_seed(start, reference, tmp_path):
    """So that the equalities here are not those of a training that does nothing."""
    start("mlm", tmp_path, seed=1)
    assert fingerprint(tmp_path) != reference(start, "mlm")


@pytest.mark.parametrize("streaming", [False, True])
def test_a_run_from_scratch_keeps_the_tokenizer_that_it_trained(articles_file, interrupt, tmp_path, streaming):
    """Settings and text can change when a run is continued; its tokens must keep their numbers."""
    sizes = "hidden_size=32,num_hidden_layers=1,num_attention_heads=2,intermediate_size=32,hidden_dropout_prob=0.1"
    settings = COMMON | MLM | {"train_file": articles_file, "model_type": "bert", "vocab_size": 300}
    settings |= {"config_overrides": sizes, "streaming": streaming, "output_dir": tmp_path / "run"}
    flags = [f"--{key}={value}" for key, value in settings.items()]
    for step in (1, 3):
        interrupt(step, kill)
        with pytest.raises(Killed):
            run_mlm.main(flags)
    shutil.copytree(tmp_path / "run" / "tokenizer", tmp_path / "other" / "tokenizer")
    run_mlm.main(flags)
    run_mlm.main([*flags, f"--output_dir={tmp_path / 'other'}"])
    assert fingerprint(tmp_path / "run") == fingerprint(tmp_path / "other")
    tokenizer = (tmp_path / "run" / "tokenizer.json").read_text()
    run_mlm.main([*flags, "--max_steps=11", "--resume_from_checkpoint=last"])  # with other settings, the same tokenizer
    assert (tmp_path / "run" / "tokenizer.json").read_text() == tokenizer
    assert steps(tmp_path / "run")[-1] == 11


def test_a_run_killed_during_a_save_resumes_from_the_checkpoint_before(start, reference, tmp_path, monkeypatch):
    finalize = folders.finalize

    def finalize_or_die(partial, final):
        if final.name == "checkpoint-4":
            raise Killed
        finalize(partial, final)

    with monkeypatch.context() as patch:
        patch.setattr("recipe.training.resumption.finalize", finalize_or_die)
        with pytest.raises(Killed):
            start("mlm", tmp_path)
    assert steps(tmp_path) == [2]
    assert (tmp_path / "saving-checkpoint-4").exists()
    start("mlm", tmp_path)
    assert fingerprint(tmp_path) == reference(start, "mlm")
    assert not list(tmp_path.glob("saving-*"))


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize("name", ["ner", "mlm-streamed"])
def test_a_signal_finishes_the_step_and_saves(start, interrupt, reference, tmp_path, name, number, status):
    interrupt(4, lambda: os.kill(os.getpid(), number))
    before = signal.getsignal(number)
    with pytest.raises(StoppedError) as caught:
        start(name, tmp_path)
    assert caught.value.status == status
    assert f"step 5 is saved in {tmp_path}: to continue, run " in str(caught.value)
    assert steps(tmp_path)[-1] == 5
    assert signal.getsignal(number) == before
    start(name, tmp_path)
    assert fingerprint(tmp_path) == reference(start, name)


@pytest.mark.parametrize("strategy", ["epoch", "no"])
def test_a_signal_after_the_last_step_ends_the_run_too(start, reference, tmp_path, monkeypatch, strategy):
    evaluate = ResumableTrainer.evaluate

    def signal_and_evaluate(self, *args, **options):
        if self.state.global_step == 9:
            os.kill(os.getpid(), signal.SIGTERM)
        return evaluate(self, *args, **options)

    settings = {"eval_strategy": "epoch", "save_strategy": strategy}  # max_steps is reached within an epoch
    with monkeypatch.context() as patch:
        patch.setattr(ResumableTrainer, "evaluate", signal_and_evaluate)
        with pytest.raises(StoppedError, match=f"SIGTERM: step 9 is saved in {tmp_path}: to continue, run "):
            start("ner", tmp_path, **settings)
    assert not (tmp_path / "report.json").exists()
    start("ner", tmp_path, **settings)
    assert fingerprint(tmp_path) == reference(start, "ner")
    assert (tmp_path / "report.json").exists()


@pytest.mark.parametrize(
    ("more", "addition"),
    [({"restart": True}, "--restart false"), ({"resume_from_checkpoint": "FOLDER"}, "--resume_from_checkpoint last")],
)
def test_the_command_that_continues_does_not_begin_as_it_was_begun(start, interrupt, tmp_path, more, addition):
    interrupt(3, kill)
    with pytest.raises(Killed):
        start("mlm", tmp_path)
    interrupt(4, lambda: os.kill(os.getpid(), signal.SIGTERM))
    more = {key: tmp_path / "checkpoint-2" if value == "FOLDER" else value for key, value in more.items()}
    with pytest.raises(StoppedError) as caught:
        start("mlm", tmp_path, **more)
    assert str(caught.value).endswith(f" {addition}")
    key, value = addition.removeprefix("--").split()
    start("mlm", tmp_path, **more | {key: value})
    assert steps(tmp_path)[-1] == 9


def test_a_run_from_an_earlier_checkpoint_goes_on_and_not_the_training_that_was_left(
    start, interrupt, tmp_path, capsys
):
    start("mlm", tmp_path / "whole")
    shutil.copytree(tmp_path / "whole", tmp_path / "stopped")

    def go_on(name, checkpoint):
        start("mlm", tmp_path / name, mlm_probability=0.3, resume_from_checkpoint=checkpoint)

    go_on("whole", tmp_path / "whole" / "checkpoint-2")
    interrupt(4, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(StoppedError, match="step 5 is saved"):
        go_on("stopped", tmp_path / "stopped" / "checkpoint-2")
    aside = tmp_path / "stopped" / "aside-1"
    assert f"later checkpoints (4) were moved to {aside}" in capsys.readouterr().err
    assert steps(aside) == [4, 6, 8, 9]
    assert steps(tmp_path / "stopped") == [2, 4, 5]
    go_on("stopped", "last")
    assert fingerprint(tmp_path / "stopped") == fingerprint(tmp_path / "whole")


def test_a_checkpoint_of_another_run_is_not_continued_over_a_training(start, tmp_path):
    start("mlm", tmp_path / "one")
    start("mlm", tmp_path / "two", seed=1, max_steps=4)
    held = {path: path.stat().st_mtime_ns for path in (tmp_path / "two").rglob("*") if path.name != ".gitignore"}
    with pytest.raises(RecipeError, match="two contains a training already: set another output_dir, or resume_from_"):
        start("mlm", tmp_path / "two", resume_from_checkpoint=tmp_path / "one" / "checkpoint-2")
    assert all(path.stat().st_mtime_ns == time for path, time in held.items() if path.name != ".lock")


def test_what_cannot_be_meant_by_continuing_is_refused_or_said(start, tmp_path, capsys):
    with pytest.raises(RecipeError, match="restart: starts over, but resume_from_checkpoint last continues: remove"):
        start("mlm", tmp_path, restart=True, resume_from_checkpoint="last")
    start("mlm", tmp_path, resume_from_checkpoint="last")
    assert f"{tmp_path}: has no checkpoint to continue from: training from the beginning" in capsys.readouterr().err


def test_a_finished_run_stays_as_it_is(start, reference, tmp_path):
    start("mlm", tmp_path, save_total_limit=1)
    start("mlm", tmp_path, save_total_limit=1)
    assert fingerprint(tmp_path) == reference(start, "mlm")
    assert steps(tmp_path) == [9]


def test_at_a_constant_rate_a_longer_run_goes_on_from_a_shorter_one(start, tmp_path):
    constant = {"lr_scheduler_type": "constant_with_warmup", "warmup_steps": 2}
    start("mlm", tmp_path / "long", **constant)
    for steps in (4, 9):
        start("mlm", tmp_path / "grown", **constant, max_steps=steps, resume_from_checkpoint="last")
    assert fingerprint(tmp_path / "grown") == fingerprint(tmp_path / "long")


def test_a_finished_run_without_checkpoints_is_not_overwritten(start, tmp_path):
    start("mlm", tmp_path, save_strategy="no")
    with pytest.raises(RecipeError, match="contains a finished run: set another output_dir, or add --restart"):
        start("mlm", tmp_path, save_strategy="no")


def test_changed_settings_are_refused_by_name(start, interrupt, tmp_path):
    interrupt(3, kill)
    with pytest.raises(Killed):
        start("mlm", tmp_path)
    with pytest.raises(RecipeError) as caught:
        start("mlm", tmp_path, max_grad_norm=2, mlm_probability=0.3)
    assert "settings, max_grad_norm (1.0 -> 2.0), mlm_probability (0.15 -> 0.3): restore" in str(caught.value)
    start("mlm", tmp_path, max_grad_norm=2, mlm_probability=0.3, resume_from_checkpoint="last")
    assert steps(tmp_path)[-1] == 9


@pytest.mark.parametrize("name", ["ner", "mlm"])
def test_changed_training_data_are_refused(start, interrupt, tmp_path, uneven_file, articles_file, name):
    file = tmp_path / "train.txt"
    text = Path(uneven_file if name == "ner" else articles_file).read_text()
    file.write_text(text)
    interrupt(3, kill)
    with pytest.raises(Killed):
        start(name, tmp_path / "run", train_file=file)
    file.write_text(text.replace(" B-X", " O", 1) if name == "ner" else text.replace("port 7.", "port 8."))
    message = "checkpoint-2: made with other training data: restore what has changed, set another output_dir, or start"
    with pytest.raises(RecipeError, match=message):
        start(name, tmp_path / "run", train_file=file)
    file.write_text(text)
    interrupt(5, kill)
    with pytest.raises(Killed):
        start(name, tmp_path / "run", train_file=file)
    file.write_text(text[: len(text) // 2])
    start(name, tmp_path / "run", train_file=file, resume_from_checkpoint="last")
    assert steps(tmp_path / "run")[-1] == 9
    start(name, tmp_path / "run", train_file=file)  # the last checkpoint is of these data


MODELS = {
    "dropout": (
        "config.json",
        '"classifier_dropout": null',
        '"classifier_dropout": 0.5',
        "classifier_dropout (None -> ",
    ),
    "layers": (
        "config.json",
        '"num_hidden_layers": 2',
        '"num_hidden_layers": 1',
        "num_hidden_layers (2 -> 1): restore",
    ),
    "tokenizer": ("tokenizer.json", '"lowercase": true', '"lowercase": false', "the tokenizer: restore"),
}


@pytest.mark.parametrize("change", MODELS)
def test_a_start_model_that_has_changed_is_refused(start, interrupt, tmp_path, encoder, change):
    name, old, new, message = MODELS[change]
    model = shutil.copytree(encoder, tmp_path / "model")
    interrupt(3, kill)
    with pytest.raises(Killed):
        start("ner", tmp_path / "run", model_name_or_path=model)
    text = (model / name).read_text()
    assert old in text
    (model / name).write_text(text.replace(old, new))
    with pytest.raises(RecipeError) as caught:
        start("ner", tmp_path / "run", model_name_or_path=model)
    assert f"checkpoint-2: made with another model, {message}" in str(caught.value)
    if change != "layers":
        start("ner", tmp_path / "run", model_name_or_path=model, resume_from_checkpoint="last")
        assert steps(tmp_path / "run")[-1] == 9


@pytest.mark.parametrize(
    "model_type", ["bert", "deberta-v2", "distilbert", "electra", "modernbert", "mpnet", "roberta"]
)
def test_any_kind_of_model_is_continued(start, interrupt, tmp_path, model_type):
    """The tokenizer has other special tokens than the configuration: Trainer copies them from it."""
    tokenizer = make_tokenizer()
    tokenizer.add_special_tokens({"bos_token": "[CLS]", "eos_token": "[SEP]"})
    if model_type == "mpnet":  # always pads with the id 1
        tokenizer.pad_token = "[UNK]"
    tokenizer.save_pretrained(tmp_path / "model")
    ids = dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id"), 0)
    AutoModel.from_config(make_config_of(model_type, **ids)).save_pretrained(tmp_path / "model")
    settings = {"model_name_or_path": tmp_path / "model", "config_overrides": ""}
    interrupt(3, kill)
    with pytest.raises(Killed):
        start("ner", tmp_path / "run", **settings)
    start("ner", tmp_path / "run", **settings)
    start("ner", tmp_path / "whole", **settings)
    assert fingerprint(tmp_path / "run") == fingerprint(tmp_path / "whole")


def test_tied_weights_are_not_reported_as_missing(start, interrupt, tmp_path, monkeypatch):
    warnings: list[str] = []
    interrupt(3, kill)
    with pytest.raises(Killed):
        start("mlm", tmp_path)
    monkeypatch.setattr("transformers.trainer.logger.warning", lambda message, *_: warnings.append(message))
    start("mlm", tmp_path)
    assert not warnings


@pytest.mark.parametrize("insists", [False, True])
@pytest.mark.parametrize("name", ["labels", "vocabulary"])
def test_weights_are_not_continued_for_other_labels_or_tokens(start, interrupt, tmp_path, name, insists):
    """The sentence with the changed label is not among those that are trained on, and no text has the added words."""
    data, words = tmp_path / "train.txt", tmp_path / "words.txt"
    settings = {"train_file": data, "added_words": words, "max_train_samples": 80}
    settings |= {"resume_from_checkpoint": "last"} if insists else {}
    data.write_text("a B-X\n\n" * 80 + "b B-Y\n")
    words.write_text("cafe\n")
    interrupt(3, kill)
    with pytest.raises(Killed):
        start("ner", tmp_path / "run", **settings)
    changed = data if name == "labels" else words
    changed.write_text(changed.read_text().replace("B-Y", "B-Z").replace("cafe", "fade"))
    with pytest.raises(RecipeError) as caught:
        start("ner", tmp_path / "run", **settings)
    assert f"checkpoint-2: cannot be continued with other {name} than its weights are for: restore" in str(caught.value)
    assert "resume_from_checkpoint" not in str(caught.value)


@pytest.mark.parametrize(
    ("more", "change"),
    [
        ({"student_layers": 1}, "student_layers (None -> 1)"),
        ({"learning_rate": 2e-3}, "learning_rate (0.001 -> 0.002)"),
        ({"layer_lr_decay": 0.9, "adam_beta2": 0.98}, "adam_beta2 (0.999 -> 0.98), layer_lr_decay (1.0 -> 0.9)"),
        ({"streaming": True}, "streaming (False -> True)"),
    ],
)
def test_settings_that_the_optimizer_goes_by_cannot_be_changed_at_all(start, interrupt, tmp_path, more, change):
    """It would keep its own: the run would be recorded with others than it was trained with."""
    interrupt(3, kill)
    with pytest.raises(Killed):
        start("mlm", tmp_path)
    for resume in (None, "last"):
        more |= {"resume_from_checkpoint": resume} if resume else {}
        with pytest.raises(RecipeError) as caught:
            start("mlm", tmp_path, **more)
        assert f"cannot be continued with other values of {change}: restore them" in str(caught.value)


def test_a_checkpoint_that_cannot_be_continued_is_refused(start, interrupt, tmp_path):
    for name, more in {"weights": {"save_only_model": True}, "streamed": {"streaming": True}}.items():
        interrupt(3, kill)
        with pytest.raises(Killed):
            start("mlm", tmp_path / name, **more)
    with pytest.raises(RecipeError, match=r"checkpoint-2: has no optimizer state \(save_only_model\)"):
        start("mlm", tmp_path / "weights")
    plain = tmp_path / "weights" / "checkpoint-2"
    (plain / "manifest.json").unlink()
    with pytest.raises(
        RecipeError, match=r"checkpoint-2: damaged \(manifest.json is missing\): set a whole checkpoint"
    ):
        start("mlm", tmp_path / "other", resume_from_checkpoint=plain)
    manifest = tmp_path / "streamed" / "checkpoint-2" / "manifest.json"
    edit(manifest, settings=json.loads(manifest.read_text())["settings"] | {"processes": 2})
    with pytest.raises(
        RecipeError, match=r"streamed by 2 process\(es\) and cannot be continued by 1: start the same number"
    ):
        start("mlm", tmp_path / "streamed", streaming=True, resume_from_checkpoint="last")


def test_settings_that_change_no_weight_may_differ(start, interrupt, reference, tmp_path):
    interrupt(3, kill)
    with pytest.raises(Killed):
        start("mlm", tmp_path / "old")
    (tmp_path / "old").rename(tmp_path / "new")
    more = {"logging_steps": 3, "save_steps": 5, "save_total_limit": 2, "dataloader_num_workers": 1}
    more |= {"max_eval_samples": 2}
    start("mlm", tmp_path / "new", **more)
    assert fingerprint(tmp_path / "new") == reference(start, "mlm")
    assert steps(tmp_path / "new") == [5, 9]
    history = json.loads((tmp_path / "new" / "trainer_state.json").read_text())["log_history"]
    assert [entry["step"] for entry in history if "grad_norm" in entry] == [1, 2, 3, 6, 9]


def test_the_minutes_of_all_starts_are_counted(start, interrupt, tmp_path):
    interrupt(3, kill)
    with pytest.raises(Killed):
        start("mlm", tmp_path)
    edit(tmp_path / "checkpoint-2" / "manifest.json", seconds=6000)
    start("mlm", tmp_path)
    run = yaml.safe_load((tmp_path / "run.yaml").read_text())
    assert 100 <= run["train_minutes"] <= run["total_minutes"] < 102


def test_scores_of_a_shorter_training_do_not_stay_beside_the_weights_of_a_longer_one(start, tmp_path):
    constant = {"lr_scheduler_type": "constant", "resume_from_checkpoint": "last"}
    start("mlm", tmp_path, **constant, max_steps=4, do_eval=True)
    start("mlm", tmp_path, **constant, max_steps=4)
    assert (tmp_path / "metrics.json").exists()
    start("mlm", tmp_path, **constant, max_steps=9)
    assert not (tmp_path / "metrics.json").exists()


def test_a_folder_in_which_a_run_is_at_work_is_refused(start, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    program = (
        "import sys, pathlib, recipe.training.checkpoints as c\n"
        "lock = c.lock_folder(pathlib.Path(sys.argv[1])); print(flush=True); input()"
    )
    command = [sys.executable, "-c", program, folder]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as other:
        other.stdout.readline()
        with pytest.raises(RecipeError, match=f"{folder}: another run or export is using it: wait until that ends"):
            start("mlm", folder, restart=True)
        other.kill()
    start("mlm", folder)
    assert not list(tmp_path.glob("*.aside-1"))


def test_an_epoch_is_evaluated_before_a_signal_ends_the_run(start, interrupt, tmp_path):
    interrupt(4, lambda: os.kill(os.getpid(), signal.SIGTERM))  # in its last step
    settings = {"do_eval": True, "eval_strategy": "epoch", "save_strategy": "epoch", "load_best_model_at_end": True}
    with pytest.raises(StoppedError, match="step 5 is saved"):
        start("ner", tmp_path, **settings, metric_for_best_model="f1")
    history = json.loads((tmp_path / "checkpoint-5" / "trainer_state.json").read_text())["log_history"]
    assert [entry["step"] for entry in history if "eval_f1" in entry] == [5]


def test_the_end_of_the_launcher_ends_the_run_after_a_save(start, interrupt, tmp_path, monkeypatch):
    parents = [os.getppid()]
    monkeypatch.setattr("recipe.training.signals.find_launch", lambda: ["accelerate", "launch"])
    monkeypatch.setattr("os.getppid", lambda: parents[-1])
    interrupt(2, lambda: parents.append(1))
    with pytest.raises(StoppedError, match="SIGTERM: step 3 is saved"):
        start("mlm", tmp_path)


def test_restart_sets_the_old_run_aside(start, interrupt, reference, tmp_path, capsys):
    folder = tmp_path / "run"
    interrupt(3, kill)
    with pytest.raises(Killed):
        start("mlm", folder, seed=1)
    start("mlm", folder, restart=True)
    assert fingerprint(folder) == reference(start, "mlm")
    assert steps(tmp_path / "run.aside-1") == [2]
    assert f"starting over; earlier files were moved to {tmp_path / 'run.aside-1'}" in capsys.readouterr().err
    start("mlm", folder, restart=True)
    assert (tmp_path / "run.aside-2" / "model.safetensors").exists()


def test_a_run_does_not_overwrite_the_model_that_it_starts_from(start, tmp_path, encoder):
    copy = shutil.copytree(encoder, tmp_path / "run")
    with pytest.raises(RecipeError, match="would overwrite the model of the start"):
        start("mlm", tmp_path / "run", model_name_or_path=copy)


def test_restart_refuses_to_move_what_the_run_reads(start, tmp_path, uneven_file):
    start("ner", tmp_path / "run")
    shutil.copy(uneven_file, tmp_path / "run")
    model, text = tmp_path / "run" / "checkpoint-8", tmp_path / "run" / "train.txt"
    held = sorted(tmp_path.rglob("*"))
    for name, value in {
        "model_name_or_path": model,
        "train_file": text,
        "extra_train_file": f"{text.parent}/t*",
        "validation_file": f"{tmp_path}/r?n/train.txt",
    }.items():
        with pytest.raises(RecipeError, match=f"^{name} .*: is in the output folder, whose files --restart moves away"):
            start("ner", tmp_path / "run", restart=True, **{name: value})
    assert sorted(tmp_path.rglob("*")) == held


def test_restart_refuses_to_empty_the_working_folder(start, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecipeError, match="is or contains the working folder"):
        start("mlm", ".", restart=True)


def cut(path):
    path.write_bytes(path.read_bytes()[:-8])


def flip_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def zero(path):
    path.write_bytes(bytes(path.stat().st_size))


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


DAMAGE = {
    "file missing": (lambda folder: (folder / "optimizer.pt").unlink(), "optimizer.pt is missing"),
    "file cut": (lambda folder: cut(folder / "model.safetensors"), "bytes"),
    "file empty": (lambda folder: (folder / "rng_state.pth").write_bytes(b""), "rng_state.pth has 0 of"),
    "bit of the weights": (lambda folder: flip_bit(folder / "model.safetensors"), "model.safetensors has changed"),
    "bit of the state": (lambda folder: flip_bit(folder / "trainer_state.json"), "trainer_state.json has changed"),
    "optimizer zeroed": (lambda folder: zero(folder / "optimizer.pt"), "optimizer.pt has changed"),
    "optimizer of another step": (
        lambda folder: shutil.copy(folder.with_name("checkpoint-2") / "optimizer.pt", folder),
        "optimizer.pt has changed",
    ),
    "no manifest": (lambda folder: (folder / "manifest.json").unlink(), "manifest.json is missing"),
    "manifest cut": (lambda folder: cut(folder / "manifest.json"), "column"),
    "manifest a list": (lambda folder: (folder / "manifest.json").write_text("[]"), "manifest.json is not an object"),
    "manifest nested": (lambda folder: (folder / "manifest.json").write_text("[" * 10**5), "recursion"),
    "manifest binary": (lambda folder: (folder / "manifest.json").write_bytes(b"\xff\xfe"), "codec can't decode"),
    "settings a list": (lambda folder: edit(folder / "manifest.json", settings=[1]), "manifest.json: settings is not"),
    "seconds a text": (lambda folder: edit(folder / "manifest.json", seconds="x"), "manifest.json: seconds is not"),
    "files elsewhere": (lambda folder: edit(folder / "manifest.json", files={"../x": 0}), "outside the folder"),
    "step": (lambda folder: folder.rename(folder.with_name("checkpoint-7")), "its files have different steps: 4 and 7"),
    "state": (lambda folder: edit(folder / "manifest.json", step=3), "its files have different steps: 3 and 4"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_checkpoint_is_named_and_the_one_before_used(
    start, interrupt, reference, tmp_path, capsys, caplog, kind
):
    interrupt(5, kill)
    with pytest.raises(Killed):
        start("mlm", tmp_path)
    assert steps(tmp_path) == [2, 4]
    damage, reason = DAMAGE[kind]
    damage(tmp_path / "checkpoint-4")
    start("mlm", tmp_path)
    assert reason in caplog.text
    assert fingerprint(tmp_path) == reference(start, "mlm")


def test_a_checkpoint_of_an_earlier_version_has_no_digests_and_is_used(start, interrupt, reference, tmp_path):
    interrupt(3, kill)
    with pytest.raises(Killed):
        start("mlm", tmp_path)
    manifest = tmp_path / "checkpoint-2" / "manifest.json"
    content = json.loads(manifest.read_text())
    assert content["files"].keys() == content.pop("sha256").keys()
    manifest.write_text(json.dumps(content))
    start("mlm", tmp_path)
    assert fingerprint(tmp_path) == reference(start, "mlm")


def test_other_threads_are_other_sums_and_need_a_word(start, interrupt, tmp_path):
    interrupt(3, kill)
    with pytest.raises(Killed):
        start("mlm", tmp_path, threads=2)
    with pytest.raises(RecipeError, match=r"made with other settings, threads_in_use \(2 -> 1\): restore them"):
        start("mlm", tmp_path, threads=1)
    start("mlm", tmp_path, threads=1, resume_from_checkpoint="last")
    assert steps(tmp_path)[-1] > 2


def test_a_run_whose_checkpoints_are_all_damaged_is_not_begun_anew_unasked(start, interrupt, tmp_path):
    interrupt(3, kill)
    with pytest.raises(Killed):
        start("mlm", tmp_path)
    cut(tmp_path / "checkpoint-2" / "optimizer.pt")
    with pytest.raises(RecipeError, match="all checkpoints are damaged: repair "):
        start("mlm", tmp_path)


def test_a_save_that_fails_leaves_the_earlier_checkpoint(start, reference, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(ResumableTrainer, "_save_rng_state", fail_from_the_second_call())
        with pytest.raises(RecipeError, match=r"checkpoint-4 could not be saved .*No space left.*\(checkpoint-2\)"):
            start("mlm", tmp_path)
    assert [path.name for path in tmp_path.glob("*checkpoint-*")] == ["checkpoint-2"]
    start("mlm", tmp_path)
    assert fingerprint(tmp_path) == reference(start, "mlm")


def fail_from_the_second_call():
    save, calls = ResumableTrainer._save_rng_state, []

    def save_or_fail(self, folder):
        calls.append(folder)
        if len(calls) > 1:
            raise OSError(28, "No space left on device")
        save(self, folder)

    return save_or_fail


def test_a_gitignore_keeps_its_lines(start, tmp_path):
    (tmp_path / ".gitignore").write_text("secret.key\npredictions/")
    for _ in range(2):
        start("mlm", tmp_path)
        lines = (tmp_path / ".gitignore").read_text().splitlines()
        assert lines[:2] == ["secret.key", "predictions/"]
        assert "report.html" in lines
        assert len(lines) == len(set(lines))


def test_an_output_folder_that_cannot_be_made_is_refused(start, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RecipeError, match=r"output_dir .*file/run: Not a directory: set a folder you can write to"):
        start("mlm", tmp_path / "file" / "run")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "README.md").write_text("My project")
    with pytest.raises(RecipeError, match=r"own: contains a README\.md that no run wrote, .*: set another output_dir"):
        start("mlm", tmp_path / "own")
    assert (tmp_path / "own" / "README.md").read_text() == "My project"
    (tmp_path / "run" / ".gitignore").mkdir(parents=True)  # stands for a folder in which nothing can be written
    with pytest.raises(RecipeError, match=r"output_dir .*run: Is a directory: set a folder you can write to"):
        start("mlm", tmp_path / "run")

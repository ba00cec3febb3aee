import json
import math
import os
import random
import subprocess
import sys

import datasets
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import BertForMaskedLM, BertForTokenClassification, DataCollatorForTokenClassification

import run_ner
from conftest import ROOT, make_config
from recipe.arguments import MlmArguments
from recipe.data.conll import read_conll
from recipe.data.splits import list_labels
from recipe.errors import RecipeError
from recipe.evaluation.masked import score_positions, summarize_positions
from recipe.inputs.masking import build_collator, draw_masks
from recipe.inputs.tokenizer import load_tokenizer
from recipe.inputs.windows import build_windows
from recipe.model.settings import ModelArguments
from recipe.training.divergence import TOLERATED, DivergenceGuard
from recipe.training.settings import TrainingArguments
from recipe.training.trainer import RecipeTrainer


def curve(trainer_state):
    return [(entry["loss"], entry["grad_norm"]) for entry in trainer_state["log_history"] if "grad_norm" in entry]


def options(encoder, train_file, folder, batch, accumulation):
    values = {
        "model_name_or_path": encoder,
        "train_file": train_file,
        "output_dir": folder,
        "per_device_train_batch_size": batch,
        "gradient_accumulation_steps": accumulation,
        "max_seq_length": 64,
        "context": "none",
        "do_train": True,
        "max_steps": 5,
        "logging_steps": 1,
        "learning_rate": 1e-3,
        "save_strategy": "no",
        "precision": "fp32",
        "disable_tqdm": True,
    }
    return [f"--{key}={value}" for key, value in values.items()]


@pytest.fixture(scope="module")
def reference_curve(encoder, uneven_file, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reference")
    padded = "--pack_batches=false"  # the others' are packed, and must agree all the same
    run_ner.main([*options(encoder, uneven_file, folder, batch=8, accumulation=1), padded])
    return curve(json.loads((folder / "trainer_state.json").read_text()))


@pytest.mark.parametrize("accumulation", [2, 4])
def test_accumulation_changes_neither_loss_nor_gradient(encoder, uneven_file, reference_curve, tmp_path, accumulation):
    run_ner.main(options(encoder, uneven_file, tmp_path, 8 // accumulation, accumulation))
    found = curve(json.loads((tmp_path / "trainer_state.json").read_text()))
    assert len(found) == 5
    np.testing.assert_allclose(found, reference_curve, rtol=1e-4)


def test_two_processes_change_neither_loss_nor_gradient(encoder, uneven_file, reference_curve, tmp_path):
    command = [sys.executable, "-m", "accelerate.commands.launch"]
    command += ["--config_file", "configs/accelerate/multi_cpu.yaml", "--main_process_port", "0", "run_ner.py"]
    run = subprocess.run(
        [*command, *options(encoder, uneven_file, tmp_path, batch=4, accumulation=1)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert "processes: 2" in (tmp_path / "run.yaml").read_text()
    found = curve(json.loads((tmp_path / "trainer_state.json").read_text()))
    np.testing.assert_allclose(found, reference_curve, rtol=1e-4)


@pytest.mark.parametrize("sparse_head", [False, True])
@pytest.mark.parametrize("accumulation", [1, 2, 4])
def test_masked_language_modelling_weighs_tokens_alike(tokenizer, tmp_path, accumulation, sparse_head):
    draw = random.Random(1)
    blocks = [[2, *draw.choices(range(5, 31), k=draw.randint(4, 40)), 3] for _ in range(40)]
    masked = draw_masks(datasets.Dataset.from_dict({"input_ids": blocks}), tokenizer, MlmArguments())
    args = TrainingArguments(
        output_dir=str(tmp_path),
        per_device_train_batch_size=8 // accumulation,
        gradient_accumulation_steps=accumulation,
        max_steps=5,
        logging_steps=1,
        save_strategy="no",
        precision="fp32",
        pack_batches=False,
        disable_tqdm=True,
        seed=3,
    )
    torch.manual_seed(0)
    collator = build_collator(tokenizer, MlmArguments())
    trainer = RecipeTrainer(
        args=args,
        sparse_head=sparse_head,
        model=BertForMaskedLM(make_config()),
        train_dataset=masked,
        data_collator=collator,
    )
    trainer.train()
    first = trainer.state.log_history[0]
    # By hand: the summed loss of the first eight examples over their masked tokens.
    sampler = list(iter(trainer.get_train_dataloader()))
    assert sum(len(batch["input_ids"]) for batch in sampler) == 40
    torch.manual_seed(0)
    model = BertForMaskedLM(make_config()).eval()
    losses = []
    for example in masked:
        with torch.no_grad():
            logits = model(torch.tensor([example["input_ids"]])).logits[0]
        labels = torch.tensor(example["labels"])
        losses.append((torch.nn.functional.cross_entropy(logits, labels, reduction="sum"), int((labels != -100).sum())))
    order = next(iter_orders(args.seed, len(losses)))
    total, count = (sum(part) for part in zip(*(losses[i] for i in order[:8]), strict=True))
    assert first["loss"] == pytest.approx(float(total) / count, rel=1e-4)


def iter_orders(seed, size):
    """The orders in which a seeded RandomSampler of accelerate visits `size` examples, epoch by epoch."""
    from accelerate.data_loader import SeedableRandomSampler

    sampler = SeedableRandomSampler(range(size), data_seed=seed)
    while True:
        yield list(sampler)


def make_trainer(tokenizer, folder, dataset, **settings):
    settings = {"per_device_eval_batch_size": 3, "disable_tqdm": True} | settings
    args = TrainingArguments(output_dir=str(folder), **settings)
    torch.manual_seed(0)
    return RecipeTrainer(
        args=args,
        model=BertForTokenClassification(make_config(num_labels=3)),
        train_dataset=dataset,
        data_collator=DataCollatorForTokenClassification(tokenizer),
        processing_class=tokenizer,
    )


def test_grouping_by_length_pads_little_and_leaves_predictions_in_order(tokenizer, tmp_path):
    draw = random.Random(2)
    dataset = [{"input_ids": [5] * n, "labels": [0] * n} for n in draw.choices(range(3, 60), k=400)]
    grouped = make_trainer(
        tokenizer, tmp_path, dataset, train_sampling_strategy="group_by_length", per_device_train_batch_size=8
    )
    sizes = [batch["labels"] for batch in grouped.get_train_dataloader()]
    padded = sum(labels.numel() for labels in sizes) / sum(int((labels != -100).sum()) for labels in sizes)
    assert padded < 1.15
    batches = grouped.predict(dataset).label_ids  # each as long as its own longest example
    lengths, size = [len(example["labels"]) for example in dataset], grouped.args.eval_batch_size
    assert [batch.shape[1] for batch in batches] == [max(lengths[at : at + size]) for at in range(0, 400, size)]
    assert [int((row != -100).sum()) for batch in batches for row in batch] == lengths


def measure_padding(loader, windows):
    """Tokens of all batches, padding included, over those of the windows."""
    return sum(batch["input_ids"].numel() for batch in loader) / sum(len(window["input_ids"]) for window in windows)


def test_conll2003_in_batches_of_32_pads_at_most_6_percent(conll2003, tmp_path):
    tokenizer = load_tokenizer(ModelArguments(tokenizer_name="minilm-l6"))
    documents = read_conll(conll2003 / "eng.train")
    windows = build_windows(documents, tokenizer, list_labels(documents), max_seq_length=128)
    sizes = {"per_device_train_batch_size": 32, "per_device_eval_batch_size": 32}
    by_length = make_trainer(tokenizer, tmp_path, windows, train_sampling_strategy="group_by_length", **sizes)
    assert measure_padding(by_length.get_train_dataloader(), windows) <= 1.06
    assert measure_padding(by_length.get_eval_dataloader(windows), windows) <= 1.06
    packed = make_trainer(tokenizer, tmp_path, windows, **sizes)  # random batches
    assert measure_padding(packed.get_train_dataloader(), windows) <= 1.06
    padded = make_trainer(tokenizer, tmp_path, windows, pack_batches=False, **sizes)
    assert measure_padding(padded.get_train_dataloader(), windows) > 2


def test_two_evaluations_agree_to_the_last_digit(tokenizer, tmp_path):
    blocks = datasets.Dataset.from_dict({"input_ids": [[2, *range(5, 5 + n), 3] for n in range(5, 25)]})
    trainer = RecipeTrainer(
        args=TrainingArguments(output_dir=str(tmp_path), disable_tqdm=True),
        model=BertForMaskedLM(make_config()),
        eval_dataset=draw_masks(blocks, tokenizer, MlmArguments()),
        data_collator=build_collator(tokenizer, MlmArguments()),
        compute_metrics=summarize_positions,
        preprocess_logits_for_metrics=score_positions,
    )
    first, second = trainer.evaluate(), trainer.evaluate()
    names = ("eval_loss", "eval_perplexity", "eval_masked_accuracy", "eval_masked_tokens")
    assert [first[name] for name in names] == [second[name] for name in names]
    assert first["eval_perplexity"] == math.exp(first["eval_loss"])


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_training_that_diverges_stops_in_one_line_and_keeps_the_last_good_checkpoint(
    encoder, column_files, tmp_path, precision
):
    flags = {"model_name_or_path": encoder, "data_dir": column_files, "output_dir": tmp_path, "max_seq_length": 48}
    flags |= {"do_train": True, "do_eval": True, "max_steps": 30, "save_steps": 2, "per_device_train_batch_size": 1}
    flags |= {"learning_rate": 1e30, "lr_scheduler_type": "constant", "max_grad_norm": 0, "warmup_steps": 0}
    with pytest.raises(
        RecipeError, match=r"step \d+: (the loss is|weights are) no longer finite .* --restart"
    ) as caught:
        run_ner.main([f"--{key}={value}" for key, value in (flags | {"precision": precision}).items()])
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "report.json").exists()
    assert not (tmp_path / "README.md").exists()
    for checkpoint in tmp_path.glob("checkpoint-*"):
        weights = load_file(checkpoint / "model.safetensors")
        assert all(bool(weight.isfinite().all()) for weight in weights.values())


def test_losses_that_fp16_skips_are_tolerated_for_a_while():
    guard = DivergenceGuard(fp16=True)
    for _ in range(TOLERATED):
        guard.count(torch.tensor(math.inf))
    guard.check(step=9, rate=1e-3)
    guard.count(torch.tensor(1.0))
    for _ in range(TOLERATED + 1):
        guard.count(torch.tensor(math.nan))
    with pytest.raises(RecipeError, match="step 9: the loss is no longer finite"):
        guard.check(step=9, rate=1e-3)


def test_a_training_of_few_steps_is_warned_about_unless_they_are_asked_for(encoder, column_files, tmp_path, caplog):
    flags = {"model_name_or_path": encoder, "data_dir": column_files, "max_seq_length": 48, "do_train": True}
    for name, more in {"epochs": {"num_train_epochs": 3}, "steps": {"max_steps": 3}}.items():
        caplog.clear()
        run_ner.main([f"--{key}={value}" for key, value in (flags | more | {"output_dir": tmp_path / name}).items()])
        assert ("the training has only 3 steps" in caplog.text) == (name == "epochs")

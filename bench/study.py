"""A study of entity F1: masked pretraining, case markers and document context crossed, distillation, augmentation of
few or many training documents, and trials of settings on dev.

python -m bench.study --data_dir path/to/conll2003 --conllpp conllpp_test.txt --text "*.txt" --silver "*.txt" [name ...]

Choose runs by name; * and ? are wildcards. Each run writes `results/study/<name>.json`, or `results/<name>.json` if the
README shows it, and is skipped if that file exists. An interrupted run continues from its last checkpoint. A masked
pretraining that is not interrupted also writes its perplexity there. Trials are never scored on a test split.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from bench.runs import (
    AUGMENTED,
    AUGMENTED_STEPS,
    ENCODERS,
    FILLER,
    MLM_STEPS,
    RUNS,
    SILVER_EPOCHS,
    SILVER_SHARE,
    TAUGHT,
    TEACHER,
    Run,
    list_runs,
    list_teachers,
)
from recipe.data.conll import read_columns
from recipe.data.splits import find_files
from recipe.data.words import write_words
from recipe.errors import RecipeError, exit_with
from recipe.evaluation.results import format_mean

LOCAL = re.compile(r"""(?<=[\s"'=])(?:/|~/|\.\./)[^\s"']*?([^\s"'/]+/[^\s"'/]+)(?=[\s"'])""")
DISTILLED_CONFIG = "configs/ner/minilm_distilled_conll2003.yaml"
LAUNCH = (sys.executable, "-m", "accelerate.commands.launch", "--quiet")
LAUNCH += ("--config_file", "configs/accelerate/one_cpu.yaml")


@dataclass(frozen=True)
class Data:
    """The folder of CoNLL-2003, the test file of CoNLL++, text for pretraining, and text to tag as training data."""

    data_dir: str
    conllpp: str
    text: str
    silver: str


def pretrain(run: Run, data: Data) -> Path:
    """The checkpoint that `run` starts from. If missing, it is trained, continuing from a shorter pretraining."""
    checkpoint = run.pretraining / f"checkpoint-{MLM_STEPS * run.millions}"
    if not checkpoint.exists():
        settings = {"case_markers": run.markers, "max_steps": MLM_STEPS * run.millions, "save_total_limit": 100}
        settings |= {"resume_from_checkpoint": "last", "output_dir": run.pretraining}
        settings |= {"objective": "masked_autoregressive"} if run.autoregressive else {}
        text = [data.text, write_articles(data)] if run.articles else data.text
        launch("run_mlm.py", config=ENCODERS[run.encoder].mlm, train_file=text, **settings, **run.mlm_changes)
        metrics = json.loads((run.pretraining / "metrics.json").read_text(encoding="utf-8"))
        write_result(run.pretraining_result, metrics)  # a copy: a longer pretraining replaces metrics.json
    return checkpoint


def write_articles(data: Data) -> Path:
    """Write the training split as text: one sentence per line, spaces between words, blank lines between articles."""
    documents = [document for file in find_files(data.data_dir)["train"] for document in read_columns(file)]
    articles = ["".join(" ".join(sentence.words) + "\n" for sentence in document.sentences) for document in documents]
    path = RUNS / "articles.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(articles), encoding="utf-8")
    return path


def fine_tune(run: Run, data: Data, restart: bool = False) -> dict:
    """Train and score `run`; returns its report, which includes CoNLL++, or for a trial only the scores on dev."""
    settings: dict[str, Any] = {"config": ENCODERS[run.encoder].ner, "data_dir": data.data_dir}
    settings |= {"case_markers": run.markers, "context": run.context, "seed": run.seed}
    if run.context == "none":
        settings["per_device_train_batch_size"] = ENCODERS[run.encoder].sentences
    if run.extra:
        settings |= distil(run, data) if run.extra in TAUGHT else extend_training(run, data)
    if run.layers:
        settings["student_layers"] = run.layers
    if run.percent:
        settings |= augment(run, data)
    if run.millions:
        settings["model_name_or_path"] = pretrain(run, data)
    settings |= run.changes
    launch("run_ner.py", **settings, do_predict=not run.trial, restart=restart, output_dir=run.folder)
    report = read_report(run.folder)
    report["study"] = vars(run)
    if run.averaged:
        averaged = average(run.folder)
        settings |= {"model_name_or_path": averaged, "do_train": False, "do_predict": False}
        launch("run_ner.py", **settings, output_dir=averaged)
        report["dev"] = read_report(averaged)["dev"]
    if run.percent:
        report["calibration"] = read_calibration(run.folder)
    elif not run.trial:
        predict(run, data.conllpp, run.folder / "conllpp")
        report["conllpp"] = read_report(run.folder / "conllpp")["test"]
    return report


def extend_training(run: Run, data: Data) -> dict:
    """Settings that add the data named by `run.extra` to the training split."""
    if run.extra == "dev":
        return {"extra_train_file": find_files(data.data_dir)["dev"], "do_eval": False, "eval_strategy": "no"}
    tagged = TEACHER.folder / "silver"
    if not (tagged / "report.json").exists():  # written last
        if not (TEACHER.folder / "report.json").exists():
            fine_tune(TEACHER, data)
        words = RUNS / "words.conll"
        write_words([data.silver], words, SILVER_SHARE)
        predict(TEACHER, words, tagged)
    return {"extra_train_file": tagged / "predictions" / "test.conll", "num_train_epochs": SILVER_EPOCHS}


def distil(run: Run, data: Data) -> dict:
    """Settings of a training on the probabilities of the teachers of `run`, also for unlabelled text."""
    teachers = list_teachers(run)
    for teacher in teachers:
        if not (teacher.folder / "report.json").exists():
            fine_tune(teacher, data)
    settings: dict[str, Any] = {"config": DISTILLED_CONFIG}
    settings["teacher"] = [teacher.folder for teacher in teachers]
    settings |= {"unlabelled_file": data.silver, "unlabelled_every": SILVER_SHARE}
    return settings | {"teacher_cache": RUNS / "teacher"}  # one for all students


def augment(run: Run, data: Data) -> dict:
    """Settings of a training on a part of the documents and on changed copies of them."""
    settings: dict[str, Any] = {"train_share": run.percent / 100}
    if run.extra not in TAUGHT:  # else the unlabelled text makes up most of an epoch
        settings |= {"max_steps": AUGMENTED_STEPS[run.percent], "save_steps": 100}
        settings |= {"eval_strategy": "no", "save_strategy": "steps"}  # an epoch can be two steps
    chosen = AUGMENTED[run.augmentation]
    if chosen:
        settings["augmentation"] = list(chosen)
    if "fill" in chosen:
        settings["augmentation_model"] = pretrain(FILLER, data)
    return settings


def read_calibration(folder: Path) -> dict[str, float]:
    """The expected calibration error of each split, from the page's figures in a run's folder."""
    analysis = json.loads((folder / "analysis.json").read_text(encoding="utf-8"))
    return {split: figures["calibration"]["ece"] for split, figures in analysis.items() if figures["calibration"]}


def predict(run: Run, file: str | Path, folder: Path) -> None:
    """Tag `file` with the model of `run`; writes report and predictions to `folder`."""
    settings = {"model_name_or_path": run.folder, "test_file": file, "context": run.context}
    settings |= {"do_train": False, "do_eval": False, "eval_strategy": "no"}  # an eval_strategy would switch do_eval on
    launch("run_ner.py", config=ENCODERS[run.encoder].ner, **settings, output_dir=folder)


def average(folder: Path) -> Path:
    """Write the model of a run's `folder` with the mean weights of its checkpoints; returns its folder."""
    averaged = folder / "averaged"
    average_weights(list(folder.glob("checkpoint-*")), folder, averaged)
    return averaged


def average_weights(models: Sequence[Path], pattern: Path, folder: Path) -> None:
    """Write the mean weights of several models to `folder`, with configuration and tokenizer of the model `pattern`."""
    weights = [load_file(model / "model.safetensors") for model in models]
    mean = {name: torch.stack([weight[name] for weight in weights]).mean(0) for name in weights[0]}
    folder.mkdir(exist_ok=True)
    save_file(mean, folder / "model.safetensors", {"format": "pt"})
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(pattern / name, folder)


def launch(script: str, **settings) -> None:
    """Run a script in one process on the CPU. Raises SystemExit if it fails."""
    if subprocess.run([*LAUNCH, script, *list_flags(settings)]).returncode:
        raise SystemExit(f"{settings['output_dir']}: {script} failed: see its output above")


def list_flags(settings: dict) -> list[str]:
    """Settings as flags of the command line; the items of a list follow its flag."""
    flags = []
    for key, value in settings.items():
        flags += [f"--{key}", *map(str, value if isinstance(value, list) else [value])]
    return flags


def read_report(folder: Path) -> dict:
    """`report.json` of a run's folder."""
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))


def write_result(path: Path, result: dict) -> None:
    """Write a result as JSON; of paths that only this machine has, it keeps the last folder and the name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(LOCAL.sub(r"\1", json.dumps(result, indent=2)) + "\n", encoding="utf-8")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for setting in fields(Data):
        parser.add_argument(f"--{setting.name}", required=True)
    parser.add_argument("names", nargs="*", default=["*"])
    parser.add_argument("--again", action="store_true", help="rebuild runs whose reports exist")
    settings = vars(parser.parse_args())
    names, again = settings.pop("names"), settings.pop("again")
    data, runs = Data(**settings), list_runs()
    for name in names:
        if not any(fnmatch(run.name, name) for run in runs):
            raise RecipeError(f"names: {name}: no run has this name: choose names such as {runs[0].name}")
    for run in runs:
        if not any(fnmatch(run.name, name) for name in names) or (run.result.exists() and not again):
            continue
        report = fine_tune(run, data, restart=again)
        write_result(run.result, report)
        print(f"{run.name}: dev {format_mean([report], 'dev')}")


if __name__ == "__main__":
    exit_with(main)

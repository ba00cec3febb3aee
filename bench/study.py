"""A study of entity F1: masked pretraining, case markers and document context crossed, augmentation of few or many
training documents, and trials of settings on dev.

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
from dataclasses import dataclass, field, fields, replace
from fnmatch import fnmatch
from itertools import product
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from recipe.data.conll import read_columns
from recipe.data.settings import AUGMENTATIONS
from recipe.data.splits import find_files
from recipe.data.words import write_words
from recipe.errors import RecipeError, exit_with
from recipe.evaluation.results import format_mean

RESULTS, RUNS = Path("results"), Path("runs/study")
SHOWN = {  # in the README
    "minilm-markers-document",
    "minilm-markers-mixed",
    "minilm-mlm14M-markers-document",
    "minilm-silver-markers-document",
    "minilm-mlm7M-silver-markers-document",
    "mpnet-markers-document",
    "mpnet-markers-mixed",
}
SEEDED = SHOWN - {"mpnet-markers-mixed"}
SEEDED |= {"minilm-mlm7M-markers-document", "minilm-markers-none", "minilm-mlm14M-autoregressive-markers-document"}
SEEDS = (42, 43, 44)  # for SEEDED; other runs use the first only
LOCAL = re.compile(r"""(?<=[\s"'=])(?:/|~/|\.\./)[^\s"']*?([^\s"'/]+/[^\s"'/]+)(?=[\s"'])""")
MLM_STEPS = 244  # steps for a million tokens, 4,096 tokens each
# Percent of the training documents, and steps that are the same for each augmentation, so that none trains longer. The
# last are the five epochs of other runs.
AUGMENTED_STEPS = {1: 200, 5: 350, 10: 500, 100: 1380}
AUGMENTED = {"none": (), **{name: (name,) for name in AUGMENTATIONS}, "all": AUGMENTATIONS}
LAUNCH = (sys.executable, "-m", "accelerate.commands.launch", "--quiet")
LAUNCH += ("--config_file", "configs/accelerate/one_cpu.yaml")


@dataclass(frozen=True)
class Data:
    """The folder of CoNLL-2003, the test file of CoNLL++, text for pretraining, and text to tag as training data."""

    data_dir: str
    conllpp: str
    text: str
    silver: str


@dataclass(frozen=True)
class Encoder:
    """The configurations of an encoder, and the amounts of masked pretraining to study, in millions of tokens."""

    ner: str
    mlm: str
    millions: int  # the amount that is crossed with all other factors
    growth: tuple[int, ...]  # further amounts, with markers and document context only
    sentences: int  # in a batch with context none: about as many words as in a batch of windows


ENCODERS = {
    "minilm": Encoder("configs/ner/minilm_conll2003.yaml", "configs/mlm/minilm_news.yaml", 7, (1, 2, 4, 14, 28), 32),
    "mpnet": Encoder("configs/ner/mpnet_conll2003.yaml", "configs/mlm/mpnet_news.yaml", 1, (), 16),
}


@dataclass(frozen=True)
class Run:
    """One fine-tuning: its encoder, pretraining and data, and for a trial its name and changed settings.

    autoregressive: pretrain with the objective masked_autoregressive.
    extra: additional training data: "dev", or "silver" for text tagged by MPNet.
    changes, mlm_changes: changed settings of the fine-tuning and of the masked pretraining.
    articles: also pretrain on the articles of the training split.
    averaged: score the mean weights of the last checkpoints instead of the final weights.
    percent, augmentation: train on so many percent of the documents and on changed copies of them: keys of
    `AUGMENTED_STEPS` and `AUGMENTED`.
    """

    encoder: str
    millions: int = 0
    markers: bool = True
    context: str = "document"
    seed: int = 42
    extra: str = ""
    trial: str = ""
    changes: dict = field(default_factory=dict)
    mlm_changes: dict = field(default_factory=dict)
    articles: bool = False
    averaged: bool = False
    autoregressive: bool = False
    percent: int = 0
    augmentation: str = ""

    @property
    def line(self) -> str:
        """The name of the combination of factors, such as mpnet-markers-document."""
        mlm = f"mlm{self.millions}M" if self.millions else ""
        return _join(
            self.encoder,
            mlm,
            "autoregressive" * self.autoregressive,
            self.extra,
            f"train{self.percent}" * bool(self.percent),
            self.augmentation,
            "markers" * self.markers,
            self.context,
        )

    @property
    def name(self) -> str:
        """The name of the run and its files."""
        return _join(self.line, self.trial, f"seed{self.seed}")

    @property
    def folder(self) -> Path:
        """The output folder of the run."""
        return RUNS / self.name

    @property
    def result(self) -> Path:
        """The path of the run's report."""
        shown = not self.trial and self.line in SHOWN
        return RESULTS / ("" if shown else "study") / f"{self.name}.json"

    @property
    def pretraining(self) -> Path:
        """The output folder of the masked pretraining with the checkpoint that this run starts from."""
        trial = self.trial if self.articles or self.mlm_changes else ""
        return RUNS / _join(
            self.encoder, "mlm", "autoregressive" * self.autoregressive, "markers" * self.markers, trial
        )

    @property
    def pretraining_result(self) -> Path:
        """The path of the metrics of that pretraining."""
        return RESULTS / "study" / f"{self.pretraining.name}-{self.millions}M.json"


def _join(*parts: str) -> str:
    return "-".join(part for part in parts if part)


TEACHER = Run("mpnet")
FILLER = Run("minilm", 14)  # its masked pretraining chooses words for the augmentation `fill`
SILVER_SHARE, SILVER_EPOCHS = 4, 3  # one article in four gives three times the words of the training split

ARGMAX = {"constrained_decoding": False}
MORE_DROPOUT = {"config_overrides": "attention_probs_dropout_prob=0.0,hidden_dropout_prob=0.2"}
BY_LENGTH = {"train_sampling_strategy": "group_by_length"}
MINILM_FLAT = {"learning_rate": 4e-4, "layer_lr_decay": 1, **ARGMAX}
MPNET_FLAT = {"learning_rate": 4e-5, "layer_lr_decay": 1, **ARGMAX}
KEEP_FIVE = {"save_strategy": "steps", "save_steps": 0.05, "save_total_limit": 5}  # in the last fifth of the training
MLM_FLAT = {"learning_rate": 5e-4, "layer_lr_decay": 1, "warmup_steps": 244}
TRIALS = [
    Run("minilm", trial="argmax", changes=ARGMAX),
    Run("mpnet", trial="argmax", changes=ARGMAX),
    Run("minilm", markers=False, context="none", trial="argmax-lr4e-4", changes=MINILM_FLAT | BY_LENGTH),
    Run("minilm", markers=False, trial="argmax-lr4e-4", changes=MINILM_FLAT | BY_LENGTH),
    Run("minilm", trial="argmax-lr4e-4", changes=MINILM_FLAT),
    Run("minilm", 2, trial="argmax-lr4e-4", changes=MINILM_FLAT),
    Run("minilm", 7, trial="argmax-lr4e-4-mlm-lr5e-4", changes=MINILM_FLAT, mlm_changes=MLM_FLAT),
    Run("minilm", 7, trial="articles", articles=True),
    Run("mpnet", markers=False, trial="argmax-lr4e-5", changes=MPNET_FLAT | BY_LENGTH),
    Run("mpnet", trial="argmax-lr4e-5", changes=MPNET_FLAT),
    Run("minilm", trial="epochs8", changes={"num_train_epochs": 8}),
    Run("minilm", trial="batch2", changes={"per_device_train_batch_size": 2}),
    Run("minilm", trial="batch8", changes={"per_device_train_batch_size": 8}),
    Run("minilm", trial="window256", changes={"max_seq_length": 256, "per_device_train_batch_size": 8}),
    Run("minilm", trial="smoothing", changes={"label_smoothing_factor": 0.1}),
    Run("minilm", trial="dropout0.2", changes=MORE_DROPOUT),
    Run("minilm", trial="attention-dropout", changes={"config_overrides": "attention_probs_dropout_prob=0.1"}),
    Run("minilm", trial="averaged", changes=KEEP_FIVE, averaged=True),
]


def list_runs() -> list[Run]:
    """The crossed combinations, those with growing pretraining, further seeds of `SEEDED`, and the trials."""
    runs = []
    for name, encoder in ENCODERS.items():
        runs += [Run(name, millions) for millions in encoder.growth]
        runs += [Run(name, *line) for line in product((0, encoder.millions), (False, True), ("none", "document"))]
        runs += [Run(name, extra="dev"), Run(name, context="mixed")]
    runs += [Run("minilm", millions, extra="silver") for millions in (0, ENCODERS["minilm"].millions)]
    runs += [Run("minilm", 14, autoregressive=True), Run("mpnet", extra="silver")]  # tagged by MPNet itself
    runs += list_augmented()
    seeded = [run for run in runs if run.line in SEEDED or run.percent]
    return [*runs, *(replace(run, seed=seed) for run in seeded for seed in SEEDS[1:]), *TRIALS]


def list_augmented() -> list[Run]:
    """The runs on few or many training documents, with each augmentation, of the first seed."""
    return [Run("minilm", percent=percent, augmentation=name) for percent, name in product(AUGMENTED_STEPS, AUGMENTED)]


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
        settings |= extend_training(run, data)
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


def augment(run: Run, data: Data) -> dict:
    """Settings of a training on a part of the documents and on changed copies of them."""
    settings: dict[str, Any] = {"train_share": run.percent / 100, "max_steps": AUGMENTED_STEPS[run.percent]}
    settings |= {"eval_strategy": "no", "save_strategy": "steps", "save_steps": 100}  # an epoch can be two steps
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
    weights = [load_file(checkpoint / "model.safetensors") for checkpoint in folder.glob("checkpoint-*")]
    mean = {name: torch.stack([weight[name] for weight in weights]).mean(0) for name in weights[0]}
    averaged = folder / "averaged"
    averaged.mkdir(exist_ok=True)
    save_file(mean, averaged / "model.safetensors", {"format": "pt"})
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(folder / name, averaged)
    return averaged


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

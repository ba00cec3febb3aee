"""The runs of the study: the crossed factors, distillation, augmentation, and the trials."""

from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path

from recipe.data.settings import AUGMENTATIONS

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
SEEDED |= {"minilm-distilled-markers-mixed", "minilm-distilled-3layers-markers-mixed"}
SEEDED |= {"minilm-mlm14M-distilled-markers-mixed", "minilm-distilled-2layers-markers-mixed"}
SEEDED |= {"minilm-mlm7M-markers-document", "minilm-markers-none", "minilm-mlm14M-autoregressive-markers-document"}
SEEDS = (42, 43, 44)  # for SEEDED; other runs use the first only
MLM_STEPS = 244  # steps for a million tokens, 4,096 tokens each
# Percent of the training documents, and steps that are the same for each augmentation, so that none trains longer. The
# last are the five epochs of other runs.
AUGMENTED_STEPS = {1: 200, 5: 350, 10: 500, 100: 1380}
FEW = 10  # the percentage at which masked pretraining and soft labels are tried too
AUGMENTED = {"none": (), **{name: (name,) for name in AUGMENTATIONS}, "all": AUGMENTATIONS}


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
    extra: additional training data: "dev", or "silver" for text tagged by MPNet, or one of `TAUGHT` for the
    probabilities that finished taggers find, also in text.
    layers: start from so many layers of the encoder; 0: from all.
    changes, mlm_changes: changed settings of the fine-tuning and of the masked pretraining.
    articles: also pretrain on the articles of the training split.
    averaged: score the mean weights of the last checkpoints instead of the final weights.
    percent, augmentation: train on so many percent of the documents and on changed copies of them: keys of
    `AUGMENTED_STEPS` and `AUGMENTED`. Its teachers are trained on the same documents.
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
    layers: int = 0

    @property
    def line(self) -> str:
        """The name of the combination of factors, such as mpnet-markers-document."""
        mlm = f"mlm{self.millions}M" if self.millions else ""
        return _join(
            self.encoder,
            mlm,
            "autoregressive" * self.autoregressive,
            self.extra,
            f"{self.layers}layers" * bool(self.layers),
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
SOFT_TEACHER = Run("mpnet", context="mixed")
TAUGHT = ("distilled", "ensemble")  # by MPNet, or by three seeds of the student itself
FILLER = Run("minilm", 7)  # its masked pretraining chooses words for the augmentation `fill`
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
    runs += list_distilled() + list_augmented()
    seeded = [run for run in runs if run.line in SEEDED or run.percent]
    return [*runs, *(replace(run, seed=seed) for run in seeded for seed in SEEDS[1:]), *list_few(), *TRIALS]


def list_distilled() -> list[Run]:
    """Students of `SOFT_TEACHER`, of all layers and of fewer, and after masked pretraining, and one of an ensemble."""
    students = [Run("minilm", extra="distilled", context="mixed", layers=layers) for layers in (0, 3, 2)]
    students += [Run("minilm", millions, extra="distilled", context="mixed") for millions in (7, 14)]
    return [*students, Run("minilm", extra="ensemble", context="mixed")]


def list_augmented() -> list[Run]:
    """The runs on few or many training documents, with each augmentation, of the first seed."""
    return [Run("minilm", percent=percent, augmentation=name) for percent, name in product(AUGMENTED_STEPS, AUGMENTED)]


def list_few() -> list[Run]:
    """Masked pretraining and soft labels at `FEW` percent of the documents, alone and together, and their teacher."""
    few = [Run("minilm", millions, extra=extra) for extra, millions in (("", 7), ("distilled", 0), ("distilled", 7))]
    return [replace(run, percent=FEW, augmentation="none") for run in (TEACHER, *few)]


def list_teachers(run: Run) -> tuple[Run, ...]:
    """The runs whose taggers teach `run`, whose `extra` is one of `TAUGHT`."""
    if run.extra == "ensemble":
        return tuple(Run("minilm", context="mixed", seed=seed) for seed in SEEDS)
    if run.percent:
        return (replace(TEACHER, percent=run.percent, augmentation="none", seed=run.seed),)
    return (SOFT_TEACHER,)

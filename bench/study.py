"""What raises entity F1: masked pretraining, case markers and document context crossed, and settings tried on dev.

python -m bench.study --data_dir path/to/conll2003 --conllpp conllpp_test.txt --text "path/to/*.txt" [name ...]

Names, in which * and ? stand for anything, choose among the runs. Each leaves `results/study/<name>.json`, or
`results/<name>.json` if the README shows it, and is not made again while that exists; an interrupted one goes on where
it was. Trials never see a test split.
"""

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from itertools import product
from pathlib import Path

from recipe.results import read_f1

RESULTS, RUNS = Path("results"), Path("runs/study")
SHOWN = {"minilm-markers-document", "mpnet-markers-document"}  # the lines of the README
SEEDS = (42, 43, 44)  # of these; of the others the first
MLM_STEPS = 244  # to a million tokens, of 4,096 each
LAUNCH = (sys.executable, "-m", "accelerate.commands.launch", "--quiet")
LAUNCH += ("--config_file", "configs/accelerate/one_cpu.yaml")


@dataclass(frozen=True)
class Encoder:
    """Its configurations, and the millions of tokens after which its masked pretraining is looked at."""

    ner: str
    mlm: str
    millions: tuple[int, ...]
    sentences: int  # in a batch, where each stands alone: about the words of a batch of windows


ENCODERS = {
    "minilm": Encoder("configs/ner/minilm_conll2003.yaml", "configs/mlm/minilm_news.yaml", (1, 2, 4, 7), 32),
    "mpnet": Encoder("configs/ner/mpnet_conll2003.yaml", "configs/mlm/mpnet_news.yaml", (1,), 16),
}


@dataclass(frozen=True)
class Run:
    """One fine-tuning: what it starts from, what it sees, and for a trial its name and what it changes.

    changes, mlm_changes: settings of the fine-tuning and of the masked pretraining.
    """

    encoder: str
    millions: int = 0
    markers: bool = True
    context: str = "document"
    seed: int = 42
    trial: str = ""
    changes: dict = field(default_factory=dict)
    mlm_changes: dict = field(default_factory=dict)

    @property
    def line(self) -> str:
        """What was crossed, as mpnet-markers-document."""
        mlm = f"mlm{self.millions}M" if self.millions else ""
        return "-".join(part for part in (self.encoder, mlm, "markers" * self.markers, self.context) if part)

    @property
    def name(self) -> str:
        """What its files are called."""
        return "-".join(part for part in (self.line, self.trial, f"seed{self.seed}") if part)

    @property
    def result(self) -> Path:
        """The file of its report."""
        shown = not self.trial and self.line in SHOWN
        return RESULTS / ("" if shown else "study") / f"{self.name}.json"

    @property
    def pretraining(self) -> Path:
        """The folder of the masked pretraining that it starts from a checkpoint of."""
        parts = [self.encoder, "mlm", "markers" * self.markers, self.trial * bool(self.mlm_changes)]
        return RUNS / "-".join(part for part in parts if part)


ARGMAX = {"constrained_decoding": False}
MINILM_FLAT = {"learning_rate": 4e-4, "layer_lr_decay": 1, **ARGMAX}
MPNET_FLAT = {"learning_rate": 4e-5, "layer_lr_decay": 1, **ARGMAX}
MLM_FLAT = {"learning_rate": 5e-4, "layer_lr_decay": 1, "warmup_steps": 244}
TRIALS = [
    Run("minilm", trial="argmax", changes=ARGMAX),
    Run("mpnet", trial="argmax", changes=ARGMAX),
    Run("minilm", markers=False, context="none", trial="argmax-lr4e-4", changes=MINILM_FLAT),
    Run("minilm", markers=False, trial="argmax-lr4e-4", changes=MINILM_FLAT),
    Run("minilm", trial="argmax-lr4e-4", changes=MINILM_FLAT),
    Run("minilm", 2, trial="argmax-lr4e-4", changes=MINILM_FLAT),
    Run("minilm", 7, trial="argmax-lr4e-4-mlm-lr5e-4", changes=MINILM_FLAT, mlm_changes=MLM_FLAT),
    Run("mpnet", markers=False, trial="argmax-lr4e-5", changes=MPNET_FLAT),
    Run("mpnet", trial="argmax-lr4e-5", changes=MPNET_FLAT),
]


def list_runs() -> list[Run]:
    """The crossed lines, those of growing pretraining, further seeds of those shown, and the trials."""
    runs = []
    for name, encoder in ENCODERS.items():
        last = encoder.millions[-1]
        runs += [Run(name, millions) for millions in encoder.millions[:-1]]
        runs += [Run(name, *line) for line in product((0, last), (False, True), ("none", "document"))]
    return [*runs, *(replace(run, seed=seed) for run in runs if run.line in SHOWN for seed in SEEDS[1:]), *TRIALS]


def pretrain(run: Run, text: str) -> Path:
    """The checkpoint that `run` starts from, made if need be: a longer pretraining goes on from a shorter one."""
    checkpoint = run.pretraining / f"checkpoint-{MLM_STEPS * run.millions}"
    if not checkpoint.exists():
        settings = {"case_markers": run.markers, "max_steps": MLM_STEPS * run.millions, "save_total_limit": 100}
        settings |= {"resume_from_checkpoint": "last", "output_dir": run.pretraining}
        launch("run_mlm.py", config=ENCODERS[run.encoder].mlm, train_file=text, **settings, **run.mlm_changes)
    return checkpoint


def fine_tune(run: Run, data_dir: str, conllpp: str, text: str) -> dict:
    """Train and score `run`: its report, with the scores on CoNLL++, or of a trial those on dev alone."""
    settings = {"case_markers": run.markers, "context": run.context, "seed": run.seed}
    if run.context == "none":
        settings["per_device_train_batch_size"] = ENCODERS[run.encoder].sentences
    settings |= run.changes
    common = {"config": ENCODERS[run.encoder].ner, "data_dir": data_dir}
    start = {"model_name_or_path": pretrain(run, text)} if run.millions else {}
    launch("run_ner.py", **common, **start, **settings, do_predict=not run.trial, output_dir=RUNS / run.name)
    report = read_report(RUNS / run.name)
    report["study"] = vars(run)
    if not run.trial:
        corrected = RUNS / run.name / "conllpp"
        scoring = {"model_name_or_path": RUNS / run.name, "test_file": conllpp, "context": run.context}
        scoring |= {"do_train": False, "do_eval": False, "eval_strategy": "no"}  # a strategy would switch do_eval on
        launch("run_ner.py", **common, **scoring, output_dir=corrected)
        report["conllpp"] = read_report(corrected)["test"]
    return report


def launch(script: str, **settings) -> None:
    """Run a script, one process on the CPU; SystemExit if it fails."""
    flags = [f"--{key}={value}" for key, value in settings.items()]
    if subprocess.run([*LAUNCH, script, *flags]).returncode:
        raise SystemExit(f"{settings['output_dir']}: {script} failed")


def read_report(folder: Path) -> dict:
    """`report.json` of a run's folder."""
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", required=True)
    parser.add_argument("--conllpp", required=True)
    parser.add_argument("--text", required=True)
    parser.add_argument("names", nargs="*", default=["*"])
    args = parser.parse_args()
    for run in list_runs():
        if run.result.exists() or not any(fnmatch(run.name, name) for name in args.names):
            continue
        report = fine_tune(run, args.data_dir, args.conllpp, args.text)
        run.result.parent.mkdir(parents=True, exist_ok=True)
        run.result.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        print(f"{run.name}: dev {read_f1(report, 'dev'):.2f}")


if __name__ == "__main__":
    main()

"""What raises entity F1: masked pretraining, case markers and document context crossed, and settings tried on dev.

python -m bench.study --data_dir path/to/conll2003 --conllpp conllpp_test.txt --text "path/to/*.txt" [name ...]

Names, in which * and ? stand for anything, choose among the runs. Each leaves `results/study/<name>.json`, and is not
made again while that exists; an interrupted one goes on where it was. Trials never see a test split.
"""

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass, field
from fnmatch import fnmatch
from itertools import product
from pathlib import Path

FOLDER, RUNS = Path("results/study"), Path("runs/study")
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
    """One fine-tuning: what it starts from, what it sees, and for a trial its name and what it changes."""

    encoder: str
    millions: int = 0
    markers: bool = True
    context: str = "document"
    seed: int = 42
    trial: str = ""
    changes: dict = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What its files are called."""
        parts = [self.encoder, f"mlm{self.millions}M" * bool(self.millions), "markers" * self.markers]
        return "-".join(part for part in [*parts, self.context, self.trial, f"seed{self.seed}"] if part)

    @property
    def pretraining(self) -> Path:
        """The folder of the masked pretraining that it starts from a checkpoint of."""
        return RUNS / f"{self.encoder}-mlm{'-markers' * self.markers}"


TRIALS = [
    Run("mpnet", trial="1epoch-lr4e-5", changes={"learning_rate": 4e-5, "num_train_epochs": 1}),
    Run("mpnet", trial="1epoch-lr1e-4", changes={"learning_rate": 1e-4, "num_train_epochs": 1}),
    Run(
        "mpnet",
        trial="1epoch-lr2e-4-decay0.85",
        changes={"learning_rate": 2e-4, "layer_lr_decay": 0.85, "num_train_epochs": 1},
    ),
]


def list_runs() -> list[Run]:
    """The crossed lines, those of growing pretraining, and the trials."""
    runs = []
    for name, encoder in ENCODERS.items():
        last = encoder.millions[-1]
        runs += [Run(name, *line) for line in product((0, last), (False, True), ("none", "document"))]
        runs += [Run(name, millions) for millions in encoder.millions[:-1]]
    return runs + TRIALS


def pretrain(run: Run, text: str) -> Path:
    """The checkpoint that `run` starts from, made if need be: one pretraining at a constant rate makes all of them."""
    checkpoint = run.pretraining / f"checkpoint-{MLM_STEPS * run.millions}"
    if not checkpoint.exists():
        encoder = ENCODERS[run.encoder]
        launch(
            "run_mlm.py",
            config=encoder.mlm,
            train_file=text,
            case_markers=run.markers,
            max_steps=MLM_STEPS * encoder.millions[-1],
            save_total_limit=4 * encoder.millions[-1],  # all of them
            output_dir=run.pretraining,
        )
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
    report["study"] = vars(run) | {"mlm_tokens": run.millions * MLM_STEPS * 4096}
    if not run.trial:
        corrected = RUNS / run.name / "conllpp"
        scoring = {"model_name_or_path": RUNS / run.name, "test_file": conllpp, "context": run.context}
        launch("run_ner.py", **common, **scoring, do_train=False, do_eval=False, output_dir=corrected)
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
    FOLDER.mkdir(parents=True, exist_ok=True)
    for run in list_runs():
        path = FOLDER / f"{run.name}.json"
        if path.exists() or not any(fnmatch(run.name, name) for name in args.names):
            continue
        report = fine_tune(run, args.data_dir, args.conllpp, args.text)
        path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        print(f"{run.name}: dev {report['dev']['entities']['micro avg']['f1']:.4f}")


if __name__ == "__main__":
    main()

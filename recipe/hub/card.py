"""The model card, rendered from the files of a run's folder: metadata for the Hub, and the text in `card.md.jinja`."""

import json
import re
from functools import cache, partial
from pathlib import Path

import yaml
from huggingface_hub import EvalResult, ModelCard, ModelCardData
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from recipe.command_line import VerbParser
from recipe.data.splits import HUB_NAMES
from recipe.errors import RecipeError
from recipe.evaluation.results import escape_markdown
from recipe.evaluation.scoring import format_interval
from recipe.files import write_whole
from recipe.hub.run_folder import RunFolder, explain_damage
from recipe.inference.exports import is_export
from recipe.inputs.case_markers import MARKERS

CURVE_ROWS = 12
CURVE = {"loss": "training loss", "eval_loss": "validation loss", "eval_f1": "dev F1", "eval_perplexity": "perplexity"}
METRICS = {
    "precision": "Precision (entities, strict)",
    "recall": "Recall (entities, strict)",
    "f1": "F1 (entities, strict)",
    "loss": "Loss (masked tokens)",
    "perplexity": "Perplexity (masked tokens)",
    "masked_accuracy": "Accuracy (masked tokens)",
}


def write_card(folder: Path, name: str | None = None) -> None:
    """Write `README.md` into a run's folder. name: see `render_card`."""
    write_whole(folder / "README.md", str(render_card(folder, name)))


def render_card(folder: Path, name: str | None = None) -> ModelCard:
    """The model card of the run in `folder`. The same files and name give the same card.

    name: what users load the model from: its name on the Hub; default: a path that ends in the name of the folder.
    Raises RecipeError if the files are not as the recipe writes them.
    """
    name = name or f"path/to/{folder.resolve().name}"
    title = name.rpartition("/")[2]
    with explain_damage(folder):
        run = RunFolder(folder)
        values = {
            "metadata": _collect_metadata(run, title).to_yaml(),
            "changed": yaml.safe_dump(run.changed_settings, sort_keys=False).rstrip(),
            "curve": _tabulate_curve(run.history),
        }
        return ModelCard(_load_template().render(values, run=run, name=name, title=title, markers=MARKERS))


@cache
def _load_template() -> Template:
    """The template of the card. It is Markdown, not HTML: what is not its own passes a filter.

    `literal` is for text in a line, `fenced` for a block of code, `quoted` for a string in Python.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "literal": escape_markdown,
        "fenced": _fence,
        "quoted": partial(json.dumps, ensure_ascii=False),
    }
    environment.filters |= {"figure": "{:.3f}".format, "share": "{:.0%}".format, "interval": format_interval}
    return environment.get_template("card.md.jinja")


def _fence(text: str, language: str) -> str:
    """A block of code, between fences that are longer than any row of backquotes in it."""
    fence = "`" * max(3, *(len(row) + 1 for row in re.findall("`+", text)), 0)
    return f"{fence}{language}\n{text}\n{fence}"


def _collect_metadata(run: RunFolder, title: str) -> ModelCardData:
    tagger = run.task == "token-classification"
    tags = ["named-entity-recognition" if tagger else "masked-language-modeling", run.config.get("model_type")]
    return ModelCardData(
        language=run.settings.get("hub_language"),
        license=run.settings.get("hub_license"),
        library_name="transformers",
        pipeline_tag=run.task,
        tags=list(filter(None, tags)),
        base_model=run.record.get("base_model"),
        datasets=run.record.get("datasets") or None,
        metrics=["precision", "recall", "f1"] if tagger else ["perplexity", "accuracy"],
        model_name=title,
        eval_results=_list_results(run) or None,
    )


def _list_results(run: RunFolder) -> list[EvalResult]:
    dataset = run.record.get("dataset")
    rows = {split: scores.get("entities", {}).get("micro avg", scores) for split, scores in run.scores.items()}
    return [
        EvalResult(
            task_type=run.task,
            dataset_type=dataset or "local",
            dataset_name=run.name_split(split),
            dataset_revision=run.settings.get("dataset_revision") if dataset else None,
            dataset_split=HUB_NAMES[split],
            metric_type="accuracy" if key == "masked_accuracy" else key,
            metric_name=METRICS[key],
            metric_value=float(value),
        )
        for split, row in rows.items()
        for key, value in row.items()
        if key in METRICS
    ]


def _tabulate_curve(history: list[dict]) -> dict[str, list]:
    """Header and rows of the learning curve: about `CURVE_ROWS` training losses and all evaluations, by step."""
    losses = [row for row in history if "loss" in row]
    stride = -(-len(losses) // CURVE_ROWS) or 1
    shown = {row["step"]: dict(row) for row in losses[::-1][::stride]}
    for row in (row for row in history if "eval_loss" in row):
        shown.setdefault(row["step"], {}).update(row)
    columns = [key for key in CURVE if any(key in row for row in shown.values())]
    rows = [
        [str(step), f"{row['epoch']:.2f}", *(f"{row[key]:.3f}" if key in row else "" for key in columns)]
        for step, row in sorted(shown.items())
    ]
    return {"header": ["step", "epoch", *map(CURVE.get, columns)], "rows": rows}


def main(argv: list[str]) -> None:
    """`python -m recipe card`: print the card of a run's folder."""
    parser = VerbParser("card", "Print the model card of a run.", "python -m recipe card runs/ner/name user/name")
    parser.add_argument("folder", type=Path, help="a run's folder or one of its checkpoints")
    parser.add_argument("name", nargs="?", help="name on the Hub, owner/name, for the examples in the card")
    args = parser.parse_args(argv)
    if not args.folder.is_dir():
        raise RecipeError(f"{args.folder}: no such folder")
    if is_export(args.folder):
        raise RecipeError(f"{args.folder}: is an export, which the card of its run describes: give the run's folder")
    if not (args.folder / "config.json").exists():
        raise RecipeError(f"{args.folder}: has no model, only scores: give the folder of a training, or a checkpoint")
    print(render_card(args.folder, args.name), end="")

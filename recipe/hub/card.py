"""The model card: metadata that the Hub reads and a body for people, made of the files in a run's folder alone.

`python -m recipe card runs/ner/name user/name` prints it.
"""

import dataclasses
from pathlib import Path

import yaml
from huggingface_hub import EvalResult, ModelCard, ModelCardData

from recipe.command_line import VerbParser
from recipe.data.settings import EntityArguments, TextArguments
from recipe.data.splits import HUB_NAMES
from recipe.errors import RecipeError
from recipe.evaluation.results import format_markdown
from recipe.hub.run_folder import RunFolder
from recipe.hub.settings import CardArguments
from recipe.inference.settings import DecodingArguments
from recipe.inference.tagger import TaggerSettings
from recipe.inputs.settings import BlockArguments, VocabularyArguments, WindowArguments
from recipe.model.settings import HeadArguments, ModelArguments
from recipe.training.settings import TrainingArguments

SETTINGS = (
    *(ModelArguments, HeadArguments, TextArguments, EntityArguments, BlockArguments, VocabularyArguments),
    *(WindowArguments, DecodingArguments, TrainingArguments, CardArguments),
)
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
EXAMPLES = {
    "token-classification": """\
from transformers import pipeline

# The first sub-word of a word carries its label: "simple" would part words that "first" keeps whole.
tagger = pipeline("token-classification", model="{name}", aggregation_strategy="first")
text = "Mara Okello left Oslo on Monday to join the Norvik shipyard in Lima ."
for entity in tagger(text):
    print(entity["entity_group"], text[entity["start"] : entity["end"]], round(float(entity["score"]), 3))
""",
    "fill-mask": """\
from transformers import pipeline

filler = pipeline("fill-mask", model="{name}")
for guess in filler(f"The ship left the {{filler.tokenizer.mask_token}} on Monday ."):
    print(guess["token_str"], round(guess["score"], 3))
""",
}


def write_card(folder: Path, name: str) -> None:
    """Write `README.md` into a run's folder. name: what `from_pretrained` will know the model by."""
    render_card(folder, name).save(folder / "README.md")


def render_card(folder: Path, name: str) -> ModelCard:
    """The model card of the run in `folder`: the same for the same files and name."""
    run = RunFolder(folder)
    sections = [
        f"# {name.rpartition('/')[2]}\n\n{_introduce(run)}",
        f"## Results\n\n{_show_results(run)}",
        f"## Use\n\n```python\n{EXAMPLES[run.task].format(name=name)}```",
        f"## Training\n\n{_describe_training(run)}",
        f"## Learning curve\n\n{_tabulate_curve(run.history)}",
        f"## Intended use and limits\n\n{_state_limits(run)}",
    ]
    metadata = _collect_metadata(run, name.rpartition("/")[2])
    return ModelCard(f"---\n{metadata.to_yaml()}\n---\n\n" + "\n\n".join(sections) + "\n")


def _collect_metadata(run: RunFolder, title: str) -> ModelCardData:
    tagger = run.task == "token-classification"
    return ModelCardData(
        language=run.settings.get("hub_language"),
        license=run.settings.get("hub_license"),
        library_name="transformers",
        pipeline_tag=run.task,
        tags=["named-entity-recognition" if tagger else "masked-language-modeling", run.config.get("model_type")],
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


def _introduce(run: RunFolder) -> str:
    tagger = run.task == "token-classification"
    does = f"tags entities ({', '.join(run.entities)})" if tagger else "fills in masked tokens"
    base = run.record.get("base_model")
    origin = f" It goes back to [{base}](https://huggingface.co/{base})." if base else ""
    return f"A `{(run.config.get('architectures') or ['model'])[0]}` that {does}, {run.use_of_data}.{origin}"


def _show_results(run: RunFolder) -> str:
    if not run.scores:
        return "None: this is an intermediate checkpoint."
    if run.task == "fill-mask":
        return _tabulate_masked(run)
    limited = any(run.settings.get(key) for key in ("max_eval_samples", "max_predict_samples"))
    parts = [
        "An entity counts if its type and both ends agree (strict, IOB2); `micro avg` is the F1 usually quoted. Tags "
        f"are counted by single words. {'The first sentences' if limited else 'Every word'} of a split "
        f"{'are' if limited else 'is'} scored."
    ]
    for kind in ("entities", "tags"):
        for split, scores in run.scores.items():
            rows = [
                [name, *(f"{row[key]:.3f}" for key in ("precision", "recall", "f1")), str(row["support"])]
                for name, row in scores[kind].items()
            ]
            title = f"**{kind.capitalize()}, {split}**"
            parts.append(f"{title}\n\n{format_markdown([kind, 'precision', 'recall', 'F1', 'support'], rows)}")
    return "\n\n".join(parts)


def _tabulate_masked(run: RunFolder) -> str:
    header = ["split", "loss", "perplexity", "accuracy", "masked tokens"]
    rows = [
        [split, *(f"{row[key]:.3f}" for key in ("loss", "perplexity", "masked_accuracy")), str(row["masked_tokens"])]
        for split, row in run.scores.items()
    ]
    settings = run.settings
    return (
        f"{format_markdown(header, rows)}\n\n"
        f"Masked in each block: {settings.get('mlm_probability', 0):.0%} of the tokens; of these "
        f"{settings.get('mask_replace_prob', 0):.0%} become the mask token, "
        f"{settings.get('random_replace_prob', 0):.0%} a random one, the others stay. The masks of the evaluation were "
        f"drawn once, with seed {settings.get('eval_mask_seed')}."
    )


def _describe_training(run: RunFolder) -> str:
    record = run.record
    if not record:
        return "Not recorded."
    versions = ", ".join(f"{package} {number}" for package, number in record["versions"].items())
    rows = [
        ["data", run.data],
        ["seed", str(record["seed"])],
        ["hardware", f"{record['hardware']}; processes: {record['processes']}; precision: {record['precision']}"],
        ["minutes", _tell_minutes(run) if run.scores else "not over when this was saved"],
        ["commit of the recipe", record["commit"]],
        ["versions", versions],
    ]
    changed = yaml.safe_dump(_list_changed(run.settings), sort_keys=False)
    return (
        f"```sh\n{record['command']}\n```\n\n{format_markdown(['', ''], rows)}\n\n"
        "The settings that differ from their defaults; `run.yaml`, beside this card, holds all:\n\n"
        f"```yaml\n{changed}```"
    )


def _tell_minutes(run: RunFolder) -> str:
    resumed = " (in several starts)" if run.record.get("resumed") else ""
    return f"{run.record['train_minutes']} of training, {run.record['total_minutes']} in all{resumed}"


def _list_changed(settings: dict) -> dict:
    """The settings of a run that are not those of a run without any."""
    defaults = {field.name: field.default for cls in SETTINGS for field in dataclasses.fields(cls)}
    defaults |= dataclasses.asdict(TaggerSettings())
    derived = {"output_dir", "hub_token", "accelerator_config", "use_cpu", "dataloader_pin_memory", "disable_tqdm"}
    derived |= {"activation_checkpointing", "gradient_checkpointing"}
    return {
        key: value
        for key, value in settings.items()
        if value not in (None, [], {}, "") and key in defaults.keys() - derived and value != defaults[key]
    }


def _tabulate_curve(history: list[dict]) -> str:
    """Training losses, thinned out, and all evaluations, by step."""
    losses = [row for row in history if "loss" in row]
    stride = -(-len(losses) // CURVE_ROWS) or 1
    shown = {row["step"]: dict(row) for row in losses[::-1][::stride]}
    for row in (row for row in history if "eval_loss" in row):
        shown.setdefault(row["step"], {}).update(row)
    columns = [key for key in CURVE if any(key in row for row in shown.values())]
    if not columns:
        return "Not recorded."
    rows = [
        [str(step), f"{row['epoch']:.2f}", *(f"{row[key]:.3f}" if key in row else "" for key in columns)]
        for step, row in sorted(shown.items())
    ]
    return format_markdown(["step", "epoch", *(CURVE[key] for key in columns)], rows)


def _state_limits(run: RunFolder) -> str:
    settings = run.settings
    note = settings.get("hub_data_note") or "not recorded; expect little of other kinds of text than it was trained on"
    lines = [
        f"Domain and year of the data: {note}.",
        f"Case: {run.case}.",
        "One run with one seed; another seed gives other figures.",
    ]
    if run.task == "token-classification":
        lines += [
            f"Scheme: IOB2, labels {' '.join(run.config.get('id2label', {}).values())}. Entities do not nest.",
            'The first sub-word of a word carries its label. `aggregation_strategy="first"` keeps words whole where '
            "`simple` may part them; input is best split as the training data is, punctuation apart.",
        ]
        if settings.get("constrained_decoding"):
            lines.append("Scored on each sentence's best tags that IOB2 allows; a pipeline takes each word's best one.")
        if settings.get("context") == "document":
            lines.append(
                "Trained and scored with the neighbouring sentences of a document in view; a sentence alone is harder."
            )
    else:
        lines.append("Meant to be fine-tuned. What it fills in reflects the text it was trained on, biases included.")
    if not settings.get("hub_license"):
        lines.append("No licence is declared here: the terms of the base model and of the data apply.")
    return "\n".join(f"- {line}" for line in lines)


def main(argv: list[str]) -> None:
    """`python -m recipe card`: print the card of a run's folder."""
    parser = VerbParser("card", "Print the model card of a run.", "python -m recipe card runs/ner/name user/name")
    parser.add_argument("folder", type=Path, help="a run's folder or one of its checkpoints")
    parser.add_argument("name", help="what from_pretrained will know the model by: owner/name")
    args = parser.parse_args(argv)
    if not args.folder.is_dir():
        raise RecipeError(f"{args.folder}: no such folder")
    print(render_card(args.folder, args.name), end="")

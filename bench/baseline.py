"""The baseline for measurements: both stages as plain scripts with the Trainer of transformers.

Unchanged Trainer, logits at all positions, random batches, dynamic padding, fp32, default threads. Data and scores come
from the recipe's own functions, so that only the training differs.

python -m bench.baseline ner --model_name_or_path minilm-l6 --data_dir path/to/conll2003 --num_train_epochs 2
"""

import json
import sys
from pathlib import Path
from typing import Any

from transformers import (
    AutoModelForMaskedLM,
    AutoModelForTokenClassification,
    DataCollatorForLanguageModeling,
    DataCollatorForTokenClassification,
    Trainer,
    set_seed,
)

from recipe.arguments import MlmArguments, NerArguments, RunArguments, parse
from recipe.data.articles import load_articles
from recipe.data.documents import list_sentences, list_tags
from recipe.data.splits import list_labels, load_splits
from recipe.errors import exit_with
from recipe.evaluation.scoring import score
from recipe.inputs.blocks import build_blocks
from recipe.inputs.tokenizer import load_tokenizer
from recipe.inputs.tokens import IGNORED
from recipe.model.configuration import load_config, set_labels
from recipe.model.loading import load_model
from recipe.model.settings import ModelArguments


def run_mlm(argv: list[str]) -> None:
    """Masked pretraining on packed blocks."""
    model_args, data_args, training_args = parse_plain(argv, MlmArguments)
    set_seed(training_args.seed)
    tokenizer = load_tokenizer(model_args)
    blocks: Any = build_blocks(load_articles(data_args, wanted=["train"])["train"], tokenizer, data_args)
    trainer = Trainer(
        args=training_args,
        model=load_model(AutoModelForMaskedLM, model_args, load_config(model_args)),
        train_dataset=blocks,
        data_collator=DataCollatorForLanguageModeling(tokenizer, mlm_probability=data_args.mlm_probability),
    )
    trainer.train()


def run_ner(argv: list[str]) -> None:
    """Token classification of single sentences, cut at `max_seq_length`; writes `report.json`."""
    model_args, data_args, training_args = parse_plain(argv, NerArguments)
    set_seed(training_args.seed)
    documents = load_splits(data_args)
    labels = list_labels(documents["train"])
    tokenizer = load_tokenizer(model_args)

    def encode(sentence) -> dict:
        encoded = tokenizer(
            sentence.words, is_split_into_words=True, truncation=True, max_length=data_args.max_seq_length
        )
        words = encoded.word_ids()
        first = [word is not None and word != before for before, word in zip([None, *words], words, strict=False)]
        label_ids = [
            labels.index(sentence.tags[word]) if is_first else IGNORED
            for word, is_first in zip(words, first, strict=True)
        ]
        return {**encoded, "labels": label_ids}

    config = load_config(model_args)
    set_labels(config, labels, model_args.model_name_or_path)
    examples: dict[str, Any] = {split: [encode(s) for s in list_sentences(documents[split])] for split in documents}
    trainer = Trainer(
        args=training_args,
        model=load_model(AutoModelForTokenClassification, model_args, config),
        train_dataset=examples["train"],
        data_collator=DataCollatorForTokenClassification(tokenizer),
    )
    trainer.train()
    report = {}
    for split in ("dev", "test"):
        output: Any = trainer.predict(examples[split])
        predicted = [
            [labels[label_id] for label_id in row[gold != IGNORED]]
            for row, gold in zip(output.predictions.argmax(-1), output.label_ids, strict=True)
        ]
        gold = list_tags(documents[split])
        report[split] = score(
            gold, [tags + ["O"] * (len(g) - len(tags)) for tags, g in zip(predicted, gold, strict=True)]
        )
    (Path(training_args.output_dir) / "report.json").write_text(json.dumps(report, indent=2) + "\n")


def parse_plain(argv: list[str], data_class: type) -> tuple:
    """Parse the flags of a script of the recipe, with its speed improvements switched off."""
    off = ["--light_dropout=false", "--pack_batches=false", "--dataloader_num_workers=0"]
    arguments = parse([*argv, *off], ModelArguments, data_class, RunArguments)
    training = arguments[2]
    training.eval_do_concat_batches = training.logging_nan_inf_filter = True
    training.accelerator_config.non_blocking = False
    return arguments


def main() -> None:
    """The command line: `mlm` or `ner`, then flags of that script."""
    {"mlm": run_mlm, "ner": run_ner}[sys.argv[1]](sys.argv[2:])


if __name__ == "__main__":
    exit_with(main)

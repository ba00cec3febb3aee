"""Fine-tune an encoder to tag entities, and report precision, recall and F1 per entity and per tag.

accelerate launch --config_file configs/accelerate/one_cpu.yaml \
    run_ner.py --config configs/ner/bert-base-cased_conll2003.yaml
accelerate launch --config_file configs/accelerate/one_cpu.yaml \
    run_ner.py --config configs/ner/minilm_conll2003.yaml --data_dir path/to/conll2003
python run_ner.py --help
"""

import sys
from itertools import chain

import numpy as np
from transformers import AutoModelForTokenClassification, DataCollatorForTokenClassification, EvalPrediction

from recipe.arguments import ModelArguments, NerArguments, TrainingArguments, parse
from recipe.conll import list_sentences, list_tags, write_conll
from recipe.decoding import decode
from recipe.encoders import check_length, check_vocabulary, load_config, load_model, load_tokenizer
from recipe.errors import exit_with
from recipe.ner_data import check_labels, limit_sentences, list_labels, load_splits
from recipe.scoring import Report, format_report, score, summarize_entities
from recipe.stage import Stage
from recipe.trainer import RecipeTrainer
from recipe.windows import build_windows, collect_scores


def main(argv: list[str] | None = None) -> None:
    """Settings -> documents -> windows -> Trainer -> tags -> report; `argv`: the command line."""
    arguments = parse(sys.argv[1:] if argv is None else argv, ModelArguments, NerArguments, TrainingArguments)
    model_args, data_args, training_args = arguments
    stage = Stage(*arguments)

    tasks = {"train": training_args.do_train, "dev": training_args.do_eval, "test": training_args.do_predict}
    documents = load_splits(data_args, [split for split, wanted in tasks.items() if wanted], model_args.cache_dir)
    config = load_config(model_args, list_labels(documents["train"]) if training_args.do_train else None)
    labels = [config.id2label[label_id] for label_id in range(config.num_labels)]
    check_labels(documents, labels)
    documents = limit_sentences(documents, data_args)
    tokenizer = load_tokenizer(model_args, training_args.do_train)
    check_vocabulary(tokenizer, config)
    check_length("max_seq_length", data_args.max_seq_length, tokenizer, config)
    context_sizes = {"train": 0, "dev": data_args.context_size, "test": data_args.context_size}
    windows = {
        split: build_windows(
            documents[split], tokenizer, labels, data_args.max_seq_length, data_args.context, context_sizes[split]
        )
        for split in documents
    }

    def find_tags(split: str, batches: list[np.ndarray]) -> list[list[str]]:
        lengths = [len(sentence.words) for sentence in list_sentences(documents[split])]
        scores = collect_scores(chain.from_iterable(batches), windows[split])
        return decode(scores, lengths, labels, data_args.constrained_decoding)

    def score_dev(output: EvalPrediction) -> dict[str, float]:
        return summarize_entities(list_tags(documents["dev"]), find_tags("dev", output.predictions))

    trainer = RecipeTrainer(
        args=training_args,
        model=load_model(AutoModelForTokenClassification, model_args, config),
        train_dataset=windows.get("train"),
        eval_dataset=windows.get("dev"),
        data_collator=DataCollatorForTokenClassification(tokenizer),
        processing_class=tokenizer,
        compute_metrics=score_dev,
    )
    if training_args.do_train:
        stage.train(trainer)

    trainer.compute_metrics = None  # from here on the whole report is made, not one figure
    report = {}
    for split in [split for split in documents if split != "train"]:
        predicted = find_tags(split, trainer.predict(windows[split]).predictions)
        report[split] = score(list_tags(documents[split]), predicted)
        if trainer.is_world_process_zero():
            write_conll(stage.folder / "predictions.conll", documents[split], predicted)
    if report and trainer.is_world_process_zero():
        write_report(stage, report)
    stage.finish(trainer)


def write_report(stage: Stage, report: dict[str, Report]) -> None:
    """Print the reports of the splits, and write them as `report.txt` and, with the facts of the run, `report.json`."""
    text = "\n".join(f"== {split} ==\n{format_report(scores)}" for split, scores in report.items())
    print(text)
    (stage.folder / "report.txt").write_text(text, encoding="utf-8")
    stage.write_json("report.json", report | {"run": stage.describe()})


if __name__ == "__main__":
    exit_with(main)

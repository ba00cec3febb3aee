"""Fine-tune an encoder for named-entity recognition, and report precision, recall and F1 by entity type and by tag.

accelerate launch --quiet --config_file configs/accelerate/one_cpu.yaml \
    run_ner.py --config configs/ner/bert-base-cased_conll2003.yaml
accelerate launch --quiet --config_file configs/accelerate/one_cpu.yaml \
    run_ner.py --config configs/ner/minilm_conll2003.yaml --data_dir path/to/conll2003
python run_ner.py --help
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from itertools import chain
from pathlib import Path

from transformers import (
    AutoModelForTokenClassification,
    DataCollatorForTokenClassification,
    EvalPrediction,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from recipe.arguments import NerArguments, RunArguments, check_metric, check_type_metric, parse
from recipe.data.documents import Document, Notes, digest_documents, list_sentences, list_tags
from recipe.data.raw_text import choose_splitter
from recipe.data.splits import check_labels, limit_sentences, list_labels, load_splits, take_share
from recipe.errors import exit_with
from recipe.evaluation.predictions import PREDICTIONS, Confidences, write_mentions, write_predictions
from recipe.evaluation.scoring import (
    Metrics,
    format_reports,
    score,
    score_documents,
    score_entities,
    summarize_entities,
)
from recipe.files import write_whole
from recipe.inference.augmentation import count_copies, read_copies, write_copies
from recipe.inference.comparison import compare_pipeline
from recipe.inference.settings import TaggerSettings, combine_settings, resolve_settings
from recipe.inference.tagger import TaggedSentence, Tagger
from recipe.inputs.mixing import MixedWindows
from recipe.inputs.overview import format_overview
from recipe.inputs.tokenizer import load_tokenizer
from recipe.inputs.tokens import digest_vocabulary
from recipe.inputs.windows import Window
from recipe.launch import is_sharded
from recipe.model.configuration import (
    check_length,
    check_vocabulary,
    load_config,
    read_class_weights,
    read_labels,
    set_labels,
)
from recipe.model.loading import grow_embeddings, load_model, refuse_untrained, replace_head
from recipe.model.settings import ModelArguments
from recipe.run import Outcome, Run
from recipe.training.best import check_gold
from recipe.training.checkpoints import remove_results
from recipe.training.distillation import Distillation
from recipe.training.loss import Loss, token_mean_loss
from recipe.training.teachers import Teachers, check_teachers, describe_distillation
from recipe.training.trainer import RecipeTrainer


def main(
    argv: list[str] | None = None,
    *,
    build_model: Callable[[PreTrainedConfig], PreTrainedModel] | None = None,
    loss: Loss = token_mean_loss,
    metrics: Metrics | None = None,
) -> Outcome:
    """Settings -> documents -> windows -> Trainer -> tags -> report; returns folder and scores.

    argv: the command line. build_model, loss: your own, instead of those of the recipe. metrics: your own, in addition
    to those of the recipe (docs/extending.md).
    Raises RecipeError for bad input or settings.
    """
    argv = sys.argv[1:] if argv is None else argv
    model_args, data_args, training_args = parse(argv, ModelArguments, NerArguments, RunArguments)
    if metrics is None:
        check_metric(training_args, NerArguments.metrics)

    with Run(model_args, training_args) as run:
        config = load_config(model_args)
        data_args = resolve_settings(data_args, config)
        if training_args.do_train:
            check_teachers(data_args, model_args, run.folder)  # before `restart` moves earlier files
        run.begin(data_args, config)
        own_model = build_model is not None
        build_model = build_model or partial(load_model, AutoModelForTokenClassification, model_args)
        run.try_model(build_model, config)
        notes: dict[str, Notes] = {}
        documents, labels = read_documents(run, data_args, config, notes, own_metrics=metrics is not None)
        tokenizer = load_tokenizer(model_args, training_args.do_train)
        if not model_args.model_name_or_path:
            config.vocab_size, config.pad_token_id = len(tokenizer), tokenizer.pad_token_id
        check_vocabulary(tokenizer, config)
        run.pin("vocabulary", partial(digest_vocabulary, tokenizer))
        if training_args.process_index == 0:
            for split in documents:
                print(format_overview(split, documents[split], notes[split], tokenizer), flush=True)
        check_length("max_seq_length", data_args.max_seq_length, tokenizer, config)
        tagger = make_tagger(labels, tokenizer, combine_settings(data_args, config), documents.get("train"))
        tagger.note_in(config)
        teachers = load_teachers(run, data_args, tagger)
        train = (documents | add_copies(run, documents, data_args)).get("train")
        distillation = teachers.ask(train) if teachers and train else None
        if distillation:
            run.facts["distillation"] = describe_distillation(data_args, distillation)
        windows = {split: tagger.windows(documents[split]) for split in documents if split != "train"}

        def score_dev(output: EvalPrediction) -> dict[str, float]:
            gold = list_tags(documents["dev"])
            predicted = tagger.tags(documents["dev"], windows["dev"], output.predictions)
            return summarize_entities(gold, predicted) | (metrics(gold, predicted) if metrics else {})

        model = build_model(config)
        if not training_args.do_train:
            refuse_untrained(model, model_args.model_name_or_path)
        grow_embeddings(model, tokenizer)
        if labels != read_labels(model.config):
            replace_head(model, labels)
        trainer = RecipeTrainer(
            args=training_args,
            loss=loss,
            class_weights=read_class_weights(data_args.class_weights, labels),
            model=model,
            distillation=distillation,
            train_dataset=make_training_set(tagger, train, distillation, training_args.seed),
            eval_dataset=windows.get("dev"),
            data_collator=DataCollatorForTokenClassification(tokenizer),
            processing_class=tokenizer,
            compute_metrics=score_dev,
        )
        if training_args.do_train:
            run.train(trainer)
        if trainer.is_world_process_zero():
            remove_results(run.folder, [PREDICTIONS])  # of splits that are not scored now
            if training_args.do_train:
                write_mentions(run.folder, list_sentences(documents["train"]))
        # the pipeline may pass inputs that your own model does not accept, and one process has only a shard under FSDP
        compares = data_args.compare_pipeline and not own_model and not is_sharded()
        report = {
            split: tag_split(run, trainer, tagger, split, documents[split], windows[split], metrics, compares)
            for split in windows
        }
        if report and trainer.is_world_process_zero():
            write_whole(run.folder / "report.txt", format_reports(report))
            run.write_results(trainer, "report.json", report)
            print(format_reports(report))
        words = sum(len(sentence.words) for sentence in list_sentences(documents.get("train", [])))
        run.finish(trainer, "ner", ("words", words))
    return Outcome(run.folder, report)


def read_documents(
    run: Run, data_args: NerArguments, config: PreTrainedConfig, notes: dict[str, Notes], own_metrics: bool
) -> tuple[dict[str, list[Document]], list[str]]:
    """The documents of each split that the run needs, and the labels, which `config` gets too if the run trains.

    notes: of each split, filled in here. own_metrics: whether the metric of the best checkpoint is not checked.
    Raises RecipeError if a split cannot be read, or has labels that the model does not know.
    """
    training_args = run.training_args
    tasks = {"train": training_args.do_train, "dev": training_args.do_eval, "test": training_args.do_predict}
    wanted = [split for split, is_wanted in tasks.items() if is_wanted]
    documents = load_splits(data_args, wanted, run.model_args.cache_dir, notes)
    labels = read_labels(config)
    if training_args.do_train:
        name = run.model_args.model_name_or_path
        labels = set_labels(config, list_labels(documents["train"]), name, data_args.new_head)
        run.pin("labels", lambda: " ".join(labels))
    check_labels(documents, labels)
    if not own_metrics:
        check_type_metric(training_args, labels)
    if training_args.do_train:
        documents["train"] = take_share(documents["train"], data_args.train_share, training_args.seed)
    documents = limit_sentences(documents, data_args)
    if not own_metrics:
        check_gold(documents, training_args)
    if training_args.do_train:
        run.pin("training_data", partial(digest_documents, documents["train"]))
    run.facts["sentences"] = {split: len(list_sentences(documents[split])) for split in documents}
    run.facts["remarks"] = {split: notes[split].count_remarks() for split in documents if notes[split].remarks}
    return documents, labels


def load_teachers(run: Run, data_args: NerArguments, student: Tagger) -> Teachers | None:
    """The teachers of a run that trains, if it has any."""
    if not (data_args.teacher and run.training_args.do_train):
        return None
    splitter = student.settings.word_splitter
    teachers = Teachers(data_args, run.model_args, run.training_args, student.labels, splitter, data_args.encoding)
    run.pin("teachers", lambda: " ".join(teachers.digests))
    run.pin("unlabelled_documents", partial(digest_documents, teachers.unlabelled))
    return teachers


def add_copies(run: Run, documents: dict[str, list[Document]], data_args: NerArguments) -> dict[str, list[Document]]:
    """The training documents and the copies that `augmentation` asks for, by the name of the split; or nothing."""
    if not (data_args.augmentation and run.training_args.do_train):
        return {}
    write = partial(write_copies, documents["train"], data_args, run.training_args.seed, run.model_args.cache_dir)
    copies = read_copies(run.make_once("augmentation", write, in_checkpoints=False))
    run.facts["augmentation"] = counts = count_copies(copies)
    if run.training_args.process_index == 0:
        for name, count in counts.items():
            added = ", ".join(f"{number:,} {unit}" for unit, number in count.items())
            print(f"augmentation: {name}: {added} added to the training data", flush=True)
    return {"train": [*documents["train"], *chain(*copies.values())]}


def make_tagger(
    labels: list[str], tokenizer: PreTrainedTokenizerBase, settings: TaggerSettings, train: list[Document] | None
) -> Tagger:
    """The tagger of the run. train: the split of a run that trains; its words decide how raw text is split."""
    if train is not None:
        words = [word for sentence in list_sentences(train) for word in sentence.words]
        settings = replace(settings, temperature=1.0, word_splitter=choose_splitter(words))
    return Tagger(labels, tokenizer, **asdict(settings))


def make_training_set(
    tagger: Tagger, train: list[Document] | None, distillation: Distillation | None, seed: int
) -> list[Window] | MixedWindows | None:
    """The windows of the training split, and those of unlabelled text if there is any; None if the run does not train.

    With a teacher, their labels are those that `distillation` gives them.
    """
    if train is None:
        return None
    windows = tagger.windows(distillation.documents if distillation else train, training=True)
    if distillation:
        windows = distillation.number_words(windows)
    return MixedWindows(windows, tagger.tokenizer, seed) if tagger.settings.context == "mixed" else windows


def write_tagged(folder: Path, split: str, documents: Sequence[Document], tagged: Sequence[TaggedSentence]) -> None:
    """Write the predicted tags of a split and their confidences to a run's folder."""
    confidences = [Confidences(one.scores, [entity.score for entity in one.entities]) for one in tagged]
    write_predictions(folder, split, documents, [one.tags for one in tagged], confidences)


def tag_split(
    run: Run,
    trainer: RecipeTrainer,
    tagger: Tagger,
    split: str,
    documents: Sequence[Document],
    windows: Sequence[Window],
    metrics: Metrics | None,
    compares: bool,
) -> dict[str, dict]:
    """Tag a split, write its tags to the run's folder, and return its report, see `score_split`.

    On dev, a run that trains first fits the temperature of the confidences, and saves it with the tagger's settings.
    """
    logits = trainer.predict_logits(windows)
    if split == "dev" and run.training_args.do_train:
        tagger.calibrate(documents, windows, logits)
        if trainer.is_world_process_zero():
            tagger.save_settings(run.folder)
    tagged = tagger.predict(documents, windows, logits)
    report = score_split(trainer, tagger, documents, tagged, metrics, compares)
    if trainer.is_world_process_zero():
        write_tagged(run.folder, split, documents, tagged)
    return report


def score_split(
    trainer: RecipeTrainer,
    tagger: Tagger,
    documents: Sequence[Document],
    tagged: Sequence[TaggedSentence],
    metrics: Metrics | None,
    compares: bool,
) -> dict[str, dict]:
    """The report of a split: entities, tags, counts by document, sentences without context, running text.

    tagged: its sentences, as the tagger tags them in their documents. compares: whether to compare with the pipeline.
    """
    gold, predicted = list_tags(documents), [sentence.tags for sentence in tagged]
    report = score(gold, predicted, metrics) | {"documents": score_documents(documents, predicted)}
    if tagger.settings.context != "none":
        alone = tagger.windows(documents, context="none")
        tags = tagger.tags(documents, alone, trainer.predict_logits(alone))
        report["alone"] = score_entities(gold, tags)
    if compares and trainer.is_world_process_zero():
        report["running_text"] = compare_pipeline(tagger, trainer.model.eval(), documents)
    return report


if __name__ == "__main__":
    exit_with(main)

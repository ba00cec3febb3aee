"""Pretrain a masked language model on text, from a checkpoint or from scratch.

accelerate launch --quiet --config_file configs/accelerate/one_cpu.yaml \
    run_mlm.py --config configs/mlm/bert-base-cased_conll2003.yaml
accelerate launch --quiet --config_file configs/accelerate/one_cpu.yaml \
    run_mlm.py --config configs/mlm/minilm_news.yaml --train_file "path/to/*.txt"
python run_mlm.py --help
"""

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
from datasets import Dataset, IterableDataset
from transformers import (
    AutoModelForMaskedLM,
    EvalPrediction,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from recipe.arguments import MlmArguments, RunArguments, check_metric, parse
from recipe.data.articles import Articles, explain_reading, load_articles, name_source, read_texts
from recipe.errors import RecipeError, exit_with
from recipe.evaluation.filled import write_filled
from recipe.evaluation.masked import break_down, score_positions, summarize_positions
from recipe.inference.recovery import try_examples
from recipe.inputs.blocks import build_blocks, digest_blocks
from recipe.inputs.masking import MaskingCollator, build_collator, draw_masks
from recipe.inputs.overview import doubt_masks, format_text_overview, list_ids
from recipe.inputs.stream import BlockStream
from recipe.inputs.tokenizer import load_tokenizer
from recipe.inputs.tokens import digest_vocabulary, find_pieces
from recipe.inputs.vocabulary import train_tokenizer
from recipe.launch import is_sharded
from recipe.model.causality import make_causal
from recipe.model.configuration import check_length, check_vocabulary, load_config, refuse_decoder
from recipe.model.loading import grow_embeddings, load_model, refuse_untrained
from recipe.model.objective import begin_pretraining, resolve_objective
from recipe.model.settings import ModelArguments
from recipe.run import Outcome, Run
from recipe.training.loss import Loss, token_mean_loss
from recipe.training.trained_tokens import TokenCounter
from recipe.training.trainer import RecipeTrainer


def main(
    argv: list[str] | None = None,
    *,
    build_model: Callable[[PreTrainedConfig], PreTrainedModel] | None = None,
    loss: Loss = token_mean_loss,
    metrics: Callable[[EvalPrediction], dict[str, float]] | None = None,
) -> Outcome:
    """Settings -> articles -> blocks -> masks -> Trainer -> perplexity; returns folder and scores.

    argv: the command line. build_model, loss: your own, instead of those of the recipe. metrics: your own, in addition
    to those of the recipe (docs/extending.md).
    Raises RecipeError for bad input or settings.
    """
    argv = sys.argv[1:] if argv is None else argv
    model_args, data_args, training_args = parse(argv, ModelArguments, MlmArguments, RunArguments)
    check_task(model_args, data_args, training_args)
    if metrics is None:
        check_metric(training_args, MlmArguments.metrics)

    with Run(model_args, training_args) as run:
        config = load_config(model_args)
        refuse_decoder(config)
        data_args = resolve_objective(data_args, config)
        run.begin(data_args, config)
        build_model = build_model or partial(load_model, AutoModelForMaskedLM, model_args)
        run.try_model(build_model, config)
        tasks = {"train": training_args.do_train, "dev": training_args.do_eval}
        with training_args.main_process_first(desc="reading text"):
            wanted = [split for split, is_wanted in tasks.items() if is_wanted]
            articles = load_articles(data_args, wanted, model_args.cache_dir)
        tokenizer = make_tokenizer(run, data_args, articles)
        if not model_args.model_name_or_path:
            config.vocab_size, config.pad_token_id = len(tokenizer), tokenizer.pad_token_id
        check_vocabulary(tokenizer, config)
        run.pin("vocabulary", partial(digest_vocabulary, tokenizer))
        check_length("block_size", data_args.block_size, tokenizer, config)
        collator = build_collator(tokenizer, data_args, training_args.seed)
        blocks = prepare_blocks(articles, tokenizer, collator, data_args, training_args)
        if isinstance(train := blocks.get("train"), Dataset):
            run.pin("training_data", partial(digest_blocks, train))
        outputs: list[EvalPrediction] = []  # of the last evaluation

        def summarize(output: EvalPrediction) -> dict[str, float]:
            outputs[:] = [output]
            return summarize_positions(output) | (metrics(output) if metrics else {})

        model = build_model(config)
        if not training_args.do_train:
            refuse_untrained(model, model_args.model_name_or_path)
        grow_embeddings(model, tokenizer)
        pretraining = begin_pretraining(model, data_args.objective)
        if pretraining.is_causal:
            make_causal(model)
        trainer = RecipeTrainer(
            args=training_args,
            loss=loss,
            sparse_head=data_args.sparse_head,
            uniform=True,
            model=model,
            train_dataset=blocks.get("train"),
            eval_dataset=blocks.get("dev"),
            data_collator=collator,
            processing_class=tokenizer,
            compute_metrics=summarize,
            preprocess_logits_for_metrics=score_positions,
        )
        tokens = count_tokens(blocks.get("train"), data_args, training_args)
        if training_args.do_train:
            trainer.add_callback(TokenCounter(pretraining, data_args.block_size, tokens))
            run.train(trainer)
        scores = evaluate(run, trainer, tokenizer, blocks, data_args, outputs) if training_args.do_eval else {}
        run.finish(trainer, "mlm", ("tokens", tokens))
    return Outcome(run.folder, scores)


def check_task(model_args: ModelArguments, data_args: MlmArguments, training_args: RunArguments) -> None:
    """Raise RecipeError if the settings name nothing to do, no model, or a training without an end."""
    if not (training_args.do_train or training_args.do_eval):
        raise RecipeError("nothing to do: set do_train or do_eval")
    if not (training_args.do_train or model_args.model_name_or_path):
        raise RecipeError("no model to evaluate: set model_name_or_path, or do_train to start from scratch")
    if training_args.do_train and data_args.streaming and training_args.max_steps <= 0:
        raise RecipeError("streaming: the length of streamed text is not known: set max_steps")


def make_tokenizer(run: Run, data_args: MlmArguments, articles: dict[str, Articles]) -> PreTrainedTokenizerBase:
    """The tokenizer of the model, or for a start from scratch without one, a tokenizer trained on the training text."""
    model_args = run.model_args
    if not (model_args.tokenizer_name or model_args.model_name_or_path):
        texts = read_texts(articles["train"], data_args)
        trained = partial(train_tokenizer, texts, data_args, data_args.block_size)
        made = run.make_once("tokenizer", lambda folder: trained().save_pretrained(folder))
        model_args = replace(model_args, tokenizer_name=made)
    return load_tokenizer(model_args, run.training_args.do_train)


def evaluate(
    run: Run,
    trainer: RecipeTrainer,
    tokenizer: PreTrainedTokenizerBase,
    blocks: dict[str, Articles | BlockStream],
    data_args: MlmArguments,
    outputs: list[EvalPrediction],
) -> dict[str, dict]:
    """Evaluate on dev, and write the scores and some filled examples to the run's folder; returns the scores.

    outputs: gets what the trainer predicts.
    """
    figures, train = trainer.evaluate(), blocks.get("train")
    counts = np.bincount(list_ids(train), minlength=len(tokenizer)) if isinstance(train, Dataset) else None
    breakdown = break_down(outputs[0], find_pieces(tokenizer), counts)
    named = {name.removeprefix("eval_"): value for name, value in figures.items()}
    scores = {"dev": {**named, "breakdown": breakdown}}
    run.write_results(trainer, "metrics.json", scores)
    trainer.log_metrics("eval", figures)
    if trainer.is_world_process_zero() and not is_sharded():  # one process has only a shard under FSDP
        write_filled(run.folder, "dev", try_examples(trainer.model, tokenizer, blocks["dev"], data_args.eval_mask_seed))
    return scores


def prepare_blocks(
    articles: dict[str, Articles],
    tokenizer: PreTrainedTokenizerBase,
    collator: MaskingCollator,
    data_args: MlmArguments,
    training_args: RunArguments,
) -> dict[str, Articles | BlockStream]:
    """Pack the articles of each split into blocks, with fixed masks for dev, and print what was read."""
    with training_args.main_process_first(desc="packing blocks"):
        blocks: dict[str, Articles | BlockStream] = {
            split: build_blocks(articles[split], tokenizer, data_args, name_source(data_args, split))
            for split in articles
        }
    if training_args.process_index == 0:
        for split, found in articles.items():
            line = format_text_overview(name_source(data_args, split), found, blocks[split], tokenizer)
            print(f"data: {split}: {line}", flush=True)
    if isinstance(stream := blocks.get("train"), IterableDataset):
        blocks["train"] = BlockStream(
            stream,
            collator,
            training_args.train_batch_size,
            training_args.seed,
            partial(explain_reading, data_args),
            training_args.process_index,
            training_args.world_size,
        )
    if isinstance(dev := blocks.get("dev"), Dataset):
        blocks["dev"] = masked = draw_masks(dev, tokenizer, data_args)
        if training_args.process_index == 0 and (doubt := doubt_masks(masked)):
            print(f"data: dev: {doubt}", flush=True)
    return blocks


def count_tokens(train: Articles | BlockStream | None, data_args: MlmArguments, training_args: RunArguments) -> int:
    """The tokens of an epoch of training, the last block taken as full. All steps on a stream are one epoch."""
    if isinstance(train, Dataset):
        return len(train) * data_args.block_size
    batch = training_args.train_batch_size * training_args.gradient_accumulation_steps * training_args.world_size
    return training_args.max_steps * batch * data_args.block_size if train is not None else 0


if __name__ == "__main__":
    exit_with(main)

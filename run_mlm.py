"""Pretrain a masked language model on text, from a checkpoint or from scratch.

accelerate launch --config_file configs/accelerate/one_cpu.yaml \
    run_mlm.py --config configs/mlm/bert-base-cased_conll2003.yaml
accelerate launch --config_file configs/accelerate/one_cpu.yaml \
    run_mlm.py --config configs/mlm/minilm_news.yaml --train_file "path/to/*.txt"
python run_mlm.py --help
"""

import sys
from functools import partial

from transformers import AutoModelForMaskedLM

from recipe.arguments import MlmArguments, ModelArguments, TrainingArguments, parse
from recipe.corpus import build_blocks, explain_reading, load_articles, read_texts
from recipe.encoders import check_length, check_vocabulary, load_config, load_model, load_tokenizer
from recipe.errors import RecipeError, exit_with
from recipe.masking import build_collator, draw_masks, score_positions, summarize_positions
from recipe.stage import Stage
from recipe.stream import BlockStream
from recipe.trainer import RecipeTrainer
from recipe.vocabulary import train_tokenizer


def main(argv: list[str] | None = None) -> None:
    """Settings -> articles -> blocks -> masks -> Trainer -> perplexity. `argv`: the command line."""
    arguments = parse(sys.argv[1:] if argv is None else argv, ModelArguments, MlmArguments, TrainingArguments)
    model_args, data_args, training_args = arguments
    if not (training_args.do_train or training_args.do_eval):
        raise RecipeError("nothing to do: set do_train or do_eval")
    if not (training_args.do_train or model_args.model_name_or_path):
        raise RecipeError("nothing to evaluate: set model_name_or_path, or do_train to start from scratch")
    stage = Stage(*arguments)

    tasks = {"train": training_args.do_train, "validation": training_args.do_eval}
    with training_args.main_process_first(desc="reading text"):
        articles = load_articles(data_args, [split for split, wanted in tasks.items() if wanted], model_args.cache_dir)
    config = load_config(model_args)
    if not (model_args.tokenizer_name or model_args.model_name_or_path):
        texts = read_texts(articles["train"], data_args)
        model_args.tokenizer_name = stage.make_once(
            "tokenizer", lambda folder: train_tokenizer(texts, data_args).save_pretrained(folder)
        )
    tokenizer = load_tokenizer(model_args, training_args.do_train)
    if not model_args.model_name_or_path:
        config.vocab_size, config.pad_token_id = len(tokenizer), tokenizer.pad_token_id
    check_vocabulary(tokenizer, config)
    check_length("block_size", data_args.block_size, tokenizer, config)

    with training_args.main_process_first(desc="packing blocks"):
        blocks = {split: build_blocks(articles[split], tokenizer, data_args, split) for split in articles}
    collator = build_collator(tokenizer, data_args, training_args.seed)
    if data_args.streaming and "train" in blocks:
        blocks["train"] = BlockStream(blocks["train"], collator, training_args, partial(explain_reading, data_args))
    if "validation" in blocks:
        blocks["validation"] = draw_masks(blocks["validation"], tokenizer, data_args)

    trainer = RecipeTrainer(
        args=training_args,
        sparse_head=data_args.sparse_head,
        model=load_model(AutoModelForMaskedLM, model_args, config),
        train_dataset=blocks.get("train"),
        eval_dataset=blocks.get("validation"),
        data_collator=collator,
        processing_class=tokenizer,
        compute_metrics=summarize_positions,
        preprocess_logits_for_metrics=score_positions,
    )
    if training_args.do_train:
        stage.train(trainer)
    if training_args.do_eval:
        metrics = trainer.evaluate()
        trainer.log_metrics("eval", metrics)
        if trainer.is_world_process_zero():
            scores = {name.removeprefix("eval_"): value for name, value in metrics.items()}
            stage.write_json("metrics.json", {"validation": scores, "run": stage.describe()})
    stage.finish(trainer)


if __name__ == "__main__":
    exit_with(main)

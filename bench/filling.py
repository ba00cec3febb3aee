"""How well and how fast masked language models fill masks: the orders of decoding, both objectives, the stock pipeline.

python -m bench.filling runs/mlm/one runs/mlm/other --text "news/*.txt"
python -m bench.filling runs/mlm/one --text "news/*.txt" --speed

Writes `results/filling/<name of the folder>.json`. The sentences are those of the articles that
configs/mlm/minilm_news.yaml holds out. With `--speed`, a model without case markers is timed beside the pipeline, in
`<name>-speed.json`.
"""

import argparse
import json
import math
import random
import statistics
import time
from collections.abc import Callable, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from transformers import pipeline
from transformers.utils.logging import disable_progress_bar

from bench.tagging import measure_speed
from recipe.data.articles import load_articles
from recipe.data.raw_text import find_sentences
from recipe.data.settings import TextArguments
from recipe.hub.provenance import describe_hardware, find_commit
from recipe.inference.fill_options import FillOptions
from recipe.inference.filler import FilledText, Filler
from recipe.inference.masks import MARKER, MaskedText, mask_positions, mask_words
from recipe.inference.scorer import Scorer

RESULTS = Path("results/filling")
COUNT = 1000  # texts for each number of pieces
LONGEST_SPAN = 8
WORDS = (12, 60)  # in a sentence
SCORED = 500  # sentences whose likelihood is computed
SPEED_TEXTS, SPEED_ROUNDS = 10_000, 3
ORDERS = {
    "parallel": FillOptions(order="parallel"),
    "left_to_right": FillOptions(order="left_to_right"),
    "confidence": FillOptions(order="confidence"),
    "confidence, 2 steps": FillOptions(order="confidence", steps=2),
    "confidence, 4 steps": FillOptions(order="confidence", steps=4),
}


def list_sentences(files: list[str], split: str) -> list[str]:
    """The sentences of the training or held-out articles, as they stand in the text."""
    arguments = TextArguments(train_file=files, validation_split_percentage=1)
    sentences = []
    for row in load_articles(arguments)[split]:
        for words in find_sentences(row["text"]):
            if WORDS[0] <= len(words) <= WORDS[1]:
                sentences.append(" ".join(row["text"][words[0].start : words[-1].end].split()))
    return sentences


def draw_spans(filler: Filler, sentences: Sequence[str], length: int) -> list[MaskedText]:
    """Sentences, each with a random span of `length` tokens masked; special tokens are not among them."""
    draw, masked = random.Random(length), []
    for text in sentences:
        count = len(filler.tokenizer(text).input_ids)
        if len(masked) < COUNT and count - 2 > length:
            start = draw.randrange(1, count - 1 - length)
            masked.append(mask_positions(text, filler.vocabulary, range(start, start + length)))
    return masked


def find_names(filler: Filler, sentences: Sequence[str], pieces: int) -> list[MaskedText]:
    """Sentences, each with one capitalised word of `pieces` pieces masked, which is not its first word."""
    masked = []
    for text in sentences:
        for number, word in enumerate(find_sentences(text)[0][1:], 2):
            if not word.text.istitle() or not word.text.isalpha():
                continue
            found = mask_words(text, filler.vocabulary, [number])
            if sum(slot.kind != MARKER for slot in found.slots) == pieces:
                masked.append(found)
                break
        if len(masked) == COUNT:
            break
    return masked


def measure_orders(filler: Filler, masked: Sequence[MaskedText]) -> dict[str, dict[str, float]]:
    """For each order: exact matches and recovered tokens in percent, log-probability of the chain, passes, speed."""
    rows = {}
    tokens = sum(len(item.slots) for item in masked)
    for name, options in ORDERS.items():
        start = time.perf_counter()
        found = filler.fill_masked(masked, options)
        seconds = time.perf_counter() - start
        rows[name] = summarize(found) | {"tokens_per_second": tokens / seconds}
    return rows


def summarize(found: Sequence[FilledText]) -> dict[str, float]:
    """The mean figures of filled texts whose originals are known."""
    recovered = [[float(bool(prediction.is_recovered)) for prediction in text.predictions] for text in found]
    return {
        "texts": len(found),
        "exact_match": 100 * statistics.mean(all(text) for text in recovered),
        "tokens_recovered": 100 * statistics.mean(hit for text in recovered for hit in text),
        "log_probability": statistics.mean(text.log_probability for text in found),
        "passes": statistics.mean(text.passes for text in found),
    }


def measure_likelihood(folder: str, sentences: Sequence[str]) -> dict[str, float]:
    """Bits for each character and token of sentences, and the sentences a second."""
    scorer = Scorer.load(folder, "auto")
    start = time.perf_counter()
    found = scorer(sentences)
    seconds = time.perf_counter() - start
    bits = -math.fsum(item.log_probability for item in found) / math.log(2)
    return {
        "sentences": len(found),
        "bits_per_character": bits / sum(len(item.text) for item in found),
        "bits_per_token": bits / sum(len(item.tokens) for item in found),
        "sentences_per_second": len(found) / seconds,
    }


def measure_pipeline(folder: str, sentences: Sequence[str]) -> dict[str, Any]:
    """Texts with one masked word each: seconds of the Filler and the pipeline in turn, and equal first candidates."""
    filler = Filler.load(folder, "fp32")
    draw, texts = random.Random(0), []
    for text in islice(cycle(sentences), SPEED_TEXTS):
        words = text.split()
        words[draw.randrange(len(words))] = str(filler.tokenizer.mask_token)
        texts.append(" ".join(words))
    make: Any = pipeline
    stock = make("fill-mask", filler.model, tokenizer=filler.tokenizer, device="cpu")
    found: dict[str, list[Any]] = {}

    def run_filler(filler: Filler, name: str) -> None:
        names = filler.tokenizer.convert_tokens_to_ids
        found[name] = [names(text.predictions[0].token) for text in filler(texts)]

    def run_pipeline(batch: int) -> None:
        name = "pipeline" if batch == 1 else f"pipeline, batches of {batch}"
        found[name] = [rows[0]["token"] for rows in stock(texts, batch_size=batch)]

    half = Filler.load(folder, "bf16")
    contestants: dict[str, Callable[[], object]] = {
        "pipeline": lambda: run_pipeline(1),
        "pipeline, batches of 32": lambda: run_pipeline(32),
        "Filler, fp32": lambda: run_filler(filler, "Filler, fp32"),
        "Filler, bf16": lambda: run_filler(half, "Filler, bf16"),
    }
    speed = measure_speed(contestants, len(texts), sum(len(text.split()) for text in texts), SPEED_ROUNDS)
    first = found["pipeline"]
    same = {name: statistics.mean(a == b for a, b in zip(first, ids, strict=True)) for name, ids in found.items()}
    return {"texts": len(texts), "speed": speed, "same_first_candidate": same}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", help="folders of runs or checkpoints")
    parser.add_argument("--text", nargs="+", required=True)
    parser.add_argument("--speed", action="store_true", help="measure speed: nothing else may run")
    args = parser.parse_args()
    disable_progress_bar()
    held_out = list_sentences(args.text, "dev")
    random.Random(0).shuffle(held_out)
    for folder in args.models:
        result: dict[str, Any] = {"commit": find_commit(), "hardware": describe_hardware(0), "model": Path(folder).name}
        if args.speed:
            result |= measure_pipeline(folder, held_out)
        else:
            filler = Filler.load(folder)
            result["objective"] = filler.pretraining.objective
            result["likelihood"] = measure_likelihood(folder, held_out[:SCORED])
            result["spans"] = {
                length: measure_orders(filler, draw_spans(filler, held_out, length))
                for length in range(1, LONGEST_SPAN + 1)
            }
            names = {pieces: find_names(filler, held_out, pieces) for pieces in (1, 2, 3)}
            result["names"] = {pieces: measure_orders(filler, masked) for pieces, masked in names.items()}
        RESULTS.mkdir(parents=True, exist_ok=True)
        path = RESULTS / f"{Path(folder).name}{'-speed' if args.speed else ''}.json"
        path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
        print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()

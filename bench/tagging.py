"""How well and how fast a finished model tags: raw text, single sentences, beside transformers' pipeline.

python -m bench.tagging runs/ner/name --data_dir path/to/conll2003

Writes `results/tagging/<name of the folder>.json`: strict F1 on gold words, on the same words joined to running text,
of the pipeline on that text; calibration of the confidences; sentences and words a second.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from transformers import Pipeline
from transformers.utils.logging import disable_progress_bar

from recipe.data.conll import read_conll
from recipe.data.documents import Document, list_sentences
from recipe.data.schemes import list_entities
from recipe.data.splits import find_files
from recipe.hub.provenance import describe_hardware, find_commit
from recipe.inference.comparison import list_spans, load_pipeline, make_texts, run_pipeline, score_spans
from recipe.inference.tagger import Tagger

RESULTS = Path("results/tagging")
BINS = 10  # of the expected calibration error
ROUNDS = 5  # of the speed measurement, contestants in turn


def score_raw_text(tagger: Tagger, stock: Pipeline | None, documents: Sequence[Document]) -> dict[str, float]:
    """Strict F1 in percent on gold words, on running text, and of a pipeline on the sentences of that text."""
    gold_words = [set(list_entities(sentence.tags)) for sentence in list_sentences(documents)]
    texts, gold = make_texts(documents)
    lines, gold_lines = make_texts([Document([sentence]) for sentence in list_sentences(documents)])
    scores = {
        "gold words": score_spans(
            gold_words, [list_spans(found.entities) for found in tagger.tag_documents(documents)]
        ),
        "raw text": score_spans(gold, map(list_spans, tagger(texts))),
        "raw sentences": score_spans(gold_lines, map(list_spans, tagger(lines))),
    }
    if stock:
        scores["pipeline, raw sentences"] = score_spans(gold_lines, run_pipeline(stock, lines))
    return {name: 100 * f1 for name, f1 in scores.items()}


def measure_calibration(tagger: Tagger, documents: Sequence[Document]) -> dict[str, Any]:
    """Expected calibration error of the entities' confidences in percent, and the bins that it is made of."""
    scores, right = [], []
    for sentence, tagged in zip(list_sentences(documents), tagger.tag_documents(documents), strict=True):
        gold = set(list_entities(sentence.tags))
        scores += [entity.score for entity in tagged.entities]
        right += [(entity.start, entity.end, entity.type) in gold for entity in tagged.entities]
    values, hits = np.array(scores), np.array(right, float)
    numbers = np.minimum((values * BINS).astype(int), BINS - 1)
    bins = []
    for number in np.unique(numbers):
        inside = numbers == number
        row = {"from": number / BINS, "entities": int(inside.sum())}
        bins.append(row | {"confidence": float(values[inside].mean()), "right": float(hits[inside].mean())})
    error = sum(row["entities"] * abs(row["confidence"] - row["right"]) for row in bins) / max(len(values), 1)
    return {"ece": 100 * error, "bins": bins}


def measure_speed(
    contestants: dict[str, Callable[[], object]], sentences: int, words: int, rounds: int = ROUNDS
) -> dict[str, dict]:
    """The figures of `measure_rounds` after the last round."""
    *_, last = measure_rounds(contestants, sentences, words, rounds)
    return last


def measure_rounds(
    contestants: dict[str, Callable[[], object]], sentences: int, words: int, rounds: int = ROUNDS
) -> Iterator[dict[str, dict]]:
    """Run the contestants in turn, and after each round return the figures of all rounds so far.

    seconds: of each round. sentences_per_second, words_per_second: medians. slowest, fastest: sentences a second.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, run in contestants.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
        yield {
            name: {
                "seconds": list(values),
                "sentences_per_second": sentences / statistics.median(values),
                "words_per_second": words / statistics.median(values),
                "slowest": sentences / max(values),
                "fastest": sentences / min(values),
            }
            for name, values in seconds.items()
        }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a run's folder")
    parser.add_argument("--data_dir", required=True)
    parser.add_argument("--speed", action="store_true", help="measure speed too: nothing else may run")
    args = parser.parse_args()
    disable_progress_bar()
    splits = {name: read_conll(find_files(args.data_dir)[name][0]) for name in ("dev", "test")}
    taggers = {precision: Tagger.load(args.model, precision) for precision in ("fp32", "bf16")}
    stock = load_pipeline(args.model, taggers["fp32"].tokenizer)
    result: dict[str, Any] = {"commit": find_commit(), "hardware": describe_hardware(0), "model": Path(args.model).name}
    result["f1"] = {split: score_raw_text(taggers["fp32"], stock, documents) for split, documents in splits.items()}
    result["f1_bf16"] = {split: score_raw_text(taggers["bf16"], None, documents) for split, documents in splits.items()}
    calibrated = taggers["fp32"]
    windows = calibrated.windows(splits["dev"])
    calibrated.calibrate(splits["dev"], windows, calibrated.run(windows))  # as at the end of a training
    fitted = calibrated.settings
    result["temperature"] = fitted.temperature
    for name, settings in {"uncalibrated": replace(fitted, temperature=1.0), "calibrated": fitted}.items():
        calibrated.settings = settings
        result[name] = {split: measure_calibration(calibrated, docs) for split, docs in splits.items()}
    if args.speed:
        sentences = [sentence.words for sentence in list_sentences(splits["test"])]
        lines = [" ".join(words) for words in sentences]
        contestants: dict[str, Callable[[], object]] = {"pipeline, batches of 32": lambda: run_pipeline(stock, lines)}
        for name, tagger in taggers.items():
            contestants[f"tagger, {name}"] = lambda tagger=tagger: tagger.tag_words(sentences)
            contestants[f"tagger, {name}, raw text"] = lambda tagger=tagger: tagger(lines)
        result["speed"] = measure_speed(contestants, len(sentences), sum(map(len, sentences)))
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{Path(args.model).name}.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps({key: result[key] for key in result if key.startswith(("f1", "speed"))}, indent=2))
    for name in ("uncalibrated", "calibrated"):
        print(name, {split: row["ece"] for split, row in result[name].items()})


if __name__ == "__main__":
    main()

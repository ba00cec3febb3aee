"""Every form of finished taggers on the CoNLL-2003 test split, beside transformers' pipeline: F1, speed, memory, size.

python -m bench.serving runs/ner/name [runs/ner/other ...] --data_dir path/to/conll2003

Nothing else may run. Each run gets all its exports in `export/`, those that are refused too. Writes
`results/serving/<name of the folder>.json`.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from transformers.utils.logging import disable_progress_bar

from bench.speed import measure_products
from bench.tagging import measure_speed
from recipe.data.conll import read_conll
from recipe.data.documents import Document, Sentence, list_sentences
from recipe.data.splits import find_files
from recipe.export import FOLDER, choose_exports, export_all, load_source, make_folder
from recipe.hub.provenance import describe_hardware, find_commit
from recipe.inference.comparison import load_pipeline
from recipe.inference.exports import count_threads
from recipe.inference.guard import judge
from recipe.inference.measuring import measure
from recipe.inference.tagger import Tagger

RESULTS = Path("results/serving")
ALONE = 300  # sentences that are tagged one at a time
BATCH = 32  # of the pipeline


def measure_run(run: Path, test: Path) -> dict[str, Any]:
    """Export a run in every form, and measure each on the test file."""
    make_folder(run / FOLDER)
    source = load_source(run, None, None)
    judged = {one.export.name: one for one in export_all(source, choose_exports("auto", "auto"), True, fastest=False)}
    forms = {"torch-fp32, the model": run} | {name: run / "export" / name for name in judged}
    reference = measure(run, test, -1, "fp32")
    rows: dict[str, dict] = {}
    for name, folder in forms.items():
        found = reference if folder == run else measure(folder, test, -1)
        rows[name] = {"test": asdict(found.figures)}
        if folder != run:
            other = judge(judged[name].export, reference, found)
            rows[name]["test"] |= {"different_tags": other.different_tags, "words": other.words}
            rows[name]["dev"] = judged[name].describe()
    sentences = [sentence.words for sentence in list_sentences(read_conll(test, check=False))]
    speeds = {"together": sentences, "alone": sentences[:: max(1, len(sentences) // ALONE)]}
    taggers = {name: Tagger.load(folder, "fp32" if folder == run else "auto") for name, folder in forms.items()}
    result: dict[str, Any] = {"run": run.name, "forms": rows, "speed": {}}
    for kind, chosen in speeds.items():
        result["speed"][kind] = compare_speeds(run, taggers, chosen, alone=kind == "alone")
    result["tokenizer"] = len(sentences) / time_tokenizer(next(iter(taggers.values())), sentences)  # sentences a second
    return result


def compare_speeds(run: Path, taggers: dict[str, Tagger], sentences: list[list[str]], alone: bool) -> dict[str, dict]:
    """Sentences and words a second of the pipeline and of each form, in turn, all at once or one at a time."""
    texts = [" ".join(words) for words in sentences]
    stock = load_pipeline(str(run), next(iter(taggers.values())).tokenizer)
    contestants: dict[str, Callable[[], object]] = {
        "pipeline": lambda: [stock(text) for text in texts] if alone else stock(texts, batch_size=BATCH)
    }
    for name, tagger in taggers.items():
        contestants[name] = (
            (lambda tagger=tagger: [tagger.tag_words([words]) for words in sentences])
            if alone
            else (lambda tagger=tagger: tagger.tag_words(sentences))
        )
    for warm_up in contestants.values():
        warm_up()
    return measure_speed(contestants, len(sentences), sum(map(len, sentences)))


def time_tokenizer(tagger: Tagger, sentences: Sequence[list[str]]) -> float:
    """Seconds to turn sentences into windows, the fastest of three times."""
    documents = [Document([Sentence(words, ["O"] * len(words))]) for words in sentences]
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        tagger.windows(documents)
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="folders of finished runs")
    parser.add_argument("--data_dir", required=True)
    args = parser.parse_args()
    disable_progress_bar()
    test = Path(find_files(args.data_dir)["test"][0])
    RESULTS.mkdir(parents=True, exist_ok=True)
    for run in args.runs:
        result: dict[str, Any] = {"commit": find_commit(), "hardware": describe_hardware(0), "threads": count_threads()}
        result |= {"products": measure_products()} | measure_run(run, test)
        (RESULTS / f"{run.name}.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
        for kind, speeds in result["speed"].items():
            print(kind, {name: round(row["sentences_per_second"]) for name, row in speeds.items()})


if __name__ == "__main__":
    main()

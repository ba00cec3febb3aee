"""What a finished tagger or an export of it costs and finds: scores, speed, memory, load time, size.

`python -m recipe.inference.measuring MODEL FILE FOLDER TAG_COLUMN PRECISION STARTED` measures in a process of its own,
because memory and load time are those of a process. It writes `figures.json` and `outputs.npz` to FOLDER.
"""

import json
import platform
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from recipe.data.conll import read_conll
from recipe.data.documents import Document, list_sentences, list_tags
from recipe.errors import RecipeError
from recipe.evaluation.scoring import score_entities
from recipe.inference.decoding import decode
from recipe.inference.tagger import Tagger
from recipe.inputs.windows import collect_logits

ALONE, TOGETHER = 100, 640  # sentences whose tagging is timed, one and `BATCH` at a time
BATCH = 32
ROUNDS = 3  # of which the fastest counts


@dataclass(frozen=True)
class Figures:
    """What was measured.

    f1: entities, strict, micro average, 0 to 1. recall: of each entity type, 0 to 1.
    sentences_per_second, words_per_second: `BATCH` sentences at a time. alone_per_second: sentences, one at a time.
    load_seconds: of the process, imports included. memory: of the process at its peak, MB. size: of the files, MB.
    """

    f1: float
    recall: dict[str, float]
    sentences_per_second: float
    words_per_second: float
    alone_per_second: float
    load_seconds: float
    memory: float
    size: float


@dataclass(frozen=True)
class Measurement:
    """Figures, the logits of each word (words, labels), and the label id of each word after decoding."""

    figures: Figures
    logits: np.ndarray
    tags: np.ndarray


def measure(model: Path, file: Path, tag_column: int, precision: str = "auto") -> Measurement:
    """Measure a tagger on a column file with gold tags, in a process of its own.

    tag_column: index of the gold tags. precision: see `Tagger.load`.
    Raises RecipeError if the model cannot be loaded or the file cannot be read.
    """
    with TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "recipe.inference.measuring", str(model), str(file), folder]
        command += [str(tag_column), precision, str(time.time())]
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            raise RecipeError(f"{model}: cannot be measured: {(done.stderr.strip().splitlines() or [''])[-1]}")
        figures = json.loads((Path(folder) / "figures.json").read_text())
        outputs = np.load(Path(folder) / "outputs.npz")
        return Measurement(Figures(**figures), outputs["logits"], outputs["tags"])


def main() -> None:
    """Measure in this process."""
    model, file, folder, tag_column, precision, started = sys.argv[1:]
    tagger = Tagger.load(model, precision)
    load_seconds = time.time() - float(started)
    documents = read_conll(file, tag_column=int(tag_column), check=False)
    logits, tags = predict(tagger, documents)
    scores = score_entities(list_tags(documents), tags)
    sentences = [sentence.words for sentence in list_sentences(documents)]
    alone = [[words] for words in sentences[:ALONE]]
    together = [sentences[first : first + BATCH] for first in range(0, min(len(sentences), TOGETHER), BATCH)]
    speed = time_tagging(tagger.tag_words, together)
    figures = Figures(
        f1=scores["micro avg"]["f1"],
        recall={name: row["recall"] for name, row in scores.items() if not name.endswith(" avg")},
        sentences_per_second=speed,
        words_per_second=speed * sum(map(len, chain(*together))) / max(sum(map(len, together)), 1),
        alone_per_second=time_tagging(tagger.tag_words, alone),
        load_seconds=load_seconds,
        memory=find_peak_memory(),
        size=sum(path.stat().st_size for path in Path(model).iterdir() if path.is_file()) / 1e6,
    )
    (Path(folder) / "figures.json").write_text(json.dumps(asdict(figures)))
    numbers = {label: number for number, label in enumerate(tagger.labels)}
    np.savez(Path(folder) / "outputs.npz", logits=logits, tags=[numbers[tag] for one in tags for tag in one])


def predict(tagger: Tagger, documents: Sequence[Document]) -> tuple[np.ndarray, list[list[str]]]:
    """The logits of all words, (words, labels), and the tags of each sentence."""
    windows = tagger.windows(documents)
    logits = collect_logits((row for batch in tagger.run(windows) for row in batch), windows)
    lengths = [len(sentence.words) for sentence in list_sentences(documents)]
    return logits, decode(logits, lengths, tagger.labels, tagger.settings.constrained_decoding)


def time_tagging(tag: Callable[[list], object], calls: Sequence[list]) -> float:
    """Sentences a second, all calls together, in the fastest of `ROUNDS` rounds."""
    seconds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for sentences in calls:
            tag(sentences)
        seconds.append(time.perf_counter() - started)
    return sum(map(len, calls)) / max(min(seconds), 1e-9)


def find_peak_memory() -> float:
    """The resident memory of this process at its peak, in MB."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:  # not Linux
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / 1e6 if platform.system() == "Darwin" else peak / 1e3  # bytes there, kB elsewhere
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) / 1e3  # ru_maxrss would be that of the parent process


if __name__ == "__main__":
    main()

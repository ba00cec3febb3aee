"""Each reader of files that come from elsewhere reads any file rightly, or refuses it in one line that names it.

`make test` gives each reader a few files, `make fuzz` 100,000, and writes results/reliability/fuzz.json.
"""

import datetime
import gzip
import io
import json
import os
import random
import resource
import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import datasets
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from conftest import ROOT, make_config, make_tokenizer
from recipe import arguments as arguments_module
from recipe.arguments import NerArguments, RunArguments, parse
from recipe.data.articles import load_articles, read_texts
from recipe.data.conll import DOCUMENT_START, read_columns
from recipe.data.documents import Notes, list_sentences, list_tags
from recipe.data.raw_text import find_sentences
from recipe.data.schemes import is_well_formed, split_tag
from recipe.data.settings import TextArguments
from recipe.data.splits import load_splits
from recipe.data.text_files import check_array, check_cells, check_lines, read_articles, refuse_nul
from recipe.data.untagged import Reader, list_files
from recipe.errors import RecipeError
from recipe.evaluation.results import find_best, format_reference, format_table
from recipe.evaluation.scoring import REFERENCE, score_file
from recipe.hub.card import render_card
from recipe.hub.provenance import describe_hardware, find_commit, trace_origin
from recipe.inference.settings import TaggerSettings, read_settings
from recipe.inference.tag import OutputFile
from recipe.inputs.tokenizer import load_tokenizer
from recipe.model.configuration import load_config
from recipe.model.settings import ModelArguments
from recipe.training.checkpoints import MANIFEST, find_checkpoint, find_damage, read_manifest, write_manifest
from spoiling import SENTENCES, TAGS, join_text, render, spoil_file, write_columns

FULL = "EXAMPLES" in os.environ
EXAMPLES = int(os.environ.get("EXAMPLES", 50))  # files for each reader
VARIANTS = 50 if FULL else 10  # of each file that hypothesis makes up; the first is not spoilt
SECONDS, MEGABYTES = 10, 500  # the most that one file may cost, and one reader
RESULT = ROOT / "results" / "reliability" / "fuzz.json"
OPTIONS = {
    "deadline": None,
    "database": None,
    "derandomize": not FULL,
    "phases": [Phase.generate],
    "suppress_health_check": list(HealthCheck),
}


class Case(NamedTuple):
    """Files by name, of which one at a time is spoilt, and what a reader must find in them as they are."""

    files: dict
    expected: object = None


class Target(NamedTuple):
    """A reader: the files that it is given, and a function that reads them and checks what it found.

    read: gets the folder, a random generator, and what is expected, which is None for a spoilt file.
    """

    cases: st.SearchStrategy
    read: Callable


def list_pairs(documents):
    return [(sentence.words, sentence.tags) for sentence in list_sentences(documents)]


def check_words(documents):
    for words, tags in list_pairs(documents):
        assert len(words) == len(tags) > 0
        assert all(isinstance(word, str) for word in words)
        assert all(split_tag(tag) for tag in tags)


def load(path, **settings):
    """The documents of one file, as `run_ner.py` reads them, and the number of left out entities."""
    notes: dict[str, Notes] = {}
    documents = load_splits(NerArguments(train_file=[str(path)], **settings), ["train"], notes=notes)["train"]
    check_words(documents)
    assert all(is_well_formed(tags, "IOB2") for tags in list_tags(documents))
    return documents, sum(count for text, (_, count) in notes["train"].remarks.items() if "left out" in text)


def find_file(folder):
    return next(iter(sorted(folder.iterdir())))


def count_entities(documents):
    return sum(tag[0] == "B" for tags in list_tags(documents) for tag in tags)


# Column files


def read_column_file(folder, draw, expected):
    path = find_file(folder)
    if expected is not None:
        assert list_pairs(load(path)[0]) == expected
        return
    options = {"tag_column": draw.choice([-1, -1, 1, 0, 5]), "word_column": draw.choice([0, 0, 1, -2])}
    options |= {"encoding": draw.choice(["utf-8", "utf-8", "latin-1", "utf-16", "ascii"])}
    options |= {"comment_prefix": draw.choice([None, "#", "# "])}
    if draw.random() < 0.5:
        load(path, **options)
    documents = read_columns(path, check=draw.random() < 0.5, **options)
    check_words(documents)
    if not options["comment_prefix"]:  # no word is lost
        text = read_bytes(path).decode(options["encoding"]).removeprefix("\ufeff")
        lines = [line for line in text.split("\n") if line.strip(" \t\r")]
        marks = sum(DOCUMENT_START in line or line.startswith("#") for line in lines)
        assert len(lines) - marks <= sum(len(words) for words, _ in list_pairs(documents)) <= len(lines)


def read_bytes(path):
    data = path.read_bytes()
    return gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data


@st.composite
def make_columns(draw):
    sentences = draw(SENTENCES)
    content = write_columns(sentences, draw(st.sampled_from(["\n", "\r\n"])))
    content = draw(st.sampled_from([content, content.replace(" ", "\t"), "\ufeff" + content]))
    if draw(st.booleans()):
        content = gzip.compress(content.encode())
    return Case({draw(st.sampled_from(["a.conll", "a.tsv", "a.iob"])): content}, sentences)


@st.composite
def make_layouts(draw):
    """CoNLL-U and CoNLL-2012."""
    sentences, lines = draw(SENTENCES), []
    universal = draw(st.booleans())
    for words, tags in sentences:
        lines += ["# sent_id = 1", "1-2\tx" + "\t_" * 8] if universal else []
        ends = [after[0] != "I" for after in [*tags[1:], "O"]]
        for number, (word, tag, end) in enumerate(zip(words, tags, ends, strict=True), 1):
            if universal:
                lines.append(f"{number}\t{word}" + "\t_" * 7 + f"\tNER={tag}|SpaceAfter=No")
            else:
                name = "*" if tag == "O" else f"({tag[2:]}{'' if end else '*'}" if tag[0] == "B" else "*"
                name += ")" if tag != "O" and end else ""
                lines.append(f"a 0 {number - 1} {word} NN * - - - - {name} -")
        lines.append("")
    if universal:
        return Case({"a.conllu": "\n".join(lines)}, sentences)
    return Case({"a.conll": "\n".join(["#begin document (a); part 000", *lines, "#end document"])}, sentences)


def read_layout(folder, draw, expected):
    documents = load(find_file(folder))[0]
    assert expected is None or list_pairs(documents) == expected


@st.composite
def make_predictions(draw):
    sentences = draw(SENTENCES)
    lines = [[f"{w} {t} {draw(TAGS)}" for w, t in zip(*sentence, strict=True)] for sentence in sentences]
    return Case({"a.conll": "\n\n".join(map("\n".join, lines))}, sum(map(len, lines)))


def read_predictions(folder, draw, expected):
    report = score_file(str(folder / "a.conll"), draw.choice([None, "IOB1", "IOB2"]) if expected is None else None)
    rows = [*report["tags"].values(), *report["entities"].values()]
    assert all(0 <= row[name] <= 1 for row in rows for name in ("precision", "recall", "f1"))
    assert expected in (None, sum(row["support"] for row in report["tags"].values()))


# Rows


@st.composite
def make_word_rows(draw):
    sentences, (words, tags) = draw(SENTENCES), draw(st.sampled_from([("tokens", "ner_tags"), ("words", "labels")]))
    rows = [{"id": number, words: pair[0], tags: pair[1]} for number, pair in enumerate(sentences)]
    return Case({draw(st.sampled_from(["a.json", "a.jsonl"])): rows}, sentences)


def read_word_rows(folder, draw, expected):
    options = (
        draw.choice([{}, {}, {"tag_names": ["O", "B-PER"]}, {"text_column_name": "tokens"}]) if not expected else {}
    )
    documents = load(find_file(folder), **options)[0]
    assert expected is None or list_pairs(documents) == expected


TOOLS = {
    "doccano": lambda text, spans: {"text": text, "label": spans},
    "doccano, entities": lambda text, spans: {
        "text": text,
        "entities": [{"id": 1, "start_offset": s, "end_offset": e, "label": k} for s, e, k in spans],
    },
    "Label Studio": lambda text, spans: {
        "data": {"text": text},
        "annotations": [
            {"result": [{"value": {"start": s, "end": e, "text": text[s:e], "labels": [k]}} for s, e, k in spans]}
        ],
    },
    "Prodigy": lambda text, spans: {
        "text": text,
        "tokens": [{"text": "a", "id": 0}],
        "spans": [{"start": s, "end": e, "label": k} for s, e, k in spans],
        "answer": "accept",
    },
    "spaCy": lambda text, spans: [text, {"entities": spans}],
    "Dataturks": lambda text, spans: {
        "content": text,
        "annotation": [{"label": [k], "points": [{"start": s, "end": e - 1, "text": text[s:e]}]} for s, e, k in spans],
    },
}


@st.composite
def make_span_rows(draw):
    texts = [join_text(sentences) for sentences in draw(st.lists(SENTENCES, min_size=1, max_size=3))]
    tool = TOOLS[draw(st.sampled_from(list(TOOLS)))]
    rows = [tool(text, spans) for text, spans in texts]
    return Case({draw(st.sampled_from(["a.json", "a.jsonl"])): rows}, sum(len(spans) for _, spans in texts))


def read_span_rows(folder, draw, expected):
    documents, left_out = load(find_file(folder))
    assert expected in (None, count_entities(documents) + left_out)


@st.composite
def make_tables(draw):
    sentences = [([word.replace(",", "") or "x" for word in words], tags) for words, tags in draw(SENTENCES)]
    way = draw(st.sampled_from(["word", "list", "text"]))
    sign = draw(st.sampled_from([",", ";", "\t"]))
    if way == "word":
        lines = [sign.join(("sentence_id", "word", "tag"))]
        for number, pair in enumerate(sentences):
            lines += [sign.join((str(number), word, tag)) for word, tag in zip(*pair, strict=True)]
    elif way == "list":
        lines = [sign.join(("tokens", "ner_tags"))]
        lines += [sign.join('"' + str(part).replace('"', '""') + '"' for part in pair) for pair in sentences]
    else:
        lines = [sign.join(("text", "labels")), *(sign.join((" ".join(w), " ".join(t))) for w, t in sentences)]
    return Case({"a.csv": draw(st.sampled_from(["\n", "\r\n"])).join([*lines, ""])}, sentences)


@st.composite
def make_brat(draw):
    text, spans = join_text(draw(SENTENCES))
    lines = [f"T{n}\t{kind} {start} {end}\t{text[start:end]}" for n, (start, end, kind) in enumerate(spans)]
    lines += draw(st.sampled_from([[], ["R1\tIn Arg1:T1 Arg2:T2"], ["T9\tX 0 1;2 3\ta b"]]))
    return Case({"a.ann": "\n".join(lines), "a.txt": text}, sum(line[0] == "T" for line in lines))


def read_brat_folder(folder, draw, expected):
    documents, left_out = load(folder / "a.ann")
    text = (folder / "a.ann").read_bytes().decode(errors="replace").removeprefix("\ufeff")
    assert count_entities(documents) + left_out == sum(line.startswith("T") for line in text.split("\n"))


@st.composite
def make_parquet(draw):
    sentences, file = draw(SENTENCES), io.BytesIO()
    rows = {"tokens": [words for words, _ in sentences], "ner_tags": [tags for _, tags in sentences]}
    datasets.Dataset.from_dict(rows).to_parquet(file)
    return Case({"a.parquet": file.getvalue()}, sentences)


# Text


@st.composite
def make_untagged(draw):
    sentences = draw(SENTENCES)
    name, rows = draw(st.sampled_from(["a.txt", "a.jsonl", "a.conll"])), None
    if name == "a.txt":
        return Case({name: "\n\n".join(" ".join(words) for words, _ in sentences)}, len(sentences))
    if name == "a.jsonl":
        rows = [{"tokens": words, "id": 1} if draw(st.booleans()) else {"text": "a b"} for words, _ in sentences]
        return Case({name: rows}, len(rows))
    return Case({name: write_columns(sentences)}, 1)


def read_untagged(folder, draw, expected):
    """With `skip_bad`, each line of JSON is an item or counted."""
    path, options = find_file(folder), {}
    if expected is None:
        options = {"encoding": draw.choice(["utf-8", "utf-8", "latin-1", "ascii"]), "skip_bad": draw.random() < 0.5}
        options |= {"lines": draw.random() < 0.5, "word_column": draw.choice([0, 0, 1, -1])}
    reader = Reader(**options)
    items = list(reader.read(list_files([str(path)])))
    assert expected in (None, len(items))
    assert reader.skip_bad or not reader.skipped
    for item in items:
        words = [] if isinstance(item.content, str) else list_pairs([item.content])
        assert all(first and len(first) == len(second) for first, second in words)
    if reader.skip_bad and path.suffix == ".jsonl":
        lines = [line for line in path.read_bytes().split(b"\n") if not is_blank(line, reader.encoding)]
        assert len(items) + reader.skipped == len(lines)


def is_blank(line, encoding):
    try:
        return not line.decode(encoding).removeprefix("\ufeff").strip()
    except UnicodeError:
        return False


TEXTS = SENTENCES.map(lambda sentences: join_text(sentences)[0]) | st.text(st.characters(), max_size=60)


def read_raw_text(folder, draw, expected):
    """Words are pieces of the text, in order; no sign is left out. No text is refused."""
    text, splitter = (
        (folder / "a.txt").read_bytes().decode("utf-8", draw.choice(["replace", "surrogateescape"])),
        draw.choice(["punctuation", "spaces"]),
    )
    words = [word for sentence in find_sentences(text, splitter) for word in sentence]
    assert all(word.text and word.start < word.end and not set(word.text) & {" ", "\n"} for word in words)
    assert all(first.end <= second.start or first[1:] == second[1:] for first, second in pairwise(words))
    if "&" not in text:
        places = {place for word in words for place in range(word.start, word.end)}
        assert all(sign.isspace() for place, sign in enumerate(text) if place not in places)


@st.composite
def make_articles(draw):
    texts = [" ".join(["a", *words]) for words, _ in draw(SENTENCES)]  # text of digits alone would be numbers
    name = draw(st.sampled_from(["a.txt", "a.jsonl", "a.json", "a.csv"]))
    if name == "a.txt":
        return Case({name: "\n\n".join(texts)}, texts)
    if name == "a.csv":
        return Case({name: "\n".join(["id,text", *(f'1,"{text}"' for text in texts), ""])}, texts)
    return Case({name: [{"text": text, "id": 1} for text in texts]}, texts)


def read_text_file(folder, draw, expected):
    """What the recipe reads and checks by itself before `datasets` reads the file."""
    path, encoding = str(find_file(folder)), "utf-8" if expected else draw.choice(["utf-8", "latin-1", "utf-16"])
    articles = read_articles(path, encoding)
    assert all(article.strip() and "\0" not in article for article in articles)
    assert not path.endswith(".txt") or expected in (None, articles)
    check_lines(path, encoding, "text", others=draw.random() < 0.5)
    checks = {".json": check_array, ".csv": check_cells}
    if Path(path).suffix in checks:
        checks[Path(path).suffix](path, encoding, "text")
    refuse_nul(path, encoding)


def read_all_articles(folder, draw, expected):
    options = TextArguments(train_file=[str(find_file(folder))], streaming=draw.random() < 0.5)
    texts = list(read_texts(load_articles(options, ["train"])["train"], options))
    assert all(isinstance(text, str) and text.encode() is not None for text in texts)
    assert expected in (None, texts)


# Configurations, runs and models

CONFIGURATION = {"seed": 3, "learning_rate": "1e-4", "do_train": "no", "train_file": ["a", "b"], "bf16": False}
CONFIGURATION |= {"lr_scheduler_kwargs": {"a": 1}, "eval_strategy": "no", "context": "none", "warmup_steps": 0.1}


def read_configuration(folder, draw, expected):
    groups = (ModelArguments, NerArguments, RunArguments)
    found = parse([f"--config={folder / 'a.yaml'}", "--use_cpu"], *groups)
    assert expected in (None, found[2].seed)


def make_run_folder():
    command = "python run_ner.py --config /a/b/configs/ner/a.yaml"
    record = {"settings": {"seed": 3, "train_file": ["/a/b/c.conll"], "max_eval_samples": 2}, "data": "files"}
    record |= {"commit": "0123456789", "hardware": "a CPU", "processes": 1, "precision": "fp32", "command": command}
    record |= {"train_minutes": 1.5, "total_minutes": 2, "versions": {"torch": "2"}, "base_model": "a/b"}
    record |= {"datasets": ["a/c"], "dataset": "a/c", "seed": 3, "model": "b", "resumed": False, "config": None}
    history = [{"loss": 1.0, "step": 1, "epoch": 0.5}, {"eval_loss": 1.0, "eval_f1": 0.5, "step": 2, "epoch": 1}]
    config = {"architectures": ["BertForTokenClassification"], "id2label": {"0": "O", "1": "B-PER", "2": "I-PER"}}
    files = {
        "run.yaml": record,
        "report.json": make_report({"O": 3, "B-PER": 3}),
        "trainer_state.json": {"log_history": history},
    }
    return files | {"config.json": config, "tokenizer.json": {"normalizer": {"lowercase": True}}}


def make_report(supports):
    row = {"precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 3}
    tags = {tag: row | {"support": support} for tag, support in supports.items()}
    split = {"entities": {"PER": row, "micro avg": row}, "tags": tags, "alone": {"micro avg": row}}
    split |= {"running_text": {"sentences": 2, "tagger": 0.5, "pipeline": 0.4}}
    run = {"seed": 1, "total_minutes": 2.5, "command": "a", "changed": {"seed": 1, "learning_rate": 1e-4}}
    return {"dev": split, "test": split, "run": run}


def read_run_folder(folder, draw, expected):
    if draw.random() < 0.1:
        trace_origin(ModelArguments(model_name_or_path=str(folder)), NerArguments())
    assert str(render_card(folder)).startswith("---")


def make_reports():
    report = make_report({tag: support for tag, (*_, support) in REFERENCE.items()})
    return Case({"a-seed1.json": report, "a-seed2.json": report}, "50.0 ± 0.0 |")


def read_reports(folder, draw, expected):
    paths = [str(folder / "a-seed1.json"), str(folder / "a-seed2.json")]
    tables = [format_table(paths), find_best(paths), format_reference(paths)]
    assert expected is None or expected in tables[0]


@cache
def make_checkpoint():
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "weights").write_bytes(b"weights")
        (folder / "trainer_state.json").write_text('{"global_step": 5}')
        write_manifest(folder, 5, {"seed": 1, "processes": 1})
        files = {f"checkpoint-5/{path.name}": path.read_bytes() for path in folder.iterdir()}
        manifest = f"checkpoint-5/{MANIFEST}"
        return Case(files | {manifest: json.loads(files[manifest])}, True)


def read_checkpoint(folder, draw, expected):
    """A checkpoint is used only if all its files are those that it was saved with."""
    checkpoint = folder / "checkpoint-5"
    if expected is None and draw.random() < 0.2 and (checkpoint / "weights").exists():
        (checkpoint / "weights").write_bytes(b"other weights")
    damage = find_damage(checkpoint)
    assert expected is None or damage is None
    assert (find_checkpoint(folder) == checkpoint) == (damage is None)
    manifest = read_manifest(checkpoint)
    assert manifest["step"] == 5
    if manifest["sha256"]:
        assert (checkpoint / "weights").read_bytes() == b"weights" or "weights" not in manifest["files"]


@cache
def make_model_folder():
    with tempfile.TemporaryDirectory() as place:
        tokenizer = make_tokenizer()
        tokenizer.save_pretrained(place)
        make_config(tagger=asdict(TaggerSettings())).save_pretrained(place)
        return Case(
            {path.name: json.loads(path.read_bytes()) for path in Path(place).iterdir()}, tokenizer("ab").input_ids
        )


def read_model_folder(folder, draw, expected):
    model = ModelArguments(model_name_or_path=str(folder))
    config = load_config(model)
    read_settings(config)
    tokenizer = load_tokenizer(model)
    assert expected is None or tokenizer("ab").input_ids == expected


def read_state(folder, draw, expected):
    output = OutputFile(folder / "a.jsonl", resume=True, settings={"model": "a"})
    output.file.close()
    assert expected in (None, output.items)
    assert output.items >= 0


TARGETS = {
    "column files": Target(make_columns(), read_column_file),
    "CoNLL-U and CoNLL-2012": Target(make_layouts(), read_layout),
    "predictions to score": Target(make_predictions(), read_predictions),
    "rows of words": Target(make_word_rows(), read_word_rows),
    "rows of spans": Target(make_span_rows(), read_span_rows),
    "tables": Target(make_tables(), read_word_rows),
    "brat": Target(make_brat(), read_brat_folder),
    "Parquet": Target(make_parquet(), read_layout),
    "files to tag": Target(make_untagged(), read_untagged),
    "raw text": Target(TEXTS.map(lambda text: Case({"a.txt": text})), read_raw_text),
    "text for pretraining": Target(make_articles(), read_text_file),
    "text for pretraining, by datasets": Target(make_articles(), read_all_articles),
    "configurations": Target(st.just(Case({"a.yaml": CONFIGURATION}, 3)), read_configuration),
    "run folders": Target(st.builds(make_run_folder).map(lambda files: Case(files, True)), read_run_folder),
    "checkpoints": Target(st.builds(make_checkpoint), read_checkpoint),
    "reports": Target(st.builds(make_reports), read_reports),
    "model folders": Target(st.builds(make_model_folder), read_model_folder),
    "state of an interrupted output": Target(
        st.just(
            Case({"a.jsonl.state": {"items": 2, "bytes": 3, "settings": {"model": "a"}}, "a.jsonl.partial": "abc"}, 2)
        ),
        read_state,
    ),
}


class TooSlow(BaseException):
    """A file took too long; no reader can take this for an error of its own."""


@pytest.fixture(scope="module")
def tally():
    """What became of the files of each reader; at the end of a full run, it replaces what was written for them."""
    rows, commit = {}, find_commit()
    yield rows
    if FULL:
        done = json.loads(RESULT.read_text())["readers"] if RESULT.exists() else {}
        done |= {name: row | {"commit": commit} for name, row in rows.items()}
        done = {name: done[name] for name in TARGETS if name in done}
        facts = {"date": datetime.date.today().isoformat(), "commit": commit, "hardware": describe_hardware(0)}
        facts |= {key: sum(row[key] for row in done.values()) for key in ("inputs", "read", "refused", "faults")}
        RESULT.write_text(json.dumps({**facts, "readers": done}, indent=2) + "\n")


@pytest.fixture
def quick(monkeypatch, place):
    """Spares what costs time and reads no file; limits the time of each file."""
    monkeypatch.setattr(arguments_module, "_Parser", cache(arguments_module._Parser))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", place / "cache")

    def end(*_):
        raise TooSlow

    previous = signal.signal(signal.SIGALRM, end)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, previous)


def write_files(folder, files):
    shutil.rmtree(folder, ignore_errors=True)
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def read_or_refuse(target, folder, draw, expected):
    """Whether the files are read; they are refused if the reader raises its error, of one line that names one."""
    line = None
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        target.read(folder, draw, expected)
    except RecipeError as error:
        line = str(error)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    if line is not None:
        names = [str(folder), *(path.name for path in folder.rglob("*"))]
        assert len(line.splitlines()) == 1, line
        assert any(name in line for name in names), line
        assert expected is None, line
    return line is None


def count_megabytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


@pytest.fixture
def place():
    """A folder in memory, where there is one: most of the time would go to the disk."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as place:
        yield Path(place)


@pytest.mark.parametrize("name", TARGETS)
def test_any_file_is_read_rightly_or_refused_in_one_line(name, place, tally, quick):
    target, folder = TARGETS[name], place / "files"
    row = tally[name] = {"inputs": 0, "read": 0, "refused": 0, "faults": 0}
    before, started = count_megabytes(), time.perf_counter()

    @settings(max_examples=max(1, EXAMPLES // VARIANTS), **OPTIONS)
    @given(target.cases, st.integers(0, 2**32))
    def run(case, seed):
        draw = random.Random(seed)
        for variant in range(VARIANTS):
            files = {file: render(file, content, draw) for file, content in case.files.items()}
            if variant:
                spoilt = draw.choice(list(files))
                files[spoilt] = spoil_file(spoilt, case.files[spoilt], draw)
            write_files(folder, files)
            row["inputs"] += 1
            try:
                read = read_or_refuse(target, folder, draw, None if variant else case.expected)
            except BaseException as error:
                row["faults"] += 1
                error.add_note(f"the files: {files}")
                raise
            row["read" if read else "refused"] += 1

    try:
        run()
    finally:
        row["seconds"] = round(time.perf_counter() - started)
    assert count_megabytes() - before < MEGABYTES
    assert row["read"]
    assert row["refused"] or name == "raw text"

"""The teachers of a run: each is asked once for the soft labels of all documents, part by part.

The first process asks, the others wait. Finished parts are kept in files, so that a pass that was interrupted goes on
where it was, and other runs with the same teachers and documents find them.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import distributed

from recipe.data.documents import Document, list_sentences
from recipe.data.words import list_texts, read_words
from recipe.errors import RecipeError
from recipe.inference.soft_labels import (
    SoftLabels,
    Teacher,
    average,
    check_teacher,
    join,
    name_file,
    read_soft_labels,
    write_soft_labels,
)
from recipe.inference.tagger import Tagger
from recipe.inference.texts import fill_buffers
from recipe.model.configuration import is_tagger, load_config, read_labels
from recipe.model.settings import ModelArguments
from recipe.training.distillation import Distillation
from recipe.training.settings import DistillationArguments, TrainingArguments

SOFT_LABELS = "teacher"  # folder of the soft labels, in the output folder
REPORT_SECONDS = 60  # between two lines about a teacher's progress


def prepare_distillation(
    arguments: DistillationArguments,
    model_args: ModelArguments,
    training_args: TrainingArguments,
    student: Tagger,
    train: Sequence[Document] | None,
    encoding: str,
) -> Distillation | None:
    """The documents and soft labels that a student learns from; None if the run has no teacher or does not train.

    student: the tagger of the run. train: its training split. encoding: that of the unlabelled text.
    Raises RecipeError if a teacher cannot be loaded or has other labels, or if the text cannot be read.
    """
    if not arguments.teacher and arguments.unlabelled_file:
        raise RecipeError("unlabelled_file: needs a teacher that predicts its labels: set teacher, or remove it")
    if not arguments.teacher or train is None:
        return None
    known = {"cache_dir": model_args.cache_dir, "trust_remote_code": model_args.trust_remote_code}
    for name in arguments.teacher:
        config = load_config(ModelArguments(model_name_or_path=name, **known))
        if not is_tagger(config):
            heads = " ".join(config.architectures or (config.model_type,))
            raise RecipeError(f"teacher {name}: is a {heads}, without a head for entities: set a finished tagger")
        check_teacher(name, read_labels(config), student.labels)
        if Path(name).is_dir() and training_args.folder.samefile(name):
            raise RecipeError(f"teacher {name}: is the output folder, where the student would replace it: set another")
    unlabelled = _read_unlabelled(arguments, encoding, student.settings.word_splitter)
    parts = [*fill_buffers(train), *fill_buffers(unlabelled)]

    def load(name: str) -> Teacher:
        precision = "fp32" if training_args.mixed_precision == "no" else training_args.mixed_precision
        with torch.random.fork_rng(devices=[]):  # the student starts from the same weights as without a teacher
            tagger = Tagger.load(name, precision, str(training_args.device), **known)
        return Teacher(name, tagger, student.labels, constrained=arguments.distil_targets == "posteriors")

    cache = Path(arguments.teacher_cache or training_args.folder / SOFT_LABELS)
    answers = [_ask(name, load, parts, len(student.labels), cache, training_args) for name in arguments.teacher]
    soft = join([average(given, len(student.labels)) for given in zip(*answers, strict=True)])
    weight, temperature = arguments.distil_weight, arguments.distil_temperature
    return Distillation(student.labels, train, unlabelled, soft, weight, temperature)


def describe_distillation(arguments: DistillationArguments, distillation: Distillation) -> dict:
    """The facts of a distillation, for the record of a run: teachers without local paths, settings, and words."""
    teachers = [Path(name).resolve().name if Path(name).is_dir() else name for name in arguments.teacher or []]
    return {
        "teachers": teachers,
        "weight": arguments.distil_weight,
        "temperature": arguments.distil_temperature,
        "targets": arguments.distil_targets,
        "unlabelled_words": distillation.unlabelled_words,
    }


def _read_unlabelled(arguments: DistillationArguments, encoding: str, splitter: str) -> list[Document]:
    """The documents of the unlabelled text, with words that are split as those of the training split are."""
    if not arguments.unlabelled_file:
        return []
    files = list_texts("unlabelled_file", arguments.unlabelled_file)
    documents = list(read_words(files, arguments.unlabelled_every, encoding, splitter))
    if not documents:
        raise RecipeError(f"unlabelled_file: {' '.join(arguments.unlabelled_file)}: no words: check the content")
    return documents


def _ask(
    name: str,
    load: Callable[[str], Teacher],
    parts: Sequence[Sequence[Document]],
    labels: int,
    cache: Path,
    training_args: TrainingArguments,
) -> list[SoftLabels]:
    """The soft labels of each part of the documents by one teacher, which the first process asks for new parts."""
    several = training_args.world_size > 1
    teacher = load(name) if training_args.process_index == 0 else None
    started = said = time.perf_counter()
    words, done, scored = sum(map(_count_words, parts)), 0, 0
    if teacher:
        print(f"teacher {name}: {words:,} words", flush=True)
    shared = [teacher.digest if teacher else ""]
    if several:
        distributed.broadcast_object_list(shared)
    answers = []
    for part in parts:
        path = cache / name_file(shared[0], part)
        if teacher and read_soft_labels(path, part, labels) is None:
            write_soft_labels(path, teacher.score(part))
            scored += _count_words(part)
        done += _count_words(part)
        if teacher and time.perf_counter() - said > REPORT_SECONDS:
            said = time.perf_counter()
            print(f"teacher {name}: {done:,} of {words:,} words", flush=True)
        if several:
            distributed.barrier()  # after each part, so that no process waits for longer than ddp_timeout
        soft = read_soft_labels(path, part, labels)
        if soft is None:
            raise RecipeError(f"teacher_cache {cache}: not shared by all machines: set a folder on shared storage")
        answers.append(soft)
    if teacher:
        seconds = time.perf_counter() - started
        others = f"; {words - scored:,} were in {cache}" if scored < words else ""
        print(f"teacher {name}: scored {scored:,} words in {seconds:.0f} s{others}", flush=True)
    return answers


def _count_words(documents: Sequence[Document]) -> int:
    return sum(len(sentence.words) for sentence in list_sentences(documents))

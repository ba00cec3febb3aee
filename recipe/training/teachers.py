"""The teachers of a run: each is asked once for the soft labels of all documents, part by part.

The first process asks, the others wait. Finished parts are kept in files, so that a pass that was interrupted goes on
where it was, and other runs with the same teachers and documents find them.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile

import torch

from recipe.data.documents import Document, list_sentences
from recipe.data.words import list_texts, read_words
from recipe.errors import RecipeError
from recipe.inference.exports import refuse_export
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
from recipe.training.processes import Result, let_first
from recipe.training.settings import DistillationArguments, TrainingArguments

NEEDED = {"distil_weight": "teacher", "distil_temperature": "teacher", "distil_targets": "teacher"}
NEEDED |= {"unlabelled_file": "teacher", "teacher_cache": "teacher", "unlabelled_every": "unlabelled_file"}
SOFT_LABELS = "teacher"  # folder of the soft labels, in the output folder
REPORT_SECONDS = 60  # between two lines about a teacher's progress


def check_teachers(arguments: DistillationArguments, model_args: ModelArguments, folder: Path) -> None:
    """Raise RecipeError if a teacher is no finished tagger, or is in the output folder `folder`.

    Also for settings that have no effect without a teacher, or without unlabelled text.
    """
    for name, needed in NEEDED.items():
        if getattr(arguments, name) != getattr(DistillationArguments, name) and not getattr(arguments, needed):
            raise RecipeError(f"{name}: has no effect without {needed}: set {needed}, or remove it")
    for name in arguments.teacher or ():
        if not name.strip():
            raise RecipeError("teacher: is empty: set the folder or Hub id of a finished tagger")
        config = load_config(_name(name, model_args))
        refuse_export(config, f"teacher {name}")
        if not is_tagger(config):
            heads = " ".join(config.architectures or (config.model_type,))
            raise RecipeError(f"teacher {name}: is a {heads}, without a head for entities: set a finished tagger")
        if Path(name).is_dir() and Path(name).resolve().is_relative_to(folder.resolve()):
            raise RecipeError(f"teacher {name}: is in the output folder, which the student is written to: set another")


class Teachers:
    """The teachers of a run and its unlabelled text, all of them loaded, so that what is missing costs no time.

    labels, splitter: those of the student; the splitter finds the words of the unlabelled text.
    encoding: of the unlabelled text.
    Raises RecipeError if a teacher cannot be loaded or has other labels, if the text cannot be read, and if the cache
    cannot be written.
    """

    def __init__(
        self,
        arguments: DistillationArguments,
        model_args: ModelArguments,
        training_args: TrainingArguments,
        labels: Sequence[str],
        splitter: str,
        encoding: str,
    ):
        self._arguments, self._training_args, self._labels = arguments, training_args, labels
        self._cache = Path(arguments.teacher_cache or training_args.folder / SOFT_LABELS).expanduser()
        self.unlabelled = _read_unlabelled(arguments, encoding, splitter)
        self._teachers: list[Teacher] = []  # in the first process
        constrained = arguments.distil_targets == "posteriors"
        precision = "fp32" if training_args.mixed_precision == "no" else training_args.mixed_precision

        def load() -> list[str]:
            for name in arguments.teacher or ():
                check_teacher(name, read_labels(load_config(_name(name, model_args))), labels)
                with torch.random.fork_rng(devices=[]):  # the student starts from the same weights as without a teacher
                    tagger = _load(name, model_args, precision, str(training_args.device))
                self._teachers.append(Teacher(name, tagger, labels, constrained))
            if arguments.teacher_cache:  # that in the output folder can be written
                _make_cache(self._cache)
            return [teacher.digest for teacher in self._teachers]

        self.digests = self._let_first(load)

    def ask(self, train: Sequence[Document]) -> Distillation:
        """The soft labels of the training split `train` and of the unlabelled text; the teachers are then given up."""
        parts = [*fill_buffers(train), *fill_buffers(self.unlabelled)]
        answers = [self._ask(name, digest, parts) for name, digest in zip(self._names, self.digests, strict=True)]
        soft = join([average(given, len(self._labels)) for given in zip(*answers, strict=True)])
        weight, temperature = self._arguments.distil_weight, self._arguments.distil_temperature
        return Distillation(self._labels, train, self.unlabelled, soft, weight, temperature)

    @property
    def _names(self) -> list[str]:
        return self._arguments.teacher or []

    def _let_first(self, make: Callable[[], Result]) -> Result:
        return let_first(make, self._training_args.world_size, self._training_args.process_index)

    def _ask(self, name: str, digest: str, parts: Sequence[Sequence[Document]]) -> list[SoftLabels]:
        """The soft labels of each part of the documents by one teacher, which the first process asks for new parts."""
        teacher = self._teachers.pop(0) if self._teachers else None
        started = said = time.perf_counter()
        words, done, scored = sum(map(_count_words, parts)), 0, 0
        if teacher:
            print(f"teacher {name}: {words:,} words", flush=True)
        answers = []
        for part in parts:
            path = self._cache / name_file(digest, part)

            def score(part=part, path=path) -> int:
                assert teacher is not None  # in the first process
                if read_soft_labels(path, part, len(self._labels)) is not None:
                    return 0
                write_soft_labels(path, teacher.score(part))
                return _count_words(part)

            scored += self._let_first(score)  # after each part, so that no process waits for longer than ddp_timeout
            done += _count_words(part)
            if teacher and time.perf_counter() - said > REPORT_SECONDS:
                said = time.perf_counter()
                print(f"teacher {name}: {done:,} of {words:,} words", flush=True)
            soft = read_soft_labels(path, part, len(self._labels))
            if soft is None:
                raise RecipeError(f"teacher_cache {self._cache}: not shared by all machines: set a folder that is")
            answers.append(soft)
        if teacher:
            seconds = time.perf_counter() - started
            others = f"; {words - scored:,} were in {self._cache}" if scored < words else ""
            print(f"teacher {name}: scored {scored:,} words in {seconds:.0f} s{others}", flush=True)
        return answers


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


def _name(teacher: str, model_args: ModelArguments) -> ModelArguments:
    """What loads a teacher: its name, and what the student's own loading says about the Hub."""
    return ModelArguments(
        model_name_or_path=teacher, cache_dir=model_args.cache_dir, trust_remote_code=model_args.trust_remote_code
    )


def _load(teacher: str, model_args: ModelArguments, precision: str, device: str) -> Tagger:
    """Load a teacher. Raises RecipeError as `Tagger.open` does, with the teacher's name."""
    try:
        return Tagger.open(_name(teacher, model_args), precision, device)
    except RecipeError as error:
        raise RecipeError(f"teacher {teacher}: {str(error).removeprefix(f'{teacher}: ')}") from None


def _make_cache(cache: Path) -> None:
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=cache):
            pass
    except OSError as error:
        raise RecipeError(f"teacher_cache {cache}: {error.strerror}: set a folder that you can write to") from None


def _count_words(documents: Sequence[Document]) -> int:
    return sum(len(sentence.words) for sentence in list_sentences(documents))

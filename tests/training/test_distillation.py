"""A student learns what its teachers predict: the loss, words of two tokenizers, runs that are cut short or split."""

import json
import math
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertForTokenClassification, DataCollatorForTokenClassification

import run_ner
from conftest import ROOT, fingerprint, make_config, make_tagger_folder, make_tokenizer
from recipe.data.documents import Document, Sentence, list_tags
from recipe.data.words import read_words
from recipe.errors import RecipeError
from recipe.inference.soft_labels import Teacher, keep_best
from recipe.inference.tagger import Tagger
from recipe.inputs.case_markers import add_case_markers
from recipe.inputs.tokens import IGNORED
from recipe.training.distillation import Distillation
from recipe.training.loss import token_mean_loss
from recipe.training.resumption import ResumableTrainer
from recipe.training.settings import TrainingArguments
from recipe.training.trainer import RecipeTrainer

LABELS = ["O", "B-X", "I-X"]


def make_document(*sentences, tag="O"):
    return Document([Sentence(words.split(), [tag] * len(words.split())) for words in sentences])


def make_distillation(probabilities, train=(), unlabelled=(), weight=0.3, temperature=2.0):
    return Distillation(LABELS, train, unlabelled, keep_best(np.array(probabilities)), weight, temperature)


def test_the_loss_by_hand():
    """Row 1 and 2 are words with the gold tags B-X and O, row 3 is an unlabelled word, row 0 a case marker."""
    taught = [[0.2, 0.7, 0.1], [0.5, 0.25, 0.25], [0.0, 0.6, 0.4]]
    train = [Document([Sentence(["a", "b"], ["B-X", "O"])])]
    distillation = make_distillation(taught, train, [make_document("c")])
    logits = torch.randn(2, 3, 3, generator=torch.Generator().manual_seed(0)).double()
    rows = torch.tensor([[0, 1, IGNORED], [3, IGNORED, 2]])
    total = 0.0
    for at, row, gold in [((0, 0), 0, 0), ((0, 1), 1, 1), ((1, 0), 3, None), ((1, 2), 2, 0)]:
        wanted = [0.999, 0.0005, 0.0005] if row == 0 else taught[row - 1]
        soft = [p**0.5 / sum(q**0.5 for q in wanted) for p in wanted]
        raw = [float(logit) for logit in logits[at]]
        found = [math.exp(z / 2) / sum(math.exp(y / 2) for y in raw) for z in raw]
        distance = sum(p * math.log(p / q) for p, q in zip(soft, found, strict=True) if p)
        total += 0.3 * 4 * distance
        if gold is not None:
            total += 0.7 * (math.log(sum(math.exp(z) for z in raw)) - raw[gold])
    for count, given in ((4, None), (10, torch.tensor(10))):
        loss = distillation.compute_loss({"logits": logits.float()}, rows, given)
        assert loss.item() == pytest.approx(total / count, rel=1e-3)  # soft labels are kept in float16


def test_without_weight_the_loss_is_that_of_the_tags():
    train = [Document([Sentence(["a", "b"], ["B-X", "I-X"])])]
    distillation = make_distillation([[0.2, 0.7, 0.1], [0.5, 0.25, 0.25]], train, weight=0.0)
    logits, options = torch.randn(1, 3, 3), {"label_smoothing": 0.1, "class_weights": [1.0, 2.0, 0.5]}

    def exact(*args, **more):
        return token_mean_loss(*args, **more, **options)

    found = distillation.compute_loss({"logits": logits}, torch.tensor([[1, 2, 0]]), exact_loss=exact)
    assert found.item() == pytest.approx(exact({"logits": logits}, torch.tensor([[1, 2, 0]])).item())


def test_a_student_that_agrees_has_no_distance_and_no_gradient():
    probabilities = [[0.2, 0.7, 0.1], [0.5, 0.25, 0.25]]
    distillation = make_distillation(probabilities, unlabelled=[make_document("a b")], weight=1.0)
    logits = torch.tensor([probabilities]).log().requires_grad_()
    loss = distillation.compute_loss({"logits": logits}, torch.tensor([[1, 2]]))
    loss.backward()
    assert abs(loss.item()) < 1e-5
    assert logits.grad.abs().max() < 1e-3


def test_a_batch_without_words_costs_nothing():
    distillation = make_distillation([[1.0, 0.0, 0.0]], unlabelled=[make_document("a")])
    logits = torch.zeros(1, 2, 3, requires_grad=True)
    loss = distillation.compute_loss({"logits": logits}, torch.full((1, 2), IGNORED), torch.tensor(0))
    loss.backward()
    assert loss.item() == 0.0
    assert not logits.grad.isnan().any()


def test_words_of_two_tokenizers_are_aligned(tmp_path):
    """The teacher cuts words into letters, the student knows some whole, and has a token for each capital."""
    documents = [make_document("Abba be cafe", "Dada e"), make_document("fee Gabe abba dada")]
    letters = Tagger.load(make_tagger_folder(tmp_path, LABELS), "fp32", "cpu")
    taught = letters.weigh_labels(documents, constrained=False)
    assert len({tuple(row) for row in taught.round(6).tolist()}) == len(taught) == 9
    whole = add_case_markers(make_tokenizer(words=["abba", "dada", "cafe", "[unused1]", "[unused2]"]))
    student = Tagger(LABELS, whole, max_seq_length=8, context="document")
    distillation = make_distillation(taught, documents[:1], documents[1:])
    windows = distillation.number_words(student.windows(distillation.documents, training=True))
    assert len(windows) > 2
    assert len(windows[0]["input_ids"]) < len(letters.windows(documents, training=True)[0]["input_ids"])
    words = [word for document in documents for sentence in document.sentences for word in sentence.words]
    seen, markers = [], 0
    for window in windows:
        for at, row in enumerate(window["labels"]):
            if row == 0:
                assert whole.convert_ids_to_tokens(window["input_ids"][at]) == "[unused1]"
                markers += 1
            elif row != IGNORED:
                piece = whole.convert_ids_to_tokens(window["input_ids"][at])
                assert words[row - 1].lower().startswith(piece)
                _, ids, logs = distillation._look_up(torch.tensor([row]))
                found = torch.zeros(3).scatter(0, ids[0], logs[0].float().exp())
                np.testing.assert_allclose(found, taught[row - 1], atol=1e-3)
                seen.append(row)
    assert sorted(seen) == list(range(1, 10))
    assert markers == 3


def test_rows_of_the_training_split_keep_its_tags(tokenizer):
    documents = [Document([Sentence(["a", "bc"], ["B-X", "I-X"]), Sentence(["d"], ["O"])])]
    tagger = Tagger(LABELS, tokenizer, max_seq_length=64)
    distillation = make_distillation([[1, 0, 0]] * 5, documents, [make_document("e f")])
    plain = tagger.windows(documents, training=True)
    rows = torch.tensor([row for window in distillation.number_words(plain) for row in window["labels"]])
    gold, _, _ = distillation._look_up(rows.clamp(min=0))
    expected = [label for window in plain for label in window["labels"]]
    assert gold.where(rows != IGNORED, IGNORED).tolist() == expected
    assert list_tags(distillation.documents) == [["B-X", "I-X"], ["O"], ["O", "O"]]
    assert distillation._look_up(torch.tensor([4, 5]))[0].tolist() == [IGNORED, IGNORED]


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """A tagger whose labels have another order than the student's."""
    return make_tagger_folder(tmp_path_factory.mktemp("teacher"), ["I-X", "O", "B-X"], seed=1)


@pytest.fixture(scope="module")
def text_file(tmp_path_factory):
    """20 articles of two lines, with letters that the training split has too."""
    draw = random.Random(1)
    words = [draw.choice("abcdefg") * draw.randint(1, 3) for _ in range(300)]
    lines = [" ".join(draw.choices(words, k=draw.randint(2, 9))) for _ in range(40)]
    path = tmp_path_factory.mktemp("unlabelled") / "text.txt"
    path.write_text("\n\n".join("\n".join(lines[at : at + 2]) for at in range(0, 40, 2)))
    return str(path)


@pytest.fixture
def flags(encoder, uneven_file, text_file, teacher):
    """The command line of a distillation into a folder, with further settings."""
    torch.set_num_threads(1)

    def flags(folder, **more):
        settings = {
            "model_name_or_path": encoder,
            "train_file": uneven_file,
            "unlabelled_file": text_file,
            "teacher": teacher,
            "distil_temperature": 2,
            "output_dir": folder,
            "per_device_train_batch_size": 8,
            "max_seq_length": 64,
            "context": "none",
            "do_train": True,
            "max_steps": 5,
            "logging_steps": 1,
            "learning_rate": 1e-3,
            "save_strategy": "no",
            "precision": "fp32",
            "disable_tqdm": True,
        } | more
        return [f"--{key}={value}" for key, value in settings.items() if value is not None]

    return flags


def read_curve(folder):
    history = json.loads((folder / "trainer_state.json").read_text())["log_history"]
    return [(entry["loss"], entry["grad_norm"]) for entry in history if "grad_norm" in entry]


@pytest.fixture(scope="module")
def reference_curve(request):
    """The curve of a run whose batches are padded, in one process without accumulation."""
    known = []

    def reference_curve(flags, folder):
        if not known:
            run_ner.main(flags(folder, pack_batches=False))
            known.append(read_curve(folder))
        return known[0]

    return reference_curve


@pytest.mark.parametrize("accumulation", [1, 4])
def test_neither_packing_nor_accumulation_changes_the_loss(flags, reference_curve, tmp_path, accumulation):
    expected = reference_curve(flags, tmp_path / "reference")
    batch = {"per_device_train_batch_size": 8 // accumulation, "gradient_accumulation_steps": accumulation}
    run_ner.main(flags(tmp_path / "run", **batch))
    found = read_curve(tmp_path / "run")
    assert len(found) == 5
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def launch_two(words):
    command = [sys.executable, "-m", "accelerate.commands.launch"]
    command += ["--config_file", "configs/accelerate/multi_cpu.yaml", "--main_process_port", "0", "run_ner.py"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run([*command, *words], cwd=ROOT, env=environment, capture_output=True, text=True)


def test_two_processes_change_neither_loss_nor_gradient(flags, reference_curve, tmp_path):
    run = launch_two(flags(tmp_path / "run", per_device_train_batch_size=4))
    assert run.returncode == 0, run.stderr
    assert run.stdout.count(": scored ") == 1
    np.testing.assert_allclose(read_curve(tmp_path / "run"), reference_curve(flags, tmp_path / "one"), rtol=1e-4)


def test_of_two_processes_only_the_one_that_asks_the_teacher_says_what_is_wrong(flags, tmp_path):
    broken = make_tagger_folder(tmp_path / "broken", LABELS)
    spoil(tmp_path / "broken", {"classifier.weight": torch.full((3, 32), math.nan)})
    run = launch_two(flags(tmp_path / "run", teacher=broken))
    errors = [line for line in run.stderr.splitlines() if line.startswith("error: ")]
    assert [line.partition(": the model")[0] for line in errors] == [f"error: teacher {broken}"]


class Killed(BaseException):
    """Stands for SIGKILL: nothing of the recipe catches it."""


RUNS = {
    "sentences": {},
    "mixed-bf16": {"context": "mixed", "precision": "bf16", "per_device_train_batch_size": 2, "distil_weight": 1},
}


@pytest.mark.parametrize("name", RUNS)
def test_a_killed_run_ends_with_the_weights_of_an_uninterrupted_one(flags, tmp_path, monkeypatch, name):
    more = RUNS[name] | {"max_steps": 9, "save_strategy": "steps", "save_steps": 2}
    more |= {"config_overrides": "hidden_dropout_prob=0.1", "teacher_cache": tmp_path / "cache"}
    run_ner.main(flags(tmp_path / "whole", **more))  # scores the words, which the other run finds
    training_step = ResumableTrainer.training_step

    def step_or_die(self, *args, **options):
        if self.state.global_step == 5:
            monkeypatch.setattr(ResumableTrainer, "training_step", training_step)
            raise Killed
        return training_step(self, *args, **options)

    monkeypatch.setattr(ResumableTrainer, "training_step", step_or_die)
    with pytest.raises(Killed):
        run_ner.main(flags(tmp_path / "killed", **more))
    run_ner.main(flags(tmp_path / "killed", **more))
    assert fingerprint(tmp_path / "killed") == fingerprint(tmp_path / "whole")


@pytest.mark.parametrize("changed", ["teachers", "unlabelled documents"])
def test_a_run_is_not_continued_with_what_teaches_something_else(flags, tmp_path, text_file, changed):
    file, more = tmp_path / "text.txt", {"max_steps": 3, "save_strategy": "steps", "save_steps": 2}
    file.write_text(Path(text_file).read_text())
    teacher = make_tagger_folder(tmp_path / "own", LABELS, seed=3)
    words = flags(tmp_path / "run", **more, teacher=teacher, unlabelled_file=file)
    run_ner.main(words)
    if changed == "teachers":
        make_tagger_folder(tmp_path / "own", LABELS, seed=4)
    else:
        file.write_text("abc d")
    refuse(words, f"checkpoint-3: made with other {changed}: restore what has changed, set")
    run_ner.main([*words, "--resume_from_checkpoint=last"])


@pytest.fixture
def scored(monkeypatch):
    """The number of words in each part that a teacher scores; a part of the number `dies_at` ends the run."""
    parts, score = [], Teacher.score

    def note(self, documents):
        soft = score(self, documents)
        parts.append(len(soft.ids))
        if len(parts) == parts_to_die[0]:
            raise Killed
        return soft

    parts_to_die = [0]
    parts_and_death = (parts, parts_to_die)
    monkeypatch.setattr(Teacher, "score", note)
    return parts_and_death


def test_soft_labels_are_found_again_unless_weights_or_text_change(flags, tmp_path, scored, text_file, teacher):
    parts, _ = scored
    more = {"teacher_cache": tmp_path / "cache", "max_steps": 1}
    run_ner.main(flags(tmp_path / "1", **more))
    train, text = parts
    assert text == sum(len(s.words) for document in read_words([text_file]) for s in document.sentences)
    run_ner.main(flags(tmp_path / "2", **more, seed=7))
    assert parts == [train, text]
    other = tmp_path / "other.txt"
    other.write_text("ab a")
    run_ner.main(flags(tmp_path / "3", **more, unlabelled_file=other))
    assert parts == [train, text, 2]  # the training split is known
    run_ner.main(flags(tmp_path / "4", **more, unlabelled_file=other, unlabelled_every=2))
    assert parts == [train, text, 2]
    new = make_tagger_folder(tmp_path / "new", LABELS, seed=2)
    run_ner.main(flags(tmp_path / "5", **more, teacher=new, unlabelled_file=other))
    assert parts == [train, text, 2, train, 2]
    [damaged, *_] = sorted((tmp_path / "cache").iterdir())
    damaged.write_bytes(damaged.read_bytes()[:50])
    for folder, one in (("6", new), ("7", teacher)):
        run_ner.main(flags(tmp_path / folder, **more, teacher=one))
    assert fingerprint(tmp_path / "7") == fingerprint(tmp_path / "1")


def test_a_pass_that_was_interrupted_goes_on_with_the_next_part(flags, tmp_path, scored, monkeypatch):
    parts, dies_at = scored
    monkeypatch.setattr("recipe.inference.texts.BUFFER_CHARACTERS", 200)
    more = {"teacher_cache": tmp_path / "cache", "max_steps": 1}
    run_ner.main(flags(tmp_path / "whole", **more | {"teacher_cache": None}))
    whole = list(parts)
    assert len(whole) > 4
    assert len(list((tmp_path / "whole" / "teacher").iterdir())) == len(whole)
    parts.clear()
    dies_at[0] = 3
    with pytest.raises(Killed):
        run_ner.main(flags(tmp_path / "run", **more))
    assert len(list((tmp_path / "cache").iterdir())) == 2
    run_ner.main(flags(tmp_path / "run", **more))
    assert parts == [*whole[:3], *whole[2:]]  # the third was not kept
    assert fingerprint(tmp_path / "run") == fingerprint(tmp_path / "whole")


def test_a_student_of_unlabelled_text_becomes_like_its_teacher(tmp_path, text_file):
    """Nothing but what the teacher says of the text: no tag is seen."""
    teacher = Tagger.load(make_tagger_folder(tmp_path / "teacher", LABELS, settings={"context": "none"}), "fp32", "cpu")
    documents = list(read_words([text_file]))
    taught = teacher.weigh_labels(documents, constrained=False)
    distillation = make_distillation(taught, unlabelled=documents, weight=1.0, temperature=1.0)
    student = Tagger(LABELS, make_tokenizer(), max_seq_length=64, context="none", constrained_decoding=False)
    args = TrainingArguments(
        output_dir=str(tmp_path / "student"),
        num_train_epochs=60,
        learning_rate=3e-3,
        per_device_train_batch_size=8,
        logging_steps=5,
        save_strategy="no",
        precision="fp32",
        disable_tqdm=True,
    )
    torch.manual_seed(5)
    model = BertForTokenClassification(make_config(num_labels=3, num_hidden_layers=1))
    trainer = RecipeTrainer(
        args=args,
        model=model,
        distillation=distillation,
        train_dataset=distillation.number_words(student.windows(documents, training=True)),
        data_collator=DataCollatorForTokenClassification(student.tokenizer),
    )
    windows = student.windows(documents)
    predicted = taught.argmax(1)
    assert np.bincount(predicted, minlength=3).min() > 10  # the teacher uses all labels

    def measure_agreement():
        logits, _ = student._collect(documents, windows, trainer.predict_logits(windows))
        return (logits.argmax(1) == predicted).mean()

    assert measure_agreement() < 0.7
    trainer.train()
    losses = [loss for loss, _ in read_curve_of(trainer)]
    assert losses[-1] < 0.1 * losses[0]
    assert measure_agreement() > 0.97


def read_curve_of(trainer):
    return [(entry["loss"], entry["grad_norm"]) for entry in trainer.state.log_history if "grad_norm" in entry]


def test_the_record_and_the_card_name_teachers_and_words(flags, tmp_path, teacher, text_file):
    second = make_tagger_folder(tmp_path / "second", LABELS, seed=4)
    words = flags(tmp_path / "run", teacher=None, unlabelled_every=4, distil_weight=0.25, distil_targets="posteriors")
    run_ner.main([*words, "--teacher", teacher, second])
    report = (tmp_path / "run" / "run.yaml").read_text()
    count = sum(len(s.words) for document in read_words([text_file], every=4) for s in document.sentences)
    assert f"unlabelled_words: {count}" in report
    card = (tmp_path / "run" / "README.md").read_text()
    assert (
        f"| teachers | {os.path.basename(teacher)}, second; weight 0.25, temperature 2.0, targets: posteriors |" in card
    )
    assert f"| unlabelled words | {count} |" in card
    assert str(tmp_path) not in card


def refuse(words, message):
    with pytest.raises(RecipeError, match=message) as error:
        run_ner.main(words)
    assert len(str(error.value).splitlines()) == 1


def test_what_cannot_teach_is_refused(flags, tmp_path, encoder):
    other = make_tagger_folder(tmp_path / "other", ["O", "B-Y", "I-Y"])
    message = r"^teacher .*other: predicts the labels O B-Y I-Y, but the student O B-X I-X: set a teacher that was"
    refuse(flags(tmp_path / "run", teacher=other), message)
    refuse(flags(tmp_path / "run", teacher=tmp_path / "none"), "none: no such folder")
    refuse(flags(tmp_path / "run", teacher=" "), "^teacher: is empty: set the folder")
    masked = make_tagger_folder(tmp_path / "masked", LABELS)
    file = tmp_path / "masked" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"architectures": ["BertForMaskedLM"]}))
    refuse(flags(tmp_path / "run", teacher=masked), "masked: is a BertForMaskedLM, without a head for entities: set a")
    export = make_tagger_folder(tmp_path / "export", LABELS)
    file = tmp_path / "export" / "config.json"
    record = {"backend": "torch", "precision": "bf16"}
    file.write_text(json.dumps(json.loads(file.read_text()) | {"export": record}))
    refuse(flags(tmp_path / "run", teacher=export), "^teacher .*export: is an export: give the model that it was made")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("place", ["", "teacher", "link"])
def test_a_teacher_in_the_output_folder_is_refused_before_a_restart_moves_it(flags, tmp_path, place):
    run_ner.main(flags(tmp_path / "run", teacher_cache=tmp_path / "cache"))
    own = make_tagger_folder(tmp_path / "run" / "teacher", LABELS) if place == "teacher" else tmp_path / "run"
    if place == "link":
        own = tmp_path / "link"
        own.symlink_to(tmp_path / "run")
    held = sorted(tmp_path.rglob("*"))
    refuse(
        flags(tmp_path / "run", teacher=own, restart=True), "^teacher .*: is in the output folder, which the student"
    )
    refuse(flags(tmp_path / "run", teacher=tmp_path / "none", restart=True), "none: no such folder")
    assert sorted(tmp_path.rglob("*")) == held


def spoil(folder, weights):
    """Replace some weights of a tagger; None removes one."""
    file = folder / "model.safetensors"
    left = {name: weight for name, weight in (load_file(file) | weights).items() if weight is not None}
    save_file(left, file, {"format": "pt"})
    return str(folder)


def test_a_teacher_without_trained_weights_is_refused_before_another_is_asked(flags, tmp_path, teacher, scored):
    beheaded, broken = (make_tagger_folder(tmp_path / name, LABELS, seed=3) for name in ("beheaded", "broken"))
    spoil(tmp_path / "beheaded", {"classifier.weight": None})
    (tmp_path / "broken" / "model.safetensors").write_bytes(b"")
    for other, message in ((beheaded, "^teacher .*beheaded: has no weights for its head"), (broken, "broken: ")):
        refuse([*flags(tmp_path / "run", teacher=None), "--teacher", teacher, other], message)
    assert scored[0] == []
    spoil(
        tmp_path / "beheaded", {"classifier.weight": torch.full((3, 32), math.nan), "classifier.bias": torch.zeros(3)}
    )
    message = "^teacher .*beheaded: the model predicts NaN or infinity: restore its weights, or set precision to fp32"
    refuse(flags(tmp_path / "run", teacher=beheaded), message)


def test_a_cache_that_cannot_be_written_is_refused_before_a_teacher_is_asked(flags, tmp_path, scored):
    (tmp_path / "file").write_text("")
    for cache in (tmp_path / "file", tmp_path / "file" / "inside", "/proc/cache"):
        refuse(flags(tmp_path / "run", teacher_cache=cache), f"^teacher_cache {cache}: .*: set a folder that you can")
    assert scored[0] == []


def test_the_home_folder_can_be_part_of_the_cache(flags, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    run_ner.main(flags(tmp_path / "run", teacher_cache="~/cache", max_steps=1))
    assert len(list((tmp_path / "cache").iterdir())) == 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "unlabelled_file: has no effect without teacher: set teacher, or remove it"),
        ({"unlabelled_file": None, "distil_weight": 0.4}, "distil_weight: has no effect without teacher"),
        ({"unlabelled_file": None, "distil_targets": "posteriors"}, "distil_targets: has no effect without teacher"),
        ({"unlabelled_file": None, "teacher_cache": "x"}, "teacher_cache: has no effect without teacher"),
        ({"unlabelled_file": None, "unlabelled_every": 2}, "unlabelled_every: has no effect without unlabelled_file"),
    ],
)
def test_settings_without_effect_are_refused(flags, tmp_path, settings, message):
    words = flags(tmp_path / "run", **({"teacher": None, "distil_temperature": None} | settings))
    refuse(words, f"^{message}")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"distil_weight": 1.5}, "distil_weight: 1.5 is too large: it must be at most 1"),
        ({"distil_weight": -0.1}, "distil_weight: -0.1 is too small"),
        ({"distil_temperature": 0}, "distil_temperature: 0.0 is too small"),
        ({"unlabelled_every": 0}, "unlabelled_every: 0 is too small"),
        ({"distil_targets": "hard"}, "distil.targets: invalid choice"),
        ({"student_layers": 5}, "student_layers: 5 is more than the 2 layers"),
    ],
)
def test_settings_out_of_range_are_refused(flags, tmp_path, settings, message):
    refuse(flags(tmp_path / "run", **settings), message)


def test_unlabelled_text_that_cannot_be_used_is_refused(flags, tmp_path):
    (tmp_path / "empty.txt").write_text("\n \n")
    refuse(flags(tmp_path / "run", unlabelled_file=tmp_path / "empty.txt"), "^unlabelled_file: .*empty.txt: no words")
    refuse(flags(tmp_path / "run", unlabelled_file=tmp_path / "none.txt"), "^unlabelled_file: no file at ")
    (tmp_path / "text.json").write_text("{}")
    refuse(flags(tmp_path / "run", unlabelled_file=tmp_path / "text.json"), "text.json: not a plain text file")


def test_a_loss_of_your_own_has_no_place_for_teachers(flags, tmp_path):
    def loss(outputs, labels, num_items_in_batch=None):
        return outputs["logits"].sum()

    with pytest.raises(RecipeError, match=r"^teacher: cannot be combined with a loss of your own"):
        run_ner.main(flags(tmp_path / "run"), loss=loss)


def test_a_student_of_one_layer_is_trained_and_loads_without_the_recipe(flags, tmp_path):
    run_ner.main(flags(tmp_path, student_layers=1, max_steps=2))
    assert json.loads((tmp_path / "config.json").read_text())["num_hidden_layers"] == 1
    model, report = BertForTokenClassification.from_pretrained(tmp_path, output_loading_info=True)
    assert len(model.bert.encoder.layer) == 1
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]

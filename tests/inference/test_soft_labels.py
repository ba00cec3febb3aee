"""Soft labels are those that the tagger finds, in files that belong to its weights and to the words."""

import numpy as np
import pytest
import torch

from conftest import make_tagger_folder
from recipe.data.documents import Document, Sentence
from recipe.inference import soft_labels
from recipe.inference.decoding import compute_posteriors
from recipe.inference.soft_labels import (
    Teacher,
    average,
    keep_best,
    name_file,
    read_soft_labels,
    write_soft_labels,
)
from recipe.inference.tagger import Tagger

LABELS = ["O", "B-X", "I-X"]
WORDS = [["abc", "d", "ee"], ["f", "gg"]]


def make_documents(sentences=WORDS):
    return [Document([Sentence(list(words), ["O"] * len(words)) for words in sentences])]


def spread(soft, labels):
    """The probabilities of all labels, (words, labels)."""
    found = np.zeros((len(soft.ids), labels))
    np.put_along_axis(found, soft.ids.astype(int), np.exp(soft.logs.astype(float)), axis=1)
    return found


@pytest.fixture
def load(tmp_path):
    """Load a new tagger as a teacher of `LABELS`."""

    def load(seed=0, labels=LABELS, constrained=False, settings=None):
        folder = make_tagger_folder(tmp_path / f"{seed}-{labels[0]}-{settings}", labels, seed, settings)
        return Teacher("tutor", Tagger.load(folder, "fp32", "cpu"), LABELS, constrained)

    return load


def test_probabilities_are_kept_to_one_percent_whatever_their_size():
    draw = np.random.default_rng(0)
    logits = draw.normal(size=(50, 8)) * 6
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    soft = keep_best(probabilities)
    assert (soft.ids.dtype, soft.logs.dtype, soft.ids.shape) == (np.uint8, np.float16, (50, 8))
    assert (np.diff(soft.logs, axis=1) <= 0).all()
    assert probabilities.min() < 1e-9
    np.testing.assert_allclose(spread(soft, 8), probabilities, rtol=0.01)


def test_of_many_labels_the_most_probable_are_kept():
    probabilities = np.full((1, 300), 0.1 / 298)
    probabilities[0, [299, 7]] = 0.6, 0.3
    soft = keep_best(probabilities)
    assert soft.ids.dtype == np.uint16
    assert soft.ids.shape == (1, soft_labels.KEPT)
    assert soft.ids[0, :2].tolist() == [299, 7]


def test_the_mean_of_teachers_is_that_of_their_probabilities():
    first, second = np.array([[0.7, 0.2, 0.1]]), np.array([[0.1, 0.0, 0.9]])
    mean = average([keep_best(first), keep_best(second)], 3)
    np.testing.assert_allclose(spread(mean, 3), (first + second) / 2, rtol=1e-2)
    assert mean.ids.tolist() == [[2, 0, 1]]


@pytest.mark.parametrize("constrained", [False, True])
def test_soft_labels_are_the_probabilities_that_the_tagger_finds(load, constrained):
    """Its own temperature included; with constraints, those of the valid sequences of tags."""
    teacher = load(constrained=constrained, settings={"temperature": 1.7})
    tagger, documents = teacher._tagger, make_documents()
    windows = tagger.windows(documents)
    logits, lengths = tagger._collect(documents, windows, tagger.run(windows))
    found = spread(teacher.score(documents), 3)
    np.testing.assert_allclose(found, compute_posteriors(logits / 1.7, lengths, LABELS, constrained).words, atol=1e-3)
    assert (found[[0, 3], 2] == 0).all() == constrained  # no sentence begins with I-X
    if not constrained:
        np.testing.assert_allclose(found, torch.softmax(torch.tensor(logits) / 1.7, -1), atol=1e-3)


def test_labels_are_mapped_by_name(load):
    """Two taggers that differ only in the order of their labels."""
    other = load(labels=["I-X", "O", "B-X"])
    soft, expected = other.score(make_documents()), load().score(make_documents())
    np.testing.assert_allclose(spread(soft, 3), spread(expected, 3), rtol=1e-2)
    assert other.digest != load().digest


def test_a_file_belongs_to_weights_settings_words_and_sentences(load):
    documents = make_documents()
    names = {name_file(load().digest, documents)}
    assert names == {name_file(load().digest, make_documents())}
    names |= {name_file(load(**changes).digest, documents) for changes in ({"seed": 1}, {"constrained": True})}
    names.add(name_file(load(settings={"context": "none"}).digest, documents))
    names |= {name_file(load().digest, make_documents(words)) for words in (WORDS[::-1], [[*WORDS[0], *WORDS[1]]])}
    assert len(names) == 6


def test_a_damaged_file_is_none(tmp_path):
    documents, path = make_documents(), tmp_path / "new" / "part.npz"
    soft = keep_best(np.full((5, 3), 1 / 3))
    assert read_soft_labels(path, documents, 3) is None
    write_soft_labels(path, soft)
    assert all(map(np.array_equal, read_soft_labels(path, documents, 3), soft))
    assert read_soft_labels(path, make_documents([["five"]]), 3) is None
    whole = path.read_bytes()
    for spoilt in (whole[:100], b"", whole.replace(soft.logs.tobytes(), soft.logs.tobytes()[::-1])):
        assert spoilt != whole
        path.write_bytes(spoilt)
        assert read_soft_labels(path, documents, 3) is None


@pytest.mark.parametrize(
    "change",
    [
        {"logs": np.full((5, 3), np.nan, np.float16)},
        {"logs": np.ones((5, 3), np.float16)},
        {"logs": np.zeros((5, 3), np.float64)},
        {"ids": np.full((5, 3), 3, np.uint8)},
        {"ids": np.zeros((5, 3), float)},
        {"ids": np.zeros((5, 2), np.uint8), "logs": np.zeros((5, 2), np.float16)},
        {"ids": np.zeros(5, np.uint8), "logs": np.zeros(5, np.float16)},
    ],
)
def test_a_file_with_something_else_is_none(tmp_path, change):
    write_soft_labels(tmp_path / "part.npz", keep_best(np.full((5, 3), 1 / 3))._replace(**change))
    assert read_soft_labels(tmp_path / "part.npz", make_documents(), 3) is None


def test_an_array_instead_of_a_file_of_arrays_is_none(tmp_path):
    with open(tmp_path / "part.npz", "wb") as file:
        np.save(file, np.zeros(3))
    assert read_soft_labels(tmp_path / "part.npz", make_documents(), 3) is None

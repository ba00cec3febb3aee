"""Soft labels: how probable a finished tagger finds each label of each word. They are computed once and kept in files.

A file has the soft labels of some documents. Its name is a digest of the tagger and of the documents, so that any run
finds it again, and no run uses it for other weights or another text.
"""

import hashlib
import json
import zipfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from recipe.data.documents import Document, list_sentences
from recipe.errors import RecipeError
from recipe.files import open_whole_bytes
from recipe.inference.tagger import Tagger
from recipe.inference.torch_backend import TorchBackend

KEPT = 8  # labels of a word, the most probable ones
VERSION = 1  # of the files; part of their names


class SoftLabels(NamedTuple):
    """The most probable labels of each word, the best first, as two arrays of (words, kept).

    ids: label ids, uint8 if there are so few labels. logs: natural logarithms of the probabilities, float16. As
    logarithms even small probabilities are exact to about 1 %, and a temperature above 1 makes these count.
    """

    ids: np.ndarray
    logs: np.ndarray


def keep_best(probabilities: np.ndarray) -> SoftLabels:
    """The `KEPT` most probable labels of each word. probabilities: (words, labels)."""
    labels = probabilities.shape[1]
    ids = np.argsort(-probabilities, axis=1, kind="stable")[:, :KEPT]
    with np.errstate(divide="ignore"):  # invalid labels have the probability 0
        logs = np.log(np.take_along_axis(probabilities, ids, axis=1))
    return SoftLabels(ids.astype(np.min_scalar_type(labels - 1)), logs.astype(np.float16))


def join(parts: Sequence[SoftLabels]) -> SoftLabels:
    """The soft labels of the words of all parts, in order."""
    return SoftLabels(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def average(given: Sequence[SoftLabels], labels: int) -> SoftLabels:
    """The mean probabilities of several taggers for the same words. labels: their number."""
    if len(given) == 1:
        return given[0]
    total = np.zeros((len(given[0].ids), labels))
    for soft in given:
        probabilities = np.exp(soft.logs.astype(float))
        spread = np.zeros_like(total)
        np.put_along_axis(spread, soft.ids.astype(int), probabilities, axis=1)
        total += spread / spread.sum(1, keepdims=True)
    return keep_best(total / len(given))


class Teacher:
    """A finished tagger, which gives soft labels.

    tagger: one that is no export. labels: the label of each label id in the soft labels; the tagger can have them in
    another order (`check_teacher`). constrained: see `Tagger.weigh_labels`.
    """

    def __init__(self, name: str, tagger: Tagger, labels: Sequence[str], constrained: bool):
        assert isinstance(tagger.backend, TorchBackend)  # its weights are part of the digest
        self._name, self._tagger, self._constrained = name, tagger, constrained
        self._order = [tagger.labels.index(label) for label in labels]
        settings = [VERSION, KEPT, list(labels), tagger.labels, asdict(tagger.settings), constrained]
        digest = hashlib.sha256(json.dumps(settings).encode())
        digest.update(tagger.tokenizer.backend_tokenizer.to_str().encode())
        for key, weight in tagger.backend.model.state_dict().items():
            digest.update(f"{key} {weight.dtype} {tuple(weight.shape)}".encode())
            digest.update(weight.cpu().contiguous().flatten().view(torch.uint8).numpy())
        self.digest = digest.hexdigest()

    def score(self, documents: Sequence[Document]) -> SoftLabels:
        """The soft labels of all words of `documents`, in order. Raises RecipeError if the model predicts NaN."""
        try:
            found = self._tagger.weigh_labels(documents, self._constrained)
        except RecipeError as error:
            raise RecipeError(f"teacher {self._name}: {error}") from None
        return keep_best(found[:, self._order])


def check_teacher(name: str, own: Sequence[str], labels: Sequence[str]) -> None:
    """Raise RecipeError unless the labels of a teacher, `own`, are `labels` in any order."""
    if sorted(own) != sorted(labels):
        raise RecipeError(
            f"teacher {name}: predicts the labels {' '.join(own)}, but the student {' '.join(labels)}: set a teacher "
            "that was trained on the same entity types"
        )


def name_file(digest: str, documents: Sequence[Document]) -> str:
    """The name of the file with the soft labels of `documents` by the teacher with this digest."""
    words = [[sentence.words for sentence in document.sentences] for document in documents]
    return hashlib.sha256(f"{digest}{json.dumps(words)}".encode()).hexdigest()[:32] + ".npz"


def write_soft_labels(path: Path, soft: SoftLabels) -> None:
    """Write a file that is whole or absent. Raises RecipeError as `open_whole` does."""
    with open_whole_bytes(path) as file:
        np.savez(file, **soft._asdict())


def read_soft_labels(path: Path, documents: Sequence[Document], labels: int) -> SoftLabels | None:
    """The soft labels of `documents` in a file; None if there is no such file, or if it has something else.

    labels: how many there are.
    """
    try:
        with np.load(path) as arrays:
            soft = SoftLabels(arrays["ids"], arrays["logs"])
    except (OSError, ValueError, LookupError, EOFError, TypeError, RuntimeError, zipfile.BadZipFile):
        return None  # RuntimeError: a spoilt byte of the ZIP file says that it is encrypted
    shape = (sum(len(sentence.words) for sentence in list_sentences(documents)), min(KEPT, labels))
    if (soft.ids.shape, soft.logs.shape, soft.ids.dtype.kind, soft.logs.dtype) != (shape, shape, "u", np.float16):
        return None
    return soft if (soft.ids < labels).all() and (soft.logs < 0.01).all() else None  # rounded; NaN is not

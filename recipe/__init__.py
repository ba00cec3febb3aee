"""Masked pretraining and named-entity recognition: the library behind `run_mlm.py` and `run_ner.py`.

`import recipe` is fast: each name below is imported when you first use it.
"""

import importlib
import importlib.util
import os
from typing import Any

if importlib.util.find_spec("torch") is None:  # exports run without it, which transformers would warn about
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")

_EXPORTS = {
    "Document": "recipe.data.documents",
    "Filler": "recipe.inference.filler",
    "Scorer": "recipe.inference.scorer",
    "Sentence": "recipe.data.documents",
    "Tagger": "recipe.inference.tagger",
    "read_conll": "recipe.data.conll",
    "score": "recipe.evaluation.scoring",
    "score_file": "recipe.evaluation.scoring",
    "write_conll": "recipe.data.conll",
}
__all__ = sorted(_EXPORTS)


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'recipe' has no attribute {name!r}: choose one of {', '.join(__all__)}")
    return getattr(importlib.import_module(_EXPORTS[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

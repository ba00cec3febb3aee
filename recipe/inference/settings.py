"""Settings of this layer: decoding of logits to tags, and what a finished model remembers of how it was trained."""

import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from transformers import PreTrainedConfig

from recipe.data.raw_text import SPLITTERS
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
    compare_pipeline: bool = setting(
        True,
        "Also score transformers' pipeline and the Tagger on running text: at most 500 sentences of each split.",
        resume="free",
    )


@dataclass(frozen=True)
class TaggerSettings:
    """How a model tags; the first four are settings of a run, see `WindowArguments` and `DecodingArguments`.

    temperature: the logits are divided by it before confidences are computed. It does not change any tag.
    word_splitter: how raw text is split into words, a key of `SPLITTERS`.
    """

    max_seq_length: int = 512
    context: str = "document"
    context_size: int = 64
    constrained_decoding: bool = True
    temperature: float = 1.0
    word_splitter: str = "punctuation"

    def __post_init__(self):
        """Raise ValueError if a value is not valid."""
        valid = self.context in CONTEXTS and self.word_splitter in SPLITTERS
        if not valid or self.max_seq_length < 1 or self.context_size < 0 or not 0 < self.temperature < math.inf:
            raise ValueError(f"{self} is not valid")


def read_settings(config: PreTrainedConfig) -> TaggerSettings:
    """The settings that a model was trained with; defaults if it has none. Raises RecipeError if they are not valid."""
    given = getattr(config, KEY, None)
    if given is None:
        return TaggerSettings()
    defaults = asdict(TaggerSettings())
    try:
        known = {name: given.get(name, default) for name, default in defaults.items()}
        if [type(value) for value in known.values()] != [type(default) for default in defaults.values()]:
            raise ValueError("a value has the wrong type")
        return TaggerSettings(**known)
    except (AttributeError, ValueError):
        raise RecipeError(
            f"config.json of the model: {KEY}: {given}: cannot be read: fix or delete the entry"
        ) from None


def resolve_settings(arguments: Arguments, config: PreTrainedConfig) -> Arguments:
    """Replace None in `arguments`, a dataclass with fields of `TaggerSettings`, by the values of the model."""
    own = asdict(read_settings(config))
    missing = {name: value for name, value in own.items() if getattr(arguments, name, value) is None}
    return replace(arguments, **missing)


def combine_settings(arguments: Any, config: PreTrainedConfig, **chosen: Any) -> TaggerSettings:
    """The settings of the model, replaced by those in `arguments` (see `resolve_settings`) and by those `chosen`."""
    own = read_settings(config)
    given = {name: getattr(arguments, name) for name in asdict(own) if hasattr(arguments, name)}
    return replace(own, **given, **chosen)

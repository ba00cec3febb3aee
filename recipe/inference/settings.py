"""Settings of this layer: decoding of logits to tags."""

from dataclasses import dataclass

from recipe.settings import setting


@dataclass
class DecodingArguments:
    """Decoding of logits to tags. The default is the value saved in the model, if it has one."""

    constrained_decoding: bool | None = setting(
        None,
        "Predict the best valid IOB2 sequence of a sentence instead of the best tag of each word (default: true).",
        resume="free",
    )

"""Settings of this layer: how logits become tags."""

from dataclasses import dataclass

from recipe.settings import setting


@dataclass
class DecodingArguments:
    """How logits become tags. A finished model has its own value, which a setting overrides."""

    constrained_decoding: bool | None = setting(
        None, "Predict the best IOB2 sequence of a sentence, not the best tag of each word (true).", resume="free"
    )

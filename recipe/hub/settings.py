"""Settings of this layer: the model card."""

from dataclasses import dataclass

from recipe.settings import setting


@dataclass
class CardArguments:
    """Entries of the model card that cannot be derived from the run."""

    hub_language: str | None = setting(None, "Language of the data, such as en.", resume="free")
    hub_license: str | None = setting(None, "Licence of the model, such as mit.", resume="free")
    hub_data_note: str | None = setting(None, "Domain and year of the data.", resume="free")

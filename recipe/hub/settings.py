"""Settings of this layer: what the model card says."""

from dataclasses import dataclass

from recipe.settings import setting


@dataclass
class CardArguments:
    """What you tell the model card; the rest comes from the run."""

    hub_language: str | None = setting(None, "Language of the data, such as en.", resume="free")
    hub_license: str | None = setting(None, "Licence of the model, such as mit.", resume="free")
    hub_data_note: str | None = setting(None, "Domain and year of the data.", resume="free")

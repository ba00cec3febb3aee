"""The objective of a masked language model, and how far its head is trained, as `config.json` keeps them."""

from dataclasses import asdict, dataclass, replace
from typing import TypeVar

from transformers import PreTrainedConfig, PreTrainedModel

from recipe.errors import RecipeError
from recipe.inputs.rates import RATES, find_rates
from recipe.inputs.settings import BlockArguments, Objective
from recipe.model.architectures import find_architecture, list_types

KEY = "masked_lm"  # in config.json
Arguments = TypeVar("Arguments", bound=BlockArguments)


@dataclass(frozen=True)
class Pretraining:
    """The objective; whether the head was new when training began, and the tokens of text it was trained on since."""

    objective: Objective = "masked"
    new_head: bool = False
    trained_tokens: int = 0

    @property
    def is_causal(self) -> bool:
        """Whether each token is predicted from what lies to its left alone."""
        return self.objective == "masked_autoregressive"


def read_pretraining(config: PreTrainedConfig) -> Pretraining:
    """What the configuration of a model says; defaults if nothing. Raises RecipeError if it is not valid."""
    given = getattr(config, KEY, None)
    if given is None:
        return Pretraining()
    try:
        found = Pretraining(**given)
    except TypeError:
        found = None
    if (
        found is None
        or not isinstance(found.objective, str)
        or found.objective not in RATES
        or [type(found.new_head), type(found.trained_tokens)] != [bool, int]
    ):
        raise RecipeError(f"config.json of the model: {KEY}: {given}: cannot be read: fix or delete the entry")
    return found


def begin_pretraining(model: PreTrainedModel, objective: Objective) -> Pretraining:
    """What is known of a loaded model when its training with `objective` begins; it is noted in its configuration."""
    earlier = read_pretraining(model.config)
    new_head = earlier.new_head or getattr(model, "new_head", False)
    pretraining = replace(earlier, objective=objective, new_head=new_head)
    note_pretraining(model.config, pretraining)
    return pretraining


def note_pretraining(config: PreTrainedConfig, pretraining: Pretraining) -> None:
    """Write `pretraining` into the configuration of a model."""
    setattr(config, KEY, asdict(pretraining))


def resolve_objective(arguments: Arguments, config: PreTrainedConfig) -> Arguments:
    """Replace an objective of None by that of the model, and masking rates of None by those of the objective.

    Raises RecipeError if the architecture is not known to work with the objective, or if the rates leak tokens.
    """
    objective = arguments.objective or read_pretraining(config).objective
    if objective == "masked_autoregressive" and not find_architecture(config.model_type).causal:
        known = ", ".join(list_types("causal"))
        raise RecipeError(f"objective {objective}: not known to work with {config.model_type}: choose one of {known}")
    resolved = replace(arguments, objective=objective)
    masked, random = find_rates(resolved)
    return replace(resolved, mask_replace_prob=masked, random_replace_prob=random)

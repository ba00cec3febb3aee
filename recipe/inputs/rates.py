"""What becomes of the tokens that are predicted: shares of mask tokens and of random tokens. Needs no torch."""

from recipe.errors import RecipeError
from recipe.inputs.settings import BlockArguments, Objective

# Of the predicted tokens, the share that becomes the mask token, and the share that becomes a random token.
RATES: dict[Objective, tuple[float, float]] = {"masked": (0.8, 0.1), "masked_autoregressive": (1.0, 0.0)}


def find_rates(arguments: BlockArguments) -> tuple[float, float]:
    """Of the predicted tokens, the shares of mask tokens and of random tokens; the objective has the defaults.

    Raises RecipeError for `masked_autoregressive` if some predicted tokens would stay as they are.
    """
    objective = arguments.objective or "masked"
    masked, random = arguments.mask_replace_prob, arguments.random_replace_prob
    if objective == "masked_autoregressive":
        masked = 1 - random if masked is None and random is not None else masked
        random = 1 - masked if random is None and masked is not None else random
        if masked is not None and random is not None and masked + random < 1 - 1e-9:
            raise RecipeError(
                f"objective {objective}: tokens that stay as they are would be seen by their own prediction: set "
                "mask_replace_prob and random_replace_prob to values whose sum is 1"
            )
    default = RATES[objective]
    return default[0] if masked is None else masked, default[1] if random is None else random

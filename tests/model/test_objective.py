"""The objective of a masked language model: defaults, what is refused, and what the configuration keeps."""

import pytest
from transformers import BertConfig

from conftest import make_config, make_config_of
from recipe.arguments import MlmArguments
from recipe.errors import RecipeError
from recipe.model.objective import KEY, Pretraining, note_pretraining, read_pretraining, resolve_objective


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ("masked", 0.8, 0.1)),
        ({"mask_replace_prob": 0.5}, ("masked", 0.5, 0.1)),
        ({"objective": "masked_autoregressive"}, ("masked_autoregressive", 1.0, 0.0)),
        ({"objective": "masked_autoregressive", "random_replace_prob": 0.25}, ("masked_autoregressive", 0.75, 0.25)),
        ({"objective": "masked_autoregressive", "mask_replace_prob": 0.75}, ("masked_autoregressive", 0.75, 0.25)),
    ],
)
def test_rates_follow_from_the_objective(given, expected):
    found = resolve_objective(MlmArguments(**given), make_config())
    assert (found.objective, found.mask_replace_prob, found.random_replace_prob) == expected


def test_a_checkpoint_keeps_its_objective():
    config = make_config()
    note_pretraining(config, Pretraining("masked_autoregressive", True, 5))
    config = BertConfig.from_dict(config.to_dict())
    assert read_pretraining(config) == Pretraining("masked_autoregressive", True, 5)
    assert resolve_objective(MlmArguments(), config).objective == "masked_autoregressive"
    assert resolve_objective(MlmArguments(objective="masked"), config).objective == "masked"


def test_what_would_leak_or_does_not_work_is_refused():
    leaking = MlmArguments(objective="masked_autoregressive", mask_replace_prob=0.8, random_replace_prob=0.1)
    with pytest.raises(RecipeError, match="would be seen by their own prediction: set mask_replace_prob and"):
        resolve_objective(leaking, make_config())
    with pytest.raises(RecipeError, match="not known to work with deberta-v2: choose one of bert, camembert, distil"):
        resolve_objective(MlmArguments(objective="masked_autoregressive"), make_config_of("deberta-v2"))


@pytest.mark.parametrize(
    "entry", ["x", 3, [], {"objective": "other"}, {"new_head": 1}, {"trained_tokens": "9"}, {"unknown": 1}]
)
def test_an_odd_entry_in_the_configuration_is_refused(entry):
    config = make_config()
    setattr(config, KEY, entry)
    with pytest.raises(RecipeError, match=r"config\.json of the model: masked_lm: .*: cannot be read"):
        read_pretraining(config)

"""How settings are declared: limits, and what a resumed run may have otherwise."""

import dataclasses
import typing

import pytest
import transformers

from recipe.arguments import MlmArguments, NerArguments, RunArguments
from recipe.model.settings import ModelArguments
from recipe.settings import Resume, check_limits, setting
from recipe.training.settings import INHERITED, find_resume_rules

GROUPS = (ModelArguments, MlmArguments, NerArguments, RunArguments)
OWN = {field.name: field for group in GROUPS for field in dataclasses.fields(group) if "resume" in field.metadata}
FREE = """
    config cache_dir max_eval_samples test_file context_size constrained_decoding compare_pipeline max_predict_samples
    eval_do_concat_batches hub_private_repo threads reuse_memory restart hub_language hub_license hub_data_note
    dataloader_num_workers logging_nan_inf_filter teacher_cache
"""
FIXED = "streaming layer_lr_decay student_layers"


@dataclasses.dataclass
class Sizes:
    size: int | None = setting(None, "A size.", at_least=1)
    offset: int = setting(0, "An offset.", resume="free", at_least=0)
    share: float = 0.5


def test_values_at_their_limits_are_accepted():
    for sizes in (Sizes(), Sizes(size=1, offset=0, share=-1)):
        check_limits(sizes)


@pytest.mark.parametrize(("values", "place"), [({"size": 0}, "size: 0"), ({"size": 2, "offset": -1}, "offset: -1")])
def test_a_value_below_its_limit_is_refused_by_name(values, place):
    with pytest.raises(ValueError, match=f"^{place} is too small: it must be at least "):
        check_limits(Sizes(**values))


def test_every_rule_on_a_setting_of_transformers_is_on_one_that_exists():
    names = [name for names in INHERITED.values() for name in names.split()]
    fields = {field.name for field in dataclasses.fields(transformers.TrainingArguments)}
    assert set(names) <= fields
    assert len(names) == len(set(names))
    assert not set(names) & set(OWN)  # where the recipe declares a setting anew, its own rule is the only one


def test_every_setting_of_the_recipe_has_a_help_and_a_rule():
    for name, field in OWN.items():
        assert field.metadata["resume"] in typing.get_args(Resume), name
        assert field.metadata["help"].endswith("."), name


def test_the_rules_on_resuming_are_these():
    """A checkpoint of an earlier version has to find the same ones: a change here needs a reason of its own."""
    rules = find_resume_rules(*GROUPS)
    expected = dict.fromkeys(OWN, "same") | dict.fromkeys(FREE.split(), "free") | dict.fromkeys(FIXED.split(), "fixed")
    assert {name: rules[name] for name in OWN} == expected


def test_rules_cover_every_setting_of_a_run():
    rules = find_resume_rules(*GROUPS)
    assert set(rules) == {field.name for group in GROUPS for field in dataclasses.fields(group)}
    assert rules["seed"] == rules["max_steps"] == rules["per_device_train_batch_size"] == "same"
    assert rules["learning_rate"] == rules["fp16"] == "fixed"
    assert rules["output_dir"] == rules["save_steps"] == "free"


def test_rules_are_those_of_instances_as_of_classes(tmp_path):
    assert find_resume_rules(NerArguments(), RunArguments(str(tmp_path))) == find_resume_rules(
        NerArguments, RunArguments
    )

"""Settings that cannot work are refused before anything loads."""

import pytest

from recipe.arguments import RunArguments, parse
from recipe.errors import RecipeError
from recipe.training.trial import try_trainer


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("seed", "-1", "seed: -1 is out of range: it must be a whole number between 0 and 4294967295"),
        ("data_seed", str(2**64), "data_seed: .* is out of range"),
        ("learning_rate", "nan", "learning_rate: nan is not a finite number"),
        ("learning_rate", "inf", "is not a finite number"),
        ("learning_rate", "-1e-3", "learning_rate: -0.001 is out of range: it must be at least 0"),
        ("weight_decay", "-1", "weight_decay: .* at least 0"),
        ("adam_beta1", "1", "adam_beta1: 1.0 is out of range: it must be at least 0 and below 1"),
        ("label_smoothing_factor", "2", "label_smoothing_factor: 2.0 is out of range"),
        ("max_grad_norm", "-1", "max_grad_norm"),
        ("num_train_epochs", "0", "num_train_epochs: 0.0 is out of range: it must be above 0"),
        ("max_steps", "-5", "max_steps: -5 is out of range: it must be above 0, or -1"),
        ("save_steps", "0", "save_steps: 0.0 is out of range"),
        ("logging_steps", "-1", "logging_steps"),
        ("save_total_limit", "0", "save_total_limit: 0 is out of range"),
        ("output_dir", "", "output_dir: is empty"),
        ("dataloader_drop_last", "true", "dataloader_drop_last: sentences would be left out of the scores"),
        ("deepspeed", "none.json", "deepspeed"),
    ],
)
def test_numbers_out_of_range_are_refused_by_name(tmp_path, setting, value, message):
    flags = {"output_dir": tmp_path, "do_eval": "true"} | {setting: value}
    with pytest.raises(RecipeError, match=f"command line: .*{message}") as caught:
        parse([f"--{key}={value}" for key, value in flags.items()], RunArguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"lr_scheduler_kwargs": "x"}, "lr_scheduler_type linear: "),
        ({"lr_scheduler_type": "cosine_with_min_lr"}, "lr_scheduler_type cosine_with_min_lr: .*min_lr"),
        ({"optim": "adafactor", "optim_args": "x"}, "optim adafactor: "),
        ({"optim": "galore_adamw"}, "optim galore_adamw: .*galore_torch"),
        ({"optim": "adamw_bnb_8bit"}, "optim adamw_bnb_8bit: .*bitsandbytes"),
        ({"use_liger_kernel": "true"}, "use_liger_kernel: liger-kernel is not installed"),
        ({"torch_compile_backend": "nope"}, "settings of the Trainer: 'NOPE' is not a valid DynamoBackend"),
    ],
)
def test_what_the_libraries_refuse_late_is_refused_early(tmp_path, flags, message):
    words = [f"--{key}={value}" for key, value in ({"output_dir": tmp_path} | flags).items()]
    (arguments,) = parse(words, RunArguments)
    with pytest.raises(RecipeError, match=message) as caught:
        try_trainer(arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "flags",
    [
        {},
        {"lr_scheduler_type": "cosine", "optim": "adafactor"},
        {"lr_scheduler_type": "reduce_lr_on_plateau", "eval_strategy": "steps"},
        {"push_to_hub": "true", "hub_model_id": "mara/tagger"},
    ],
)
def test_what_works_is_not_refused(tmp_path, flags):
    (arguments,) = parse(
        [f"--{key}={value}" for key, value in ({"output_dir": tmp_path} | flags).items()], RunArguments
    )
    try_trainer(arguments)

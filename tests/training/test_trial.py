"""Settings that cannot work are refused before anything loads."""

import pytest
import torch
from transformers import AutoModelForMaskedLM
from transformers.integrations.deepspeed import is_deepspeed_zero3_enabled

from conftest import make_config_of
from recipe.arguments import RunArguments, parse
from recipe.errors import RecipeError
from recipe.model.configuration import load_config, name_config
from recipe.model.loading import load_model
from recipe.model.settings import ModelArguments
from recipe.training.runtime import adapt_precision
from recipe.training.trial import check_checkpointing, try_model, try_trainer


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
    assert not is_deepspeed_zero3_enabled()  # later models of the same process load


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"lr_scheduler_kwargs": "x"}, "lr_scheduler_type linear: "),
        ({"lr_scheduler_type": "cosine_with_min_lr"}, "lr_scheduler_type cosine_with_min_lr: .*min_lr"),
        ({"optim": "adafactor", "optim_args": "x"}, "optim adafactor: "),
        ({"optim": "galore_adamw"}, "optim galore_adamw: .*galore_torch"),
        ({"optim": "adamw_bnb_8bit"}, "optim adamw_bnb_8bit: .*bitsandbytes"),
        ({"use_liger_kernel": "true"}, "use_liger_kernel: liger-kernel is not installed"),
        (
            {"activation_checkpointing": "true", "activation_checkpointing_kwargs": '{"x": 1}'},
            "activation_checkpointing_kwargs: ",
        ),
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
        {"label_smoothing_factor": "0.1"},
        {"lr_scheduler_type": "cosine"},
        {"lr_scheduler_type": "reduce_lr_on_plateau", "eval_strategy": "epoch"},
        {"optim": "adafactor"},
        {"neftune_noise_alpha": "5"},
        {"activation_checkpointing": "true"},
    ],
)
def test_settings_that_work_are_not_refused(tmp_path, flags):
    words = [f"--{key}={value}" for key, value in ({"output_dir": tmp_path, "do_eval": "true"} | flags).items()]
    try_trainer(*parse(words, RunArguments))


@pytest.mark.parametrize(
    "flags",
    [
        {},
        {"lr_scheduler_type": "cosine", "optim": "adafactor"},
        {"activation_checkpointing": "true", "activation_checkpointing_kwargs": '{"use_reentrant": false}'},
        {"activation_checkpointing": "true", "activation_checkpointing_kwargs": '{"every_n_layers": 2}'},
        {"gradient_checkpointing": "true"},
        {"activation_checkpointing": "true"},
        {"lr_scheduler_type": "reduce_lr_on_plateau", "eval_strategy": "steps"},
        {"push_to_hub": "true", "hub_model_id": "mara/tagger"},
    ],
)
def test_what_works_is_not_refused(tmp_path, flags):
    (arguments,) = parse(
        [f"--{key}={value}" for key, value in ({"output_dir": tmp_path} | flags).items()], RunArguments
    )
    try_trainer(arguments)


@pytest.mark.parametrize("model_type", ["albert", "mpnet"])
def test_activation_checkpointing_is_refused_where_the_architecture_lacks_it(tmp_path, model_type):
    config = make_config_of(model_type)
    check_checkpointing(*parse([f"--output_dir={tmp_path}"], RunArguments), config)
    (arguments,) = parse([f"--output_dir={tmp_path}", "--activation_checkpointing=true"], RunArguments)
    with pytest.raises(RecipeError, match=f"activation_checkpointing: not supported for {model_type}: remove"):
        check_checkpointing(arguments, config)
    for other in ("bert", "deberta-v2", "distilbert", "electra", "modernbert", "roberta"):
        check_checkpointing(arguments, make_config_of(other))


SMALL = "hidden_size=32,num_attention_heads=2,intermediate_size=48,vocab_size=97"


def try_new(folder, model_type, overrides, precision="fp32"):
    (args,) = parse([f"--output_dir={folder}", f"--precision={precision}"], RunArguments)
    arguments = ModelArguments(model_type=model_type, config_overrides=overrides)
    build = lambda config: load_model(AutoModelForMaskedLM, arguments, config)  # noqa: E731
    try_model(build, load_config(arguments), args, name_config(arguments))


@pytest.mark.parametrize("model_type", ["bert", "modernbert", "roberta"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_new_model_that_fits_passes_and_leaves_nothing(tmp_path, capsys, caplog, model_type, precision):
    torch.manual_seed(1)
    state = torch.get_rng_state()
    try_new(tmp_path / "run", model_type, f"num_hidden_layers=2,{SMALL}", precision)
    assert torch.equal(torch.get_rng_state(), state)
    assert not (tmp_path / "run").exists()
    assert not caplog.text
    assert not capsys.readouterr().err


@pytest.mark.parametrize(
    ("model_type", "overrides", "message"),
    [
        ("bert", f"{SMALL},hidden_act=nope", "config_overrides .*hidden_act=nope: .*nope"),
        ("modernbert", f"{SMALL},num_hidden_layers=23", "config_overrides .*layer"),
        ("modernbert", f"{SMALL},num_attention_heads=3", "config_overrides"),
        ("bert", f"{SMALL},num_attention_heads=0", "config_overrides"),
        ("bert", f"{SMALL},max_position_embeddings=2", "a model of this configuration cannot be trained: .*: fix it"),
        ("esm", SMALL, "config_overrides"),
    ],
)
def test_a_new_model_whose_parts_do_not_fit_is_refused(tmp_path, model_type, overrides, message):
    with pytest.raises(RecipeError, match=message) as caught:
        try_new(tmp_path / "run", model_type, overrides)
    assert "\n" not in str(caught.value)


def test_models_that_fail_in_half_precision_train_in_fp32_unless_it_was_asked_for(tmp_path, capsys):
    config = make_config_of("deberta")
    for flags in (["--bf16=true"], ["--precision=bf16"]):
        (args,) = parse([f"--output_dir={tmp_path}", *flags], RunArguments)
        with pytest.raises(RecipeError, match="precision bf16: deberta models fail in it: set precision to fp32"):
            adapt_precision(args, config)
        adapt_precision(args, make_config_of("bert"))
        assert args.bf16
    args.precision_reason = "the CPU supports avx512_bf16"
    adapt_precision(args, config)
    assert (args.bf16, args.mixed_precision) == (False, "no")
    assert "precision fp32 instead: deberta models fail in bf16" in capsys.readouterr().out

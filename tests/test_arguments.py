import pytest
import torch

from recipe.arguments import MlmArguments, NerArguments, RunArguments, parse
from recipe.errors import LocalError, RecipeError, exit_with
from recipe.model.settings import ModelArguments
from recipe.training.settings import TrainingArguments


def parse_ner(*argv):
    return parse(list(argv), ModelArguments, NerArguments, RunArguments)


@pytest.fixture
def config(tmp_path):
    def write(text):
        path = tmp_path / "ner" / "run.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return str(path)

    return write


def test_command_line_overrides_yaml_overrides_default(config):
    path = config("learning_rate: 3e-4\nmax_seq_length: 128\ncontext: none\n")
    _, data, training = parse_ner("--config", path, "--max_seq_length", "64")
    assert (training.learning_rate, data.max_seq_length, data.context) == (3e-4, 64, "none")
    assert data.encoding == "utf-8"  # untouched default


def test_yaml_values_keep_their_spelling(config):
    path = config("eval_strategy: no\nbf16: false\ntrain_file: [a.txt, b.txt]\nwarmup_steps: 0.1\ntag_scheme: null\n")
    _, data, training = parse_ner(f"--config={path}")
    assert training.eval_strategy == "no"
    assert training.bf16 is False  # whatever the hardware can
    assert data.train_file == ["a.txt", "b.txt"]
    assert data.tag_scheme is None


def test_a_list_has_the_values_of_all_its_flags_instead_of_those_in_yaml(config):
    argv = ["--config", config("teacher: [x, y]\ntrain_file: z\n"), "--teacher", "a", "--seed", "3", "--teacher=b", "c"]
    _, data, training = parse_ner(*argv, "--report-to", "none")
    assert data.teacher == ["a", "b", "c"]
    assert data.train_file == ["z"]
    assert training.seed == 3
    with pytest.raises(RecipeError, match="--teacher: expected at least one argument"):
        parse_ner("--teacher", "--seed", "3")


def test_the_note_of_a_configuration_is_about_its_own_data(config):
    path = config("data_dir: news\nhub_data_note: news of 1996\nhub_language: en\n")
    assert parse_ner("--config", path, "--seed", "3")[2].hub_data_note == "news of 1996"
    for other in (["--data_dir", "mine"], ["--data-dir=mine"], ["--dataset_name=user/mine"], ["--train_file", "a.txt"]):
        training = parse_ner("--config", path, *other)[2]
        assert (training.hub_data_note, training.hub_language) == (None, "en")
        assert parse_ner("--config", path, *other, "--hub_data_note", "mine")[2].hub_data_note == "mine"


def test_several_trackers_are_a_list_as_elsewhere(config, monkeypatch):
    monkeypatch.setattr("recipe.training.settings.check_trackers", lambda names: None)
    expected = ["tensorboard", "wandb"]
    assert parse_ner("--report_to", *expected)[2].report_to == expected
    assert parse_ner(*(f"--report_to={name}" for name in expected))[2].report_to == expected
    assert parse_ner("--config", config("report_to: [tensorboard, wandb]"))[2].report_to == expected
    assert parse_ner("--config", config("report_to: tensorboard"))[2].report_to == ["tensorboard"]
    assert parse_ner()[2].report_to == parse_ner("--report_to", "none")[2].report_to == []


def test_output_folder_follows_the_configuration(config):
    assert parse_ner("--config", config("seed: 1"))[2].output_dir == "runs/ner/run"
    assert parse_ner("--config", config("seed: 1"), "--output_dir", "x")[2].output_dir == "x"


@pytest.mark.parametrize(
    ("name", "folder"),
    [("configs/ner/a.yaml", "runs/ner/a"), ("b.yaml", "runs/b"), ("../c.yaml", "runs/c"), ("/d.yaml", "runs/d")],
)
def test_no_configuration_makes_a_folder_outside_of_runs(monkeypatch, name, folder):
    monkeypatch.setattr("recipe.arguments._read_yaml", lambda path: [])
    assert parse_ner("--config", name)[2].output_dir == folder


def test_a_bad_value_is_blamed_on_where_it_was_given(config):
    path = config("seed: 1\nthreads: 0\n")
    for argv, place in [((), rf"{path}:2"), (("--threads=0",), "command line"), (("--threads", "-1"), "command line")]:
        with pytest.raises(RecipeError, match=rf"^{place}: threads: "):
            parse_ner("--config", path, *argv)


@pytest.mark.parametrize("key", ["per_device_train_batch_size", "per_device_eval_batch_size"])
def test_empty_batches_are_refused(key):
    with pytest.raises(RecipeError, match=f"command line: {key}: 0 is too small"):
        parse_ner(f"--{key}=0")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--precision=fp16"], "precision: fp16 needs a GPU"),
        (["--fp16"], "precision: fp16 needs a GPU"),
        (["--remove_unused_columns=false"], "remove_unused_columns: must be true, models do not accept other columns"),
        (["--accelerator_config", '{"split_batches": true}'], "accelerator_config: split_batches and dispatch"),
        (["--accelerator_config", '{"even_batches": false}'], "accelerator_config: split_batches and dispatch"),
    ],
)
def test_what_would_be_ignored_or_lose_labels_is_refused(argv, message):
    with pytest.raises(RecipeError, match=f"command line: {message}"):
        parse_ner(*argv)


def test_the_best_perplexity_is_the_lowest():
    best = {name: parse_ner(f"--metric_for_best_model={name}")[2] for name in ("f1", "loss", "perplexity")}
    assert {name: settings.greater_is_better for name, settings in best.items()} == {
        "f1": True, "loss": False, "perplexity": False
    }  # fmt: skip


def test_a_precision_of_accelerate_that_is_none_of_ours_is_refused(monkeypatch):
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "fp8")
    with pytest.raises(RecipeError, match="accelerate launch: mixed_precision: fp8 is not one of no bf16 fp16"):
        parse_ner()


def test_new_hub_repositories_are_private():
    assert parse_ner()[2].hub_private_repo is True
    assert parse_ner("--hub_private_repo", "false")[2].hub_private_repo is False


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed: 1.5\n", "run.yaml:1: argument --seed"),
        ("context: page\n", "run.yaml:1: argument --context"),
        ("eval_strategy: sometimes\n", "sometimes"),
    ],
)
def test_bad_configuration_is_refused_by_name(config, text, message):
    with pytest.raises(RecipeError) as caught:
        parse_ner("--config", config(text))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--lerning_rate", "1"], "unknown argument --lerning_rate (did you mean learning_rate?)"),
        (["--learn", "1"], "unknown argument --learn"),
        (["--seed", "x"], "argument --seed"),
        (["--mlm_probability", "0.2"], "unknown argument --mlm_probability"),
    ],
)
def test_bad_command_line_is_refused_by_name(argv, message):
    with pytest.raises(RecipeError) as caught:
        parse_ner(*argv)
    assert message in str(caught.value)


def test_settings_of_the_other_script_are_unknown():
    with pytest.raises(RecipeError, match="--context"):
        parse(["--context", "none"], ModelArguments, MlmArguments, RunArguments)


def test_errors_are_one_line_and_status_two(capsys):
    def fail():
        raise RecipeError("file.txt:3: mend it")

    with pytest.raises(SystemExit) as caught:
        exit_with(fail)
    assert caught.value.code == 2
    assert capsys.readouterr().err == "error: file.txt:3: mend it\n"


@pytest.mark.parametrize(("error", "lines"), [(RecipeError("no a.txt"), 2), (LocalError("disk full"), 4)])
def test_errors_come_from_one_process_of_each_host_unless_they_are_its_own(capsys, monkeypatch, error, lines):
    def fail():
        raise error

    for rank in range(4):
        monkeypatch.setenv("RANK", str(rank))
        monkeypatch.setenv("LOCAL_RANK", str(rank % 2))
        with pytest.raises(SystemExit):
            exit_with(fail)
    assert capsys.readouterr().err == f"error: {error}\n" * lines


def test_an_error_in_a_data_loading_worker_is_one_line_too(capsys):
    def fail():
        list(torch.utils.data.DataLoader(Torn(), num_workers=1))

    with pytest.raises(SystemExit) as caught:
        exit_with(fail)
    assert caught.value.code == 2
    assert capsys.readouterr().err == "error: a.txt:3: torn\n"


class Torn(torch.utils.data.IterableDataset):
    def __iter__(self):
        raise LocalError("a.txt:3: torn")


def test_one_process_uses_one_gpu(monkeypatch, tmp_path):
    monkeypatch.setattr("transformers.TrainingArguments.n_gpu", 3)
    assert TrainingArguments(str(tmp_path)).n_gpu == 1


def test_a_launch_on_the_cpu_is_on_the_cpu_whatever_the_machine_has(monkeypatch, tmp_path):
    monkeypatch.setattr("torch.accelerator.is_available", lambda: True)
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    assert TrainingArguments(str(tmp_path)).use_cpu


def test_aliases_that_expand_without_end_are_refused(tmp_path):
    lines = ["lr_scheduler_kwargs:", "  a0: &a0 [1, 2, 3, 4, 5, 6, 7, 8, 9]"]
    lines += [f"  a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    (tmp_path / "a.yaml").write_text("\n".join(lines))
    with pytest.raises(RecipeError, match=r"a\.yaml:1: lr_scheduler_kwargs: more than 10000 values"):
        parse(["--config", str(tmp_path / "a.yaml")], RunArguments)

"""Configurations, Makefile and README agree with the code."""

import contextlib
import io
import json
import re
import shlex
import subprocess
from itertools import chain
from pathlib import Path

import pytest
import yaml
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from huggingface_hub import ModelCard

from bench.augmentation import format_augmentation
from bench.claims import format_claims, list_claims, list_students
from bench.ensembles import format_ensembles, load_ensembles
from bench.errors import format_kinds, format_seen, format_sides, load_errors
from bench.frontier import format_frontier, load_frontier
from bench.misc import MISC, format_changes, format_errors
from bench.reference import format_intervals, load_tags
from bench.report import (
    BEST,
    format_contexts,
    format_distilled,
    format_f1,
    format_rates,
    format_speed,
    format_study,
    format_tags,
    format_trials,
    load_study,
    load_tables,
)
from bench.serving_tables import (
    OTHERS,
    format_environments,
    format_forms,
    format_limits,
    format_serving_speed,
    load_serving,
)
from bench.study import LOCAL
from bench.tables import (
    format_calibration,
    format_coverage,
    format_filling_speed,
    format_fuzzing,
    format_likelihood,
    format_orders,
    format_passes,
    format_tagging_f1,
    format_tagging_speed,
    load_filling,
    load_tagging,
)
from recipe.__main__ import VERBS
from recipe.__main__ import main as run_verb
from recipe.arguments import MlmArguments, NerArguments, RunArguments, parse
from recipe.evaluation.results import format_reference, format_table
from recipe.evaluation.scoring import format_report
from recipe.model.settings import ModelArguments

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", *ROOT.glob("CONTRIBUTING.md"), *sorted((ROOT / "docs").glob("*.md"))]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
CONFIGS = {"ner": NerArguments, "mlm": MlmArguments}
RUN_CONFIGS = sorted(path for kind in CONFIGS for path in (ROOT / "configs" / kind).glob("*.yaml"))
ACCELERATE = sorted((ROOT / "configs" / "accelerate").glob("*.yaml"))


def header_commands(text):
    """The commands in a file's comment header, continued lines joined."""
    lines = re.sub(r"\\\n#? *", " ", text).splitlines()
    return [line.lstrip("# ") for line in lines if line.lstrip("# ").startswith("accelerate launch")]


@pytest.mark.parametrize("path", RUN_CONFIGS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_run_configuration_parses(path):
    arguments = parse(["--config", str(path)], ModelArguments, CONFIGS[path.parent.name], RunArguments)
    assert arguments[2].do_train
    assert arguments[2].output_dir == f"runs/{path.parent.name}/{path.stem}"


@pytest.mark.parametrize("path", [*RUN_CONFIGS, *ACCELERATE], ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_header_names_a_command_of_existing_files(path):
    commands = header_commands(path.read_text())
    assert commands
    assert any(str(path.relative_to(ROOT)) in command for command in commands)
    for command in commands:
        for word in shlex.split(command):
            if word.startswith("configs/") or word.endswith(".py"):
                assert (ROOT / word).exists(), word


@pytest.mark.parametrize("path", ACCELERATE, ids=lambda path: path.stem)
def test_accelerate_reads_its_configuration(path):
    args = launch_command_parser().parse_args(["--config_file", str(path), "run_ner.py"])
    args, defaults, _ = _validate_launch_command(args)
    wanted = yaml.safe_load(path.read_text())
    assert args.num_processes == wanted["num_processes"]
    assert defaults.distributed_type.value == wanted["distributed_type"]


def make_targets():
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))


def test_make_help_lists_every_target():
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    names = set(re.findall(r"make ([a-z-]+)", listed))
    assert names == make_targets()


@pytest.mark.parametrize("target", ["mlm", "ner", "reproduce", "distil"])
def test_make_targets_run_existing_configurations(target):
    dry = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files = re.findall(r'configs/[^\s"]+|run_\w+\.py', dry)
    assert len(files) >= 3
    assert all((ROOT / file).exists() for file in files)


@pytest.mark.parametrize("target", ["reproduce-local", "silver", "distil", "tag", "push"])
def test_make_asks_for_what_a_target_needs(target):
    run = subprocess.run(["make", target], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode != 0
    assert f"usage: make {target} " in run.stderr


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_a_page_names_existing_files_and_targets(page):
    text = page.read_text()
    for path in re.findall(r"\]\((?!https?:|#)([^)#\s]+)\)", re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.S)):
        assert (page.parent / path).exists(), path
    for path in re.findall(r"(?:configs|results|tests|recipe|docs)/[\w./-]*\w", text):
        assert (ROOT / path).exists(), path
    assert set(re.findall(r"(?:^ *|`)make ([a-z-]+)", text, re.M)) <= make_targets()
    for module in re.findall(r"python -m ((?:recipe|bench)\.\w+)", text):
        assert (ROOT / (module.replace(".", "/") + ".py")).exists()
    assert set(re.findall(r"python -m recipe ([a-z]\w*)", text)) <= set(VERBS)


@pytest.fixture(scope="module")
def known_flags():
    """The settings of both scripts, the flags of the verbs by their help texts, those of Accelerate and of bench."""
    groups = (ModelArguments, *CONFIGS.values(), RunArguments)
    shown = []
    for verb in VERBS:
        with pytest.raises(SystemExit), contextlib.redirect_stdout(io.StringIO()) as text:
            run_verb([verb, "--help"])
        shown += re.findall(r"--(\w+)", text.getvalue())
    launcher = {"config_file", "num_processes", "machine_rank", "main_process_ip", "quiet"}
    own = {name for group in groups for name in group.__dataclass_fields__}
    return own | {*shown, "help_all"} | launcher | {"speed", "logdir"}


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_a_page_names_only_known_flags(page, known_flags):
    assert set(re.findall(r"--([a-z0-9_]+)", page.read_text())) <= known_flags


def test_pages_show_the_tables_that_the_results_make():
    paths = [str(path) for path in (ROOT / "results").glob("*.json")]
    assert format_table(paths) in README
    reproduction = (ROOT / "docs" / "reproduction.md").read_text()
    assert format_reference(paths) in reproduction
    assert format_intervals(load_tags()) in reproduction
    speed = (ROOT / "docs" / "speed.md").read_text()
    assert format_speed(load_tables()) in speed
    assert format_rates(load_tables()) in speed
    assert format_f1() in speed
    quality = (ROOT / "docs" / "quality.md").read_text()
    assert format_tags(load_study(), BEST) in quality
    assert format_study(load_study()) in quality
    assert format_trials(load_study()) in quality
    assert format_contexts(load_study()) in quality
    assert format_claims(list_claims()) in quality
    assert all(format_augmentation(load_study(), split) in quality for split in ("dev", "test"))
    assert all(format_ensembles(result) in quality for result in load_ensembles())
    for format_part in (format_kinds, format_seen, format_sides):
        assert format_part(load_errors()) in quality
    misc = json.loads((MISC / "mpnet-markers-mixed-seed42.json").read_text())
    for format_part in (format_errors, format_changes):
        assert format_part(misc) in quality
    distillation = (ROOT / "docs" / "distillation.md").read_text()
    assert format_distilled(load_study()) in distillation
    assert format_claims(list_students()) in distillation
    assert format_frontier(load_frontier()) in distillation
    tagging = (ROOT / "docs" / "tagging.md").read_text()
    for format_part in (format_tagging_f1, format_calibration, format_tagging_speed):
        assert format_part(load_tagging()) in tagging
    filling = (ROOT / "docs" / "filling.md").read_text()
    masked, autoregressive = load_filling()
    for part in (
        format_orders(masked, "spans"),
        format_orders(masked, "names"),
        format_orders(autoregressive, "spans"),
    ):
        assert part in filling
    assert format_passes(masked) in filling
    assert format_likelihood([masked, autoregressive]) in filling
    assert format_filling_speed() in filling
    assert format_fuzzing() in (ROOT / "docs" / "reliability.md").read_text()
    serving = (ROOT / "docs" / "serving.md").read_text()
    for result in load_serving():
        assert format_forms(result) in serving
        assert format_serving_speed(result) in serving
    assert format_limits(load_serving()) in serving
    for result in chain(*map(load_serving, OTHERS)):
        assert format_serving_speed(result) in serving
        assert format_limits([result]) in serving
    assert format_environments() in serving
    figures = json.loads((ROOT / "results" / "serving" / "service.json").read_text())
    for key, unit in (("p50_ms", "ms"), ("p99_ms", "ms"), ("memory_before", "MB"), ("memory_after", "MB")):
        assert f"{figures[key]:.0f} {unit}" in serving
    assert format_coverage() in (ROOT / "docs" / "statistics.md").read_text()
    quickstart = json.loads((ROOT / "results" / "quickstart" / "report.json").read_text())
    assert format_report(quickstart["test"]).partition("\n\nTags")[0] in README


def test_results_name_no_folder_of_the_machine_that_measured_them():
    found = [path for path in (ROOT / "results").rglob("*.json") if LOCAL.search(path.read_text())]
    assert found == []


def test_readme_shows_what_the_quickstart_suggests_next():
    command = ["make", "--no-print-directory", "-n", "quickstart"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    lines = said.partition("echo 'Next:'\n")[2].splitlines()
    assert len(lines) == 3
    assert all(shlex.split(line)[1] in README for line in lines)


def test_the_example_card_gives_the_figures_of_the_quickstart():
    """`python -m recipe card runs/ner/minilm_newswire-mini user/name > docs/example-card.md` renders it again."""
    card = ModelCard.load(ROOT / "docs" / "example-card.md")
    report = json.loads((ROOT / "results" / "quickstart" / "report.json").read_text())
    given = {(result.dataset_split, result.metric_type): result.metric_value for result in card.data.eval_results}
    assert given == {
        (name, metric): report[split]["entities"]["micro avg"][metric]
        for split, name in (("dev", "validation"), ("test", "test"))
        for metric in ("precision", "recall", "f1")
    }


def test_ci_runs_the_documented_command():
    assert "make lint test" in README
    assert (ROOT / ".ci" / "run").read_text().rstrip().endswith("make lint test")


def test_the_table_of_faults_names_existing_tests():
    assert len(list_named_tests(ROOT / "docs" / "reliability.md")) > 30


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_a_page_names_existing_tests(page):
    files = {path.name: path.read_text() for path in (ROOT / "tests").rglob("test_*.py")}
    for file, test in list_named_tests(page):
        assert file in files, file
        assert f"def {test}" in files[file], f"{file}::{test}"


def list_named_tests(page):
    """Files and, where the page names one, the test: files by their names alone, each of which there is once."""
    return re.findall(r"(test_\w+\.py)(?:::(test_\w+))?", page.read_text())


def test_no_two_files_of_tests_have_one_name():
    """pytest imports them by it."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert len(names) == len(set(names))

import os
import subprocess
import sys

import psutil
import pytest
import torch

from conftest import ROOT, run_program
from recipe import precision
from recipe.arguments import RunArguments, parse
from recipe.errors import RecipeError
from recipe.model.attention import ATTENTION
from recipe.model.settings import ModelArguments
from recipe.training import runtime

ZEN4 = {"cpu_name": "AMD EPYC", "avx512_f": True, "avx512_bf16": True}
SAPPHIRE_RAPIDS = {"cpu_name": "Intel Xeon", "avx512_f": True, "avx512_bf16": True, "amx_tile": True, "amx_bf16": True}
HASWELL = {"cpu_name": "Intel Core", "avx2": True}


@pytest.fixture(autouse=True)
def torch_as_before():
    threads, route = torch.get_num_threads(), torch.backends.mkldnn.matmul.fp32_precision
    yield
    torch.set_num_threads(threads)
    torch.backends.mkldnn.matmul.fp32_precision = route


def settings(folder, **more):
    flags = [f"--{key}={value}" for key, value in ({"output_dir": folder} | more).items()]
    return parse(flags, ModelArguments, RunArguments)


def test_precision_reaches_the_trainer(tmp_path):
    assert settings(tmp_path, precision="fp32")[1].mixed_precision == "no"
    assert settings(tmp_path, precision="bf16")[1].mixed_precision == "bf16"
    assert settings(tmp_path, bf16=True)[1].mixed_precision == "bf16"


def test_two_precisions_are_refused(tmp_path, monkeypatch):
    with pytest.raises(RecipeError, match="both bf16 and fp32 are set"):
        settings(tmp_path, precision="fp32", bf16=True)
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "fp16")
    with pytest.raises(RecipeError, match="both bf16 and fp16 are set"):
        settings(tmp_path, precision="bf16")


def test_threads_are_the_physical_cores_whatever_was_exported(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(psutil, "cpu_count", lambda logical: 6)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(12)))
    monkeypatch.setattr(runtime, "Path", lambda path: tmp_path / "no control group")
    torch.set_num_threads(1)
    runtime.prepare(*settings(tmp_path))
    assert torch.get_num_threads() == 6
    assert "runtime: 6 thread(s) per process: 6 physical core(s) for 1 process(es)" in capsys.readouterr().out
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    runtime.prepare(*settings(tmp_path))
    assert torch.get_num_threads() == 1
    runtime.prepare(*settings(tmp_path, threads=3))
    assert torch.get_num_threads() == 3
    with pytest.raises(RecipeError, match="threads: 0"):
        settings(tmp_path, threads=0)


@pytest.mark.parametrize(("quota", "cores"), [("max 100000", 8), ("250000 100000", 2), ("50000 100000", 1)])
def test_a_container_counts_its_share_of_the_cores(tmp_path, monkeypatch, quota, cores):
    (tmp_path / "cpu.max").write_text(quota + "\n")
    monkeypatch.setattr(psutil, "cpu_count", lambda logical: 8)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    monkeypatch.setattr(runtime, "Path", lambda path: tmp_path / "cpu.max")
    assert runtime.count_cores() == cores


@pytest.mark.parametrize(
    ("processor", "error", "route"),
    [(ZEN4, 4e-7, "bf16"), (ZEN4, 2e-3, "none"), (SAPPHIRE_RAPIDS, 4e-7, "none"), (HASWELL, 4e-7, "none")],
)
def test_matrix_products_take_the_fast_route_only_where_it_is_exact(tmp_path, monkeypatch, processor, error, route):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: processor)
    monkeypatch.setattr(precision, "measure_matmul_error", lambda: error)
    precision.check_onednn.cache_clear()
    torch.backends.mkldnn.matmul.fp32_precision = "none"
    runtime.prepare(*settings(tmp_path))
    assert torch.backends.mkldnn.matmul.fp32_precision == route
    precision.check_onednn.cache_clear()


def test_matrix_products_are_exact_on_this_machine(tmp_path):
    runtime.prepare(*settings(tmp_path))
    assert precision.measure_matmul_error() < precision.MOST_ERROR


def test_a_product_in_lower_precision_shows_in_the_error(monkeypatch):
    exact = torch.Tensor.__matmul__
    monkeypatch.setattr(
        torch.Tensor,
        "__matmul__",
        lambda a, b: exact(a, b) if a.dtype == torch.float64 else exact(a.bfloat16(), b.bfloat16()).float(),
    )
    assert precision.measure_matmul_error() > precision.MOST_ERROR


def test_attention_is_ours_on_a_cpu_unless_named(tmp_path):
    for more, name in [({}, ATTENTION), ({"light_dropout": False}, "eager"), ({"attn_implementation": "sdpa"}, "sdpa")]:
        arguments = settings(tmp_path, **more)
        runtime.prepare(*arguments)
        assert arguments[0].attn_implementation == name


def test_each_choice_can_be_switched_off(tmp_path, capsys):
    torch.backends.mkldnn.matmul.fp32_precision = "none"
    off = {"onednn_matmul": False, "reuse_memory": False, "light_dropout": False, "precision": "fp32", "threads": 1}
    runtime.prepare(*settings(tmp_path, **off))
    assert torch.backends.mkldnn.matmul.fp32_precision == "none"
    assert torch.get_num_threads() == 1
    assert capsys.readouterr().out.count("as set") == 4


def test_memory_is_kept_from_step_to_step():
    """In a process of its own, since there is no way back: in the long run large tensors cost no page faults."""
    code = """
import resource, sys, torch
from recipe.training.runtime import _keep_memory
if sys.argv[1] == "keep":
    _keep_memory()
for number in range(40):
    if number == 30:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    one, other = torch.ones(1 << 24), torch.ones(1 << 24)
    del one, other
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    faults = {}
    for name in ("keep", "return"):
        run = subprocess.run([sys.executable, "-c", code, name], cwd=ROOT, capture_output=True, text=True, check=True)
        faults[name] = int(run.stdout)
    if faults["return"] < 1000:
        pytest.skip("the C library of this machine keeps memory by itself")
    assert faults["keep"] < faults["return"] / 10


def test_products_of_many_shapes_do_not_pile_up_memory(tmp_path):
    """In a process of its own: what oneDNN keeps is decided once. In the precision that training takes on this CPU."""
    in_bf16 = precision.choose_precision("auto", on_cpu=True)[0] == "bf16"
    program = (
        "import torch\n"
        "from recipe.training import runtime\n"
        "from recipe.arguments import RunArguments, parse\n"
        "from recipe.model.settings import ModelArguments\n"
        f"runtime.prepare(*parse(['--use_cpu', '--output_dir={tmp_path}'], ModelArguments, RunArguments))\n"
        "weight, peaks = torch.randn(4096, 512), []\n"
        f"with torch.inference_mode(), torch.autocast('cpu', torch.bfloat16, enabled={in_bf16}):\n"
        "    for rows in range(100, 1000):\n"
        "        torch.nn.functional.linear(torch.randn(rows, 512), weight)\n"
        "        if rows in (400, 999):\n"
        "            peaks += [int(line.split()[1]) >> 10 for line in open('/proc/self/status') if 'VmHWM' in line]\n"
        "print(peaks[1] - peaks[0])\n"
    )
    assert (
        int(run_program(program).splitlines()[-1]) < 600
    )  # MB; with the 1,024 kernels that oneDNN keeps by itself, some 3,000

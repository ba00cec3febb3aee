"""What a run makes of the machine: precision, threads, matrix products, memory; decided once, before the model loads.

Each choice is a setting with an automatic default; `prepare` makes them and prints what it chose and why.
"""

import ctypes
import os
from pathlib import Path

import psutil
import torch

from recipe.model.attention import ATTENTION
from recipe.model.settings import ModelArguments
from recipe.training.settings import TrainingArguments

MOST_ERROR = 1e-5  # relative, of a fast fp32 matrix product against float64
MMAP_MAX, TRIM_THRESHOLD = -4, -1  # glibc's mallopt(3)
KERNELS = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"


def count_cores() -> int:
    """Physical cores that this process may use: those of the machine, its affinity, its control group's quota."""
    limits = [psutil.cpu_count(logical=False) or os.cpu_count() or 1]
    if hasattr(os, "sched_getaffinity"):
        limits.append(len(os.sched_getaffinity(0)))
    quota = Path("/sys/fs/cgroup/cpu.max")
    if quota.exists():
        allowed, period = quota.read_text().split()
        if allowed != "max":
            limits.append(max(1, int(allowed) // int(period)))
    return min(limits)


def prepare(model_args: ModelArguments, training_args: TrainingArguments) -> None:
    """Set torch and the allocator up as the settings say, choose the attention, and print it in the first process."""
    precision, reason = training_args.mixed_precision, training_args.precision_reason
    lines = [f"precision {'fp32' if precision == 'no' else precision}: {reason}"]
    if training_args.use_cpu:
        ranks = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        lines += [
            _set_threads(training_args.threads, ranks),
            _limit_kernels(),
            _route_matmul() if training_args.onednn_matmul else "fp32 matrix products by torch's default: as set",
            _keep_memory() if training_args.reuse_memory else "freed memory returns to the system: as set",
        ]
        if model_args.attn_implementation is None:
            model_args.attn_implementation = ATTENTION if model_args.light_dropout else "eager"
            lines.append(f"attention {model_args.attn_implementation}: on a CPU it trains faster than sdpa")
    else:
        if training_args.tf32:
            lines.append("fp32 matrix products in TF32, with 10 bits: the GPU has them; --tf32 false for all 23")
        if training_args.world_size == 1 < torch.cuda.device_count():
            lines.append(f"one GPU of {torch.cuda.device_count()}: configs/accelerate/multi_gpu.yaml uses all")
    if training_args.process_index == 0:
        print(*(f"runtime: {line}" for line in lines), sep="\n", flush=True)


def _set_threads(wanted: int | None, ranks: int) -> str:
    cores = count_cores()
    # torch took its number from OMP_NUM_THREADS, which `accelerate launch` sets to 1 unless told otherwise.
    torch.set_num_threads(wanted or max(1, cores // ranks))
    reason = "as set" if wanted else f"{cores} physical core(s) for {ranks} process(es)"
    return f"{torch.get_num_threads()} thread(s) a process: {reason}"


def _limit_kernels() -> str:
    """oneDNN makes a kernel with buffers for each new shape, as of a batch's masked tokens, and would keep 1,024."""
    os.environ.setdefault(KERNELS, "64")  # which is read when the first one is made
    return f"oneDNN keeps {os.environ[KERNELS]} kernels"


def _route_matmul() -> str:
    """On AMD processors MKL multiplies fp32 slowly and oneDNN does not; "bf16" leads there.

    The name allows oneDNN to compute in bf16, which it does only on processors with AMX: so not there, and not where
    a probe shows that it did.
    """
    can = torch.cpu.get_capabilities()
    if "AMD" not in can.get("cpu_name", "") or not can.get("avx512_f") or can.get("amx_tile"):
        return "fp32 matrix products by torch's default: the processor is no AMD with AVX-512 and without AMX"
    before = torch.backends.mkldnn.matmul.fp32_precision
    torch.backends.mkldnn.matmul.fp32_precision = "bf16"
    error = measure_matmul_error()
    if error < MOST_ERROR:
        return f"fp32 matrix products by oneDNN: an AMD processor with AVX-512; relative error {error:.0e}"
    torch.backends.mkldnn.matmul.fp32_precision = before
    return f"fp32 matrix products by torch's default: oneDNN's have a relative error of {error:.0e}"


def measure_matmul_error() -> float:
    """The relative error (Frobenius norm) of one fp32 matrix product, as torch is set up now, against float64."""
    draw = torch.Generator().manual_seed(0)
    left, right = torch.randn(128, 512, generator=draw), torch.randn(512, 128, generator=draw)
    exact = left.double() @ right.double()
    return float((left @ right - exact).norm() / exact.norm())


def _keep_memory() -> str:
    """Let glibc keep what is freed: mapping a batch's large tensors anew costs a page fault for each 4 KiB."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is None or not (mallopt(MMAP_MAX, 0) and mallopt(TRIM_THRESHOLD, 2**31 - 1)):
        return "freed memory returns to the system: the C library has no mallopt"
    return "freed memory is kept for the next step"

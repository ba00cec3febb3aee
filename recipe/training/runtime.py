"""Use of the hardware: precision, threads, matrix products and memory, chosen once before the model is loaded.

Each choice is a setting with an automatic default. `prepare` applies the choices and prints each with its reason.
"""

import ctypes
import os
from pathlib import Path

import psutil
import torch
from transformers import PreTrainedConfig

from recipe.errors import RecipeError
from recipe.model.architectures import find_architecture
from recipe.model.attention import ATTENTION
from recipe.model.settings import ModelArguments
from recipe.precision import AS_SET, MATMUL, ONEDNN, check_onednn
from recipe.training.settings import TrainingArguments

MMAP_MAX, TRIM_THRESHOLD = -4, -1  # glibc's mallopt(3)
KERNELS = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"


def count_cores() -> int:
    """The physical cores that this process can use, limited by the machine, CPU affinity and control group quota."""
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
    """Configure torch and the allocator, choose the attention, and print the choices in the first process."""
    precision, reason = training_args.mixed_precision, training_args.precision_reason
    lines = [f"precision {'fp32' if precision == 'no' else precision}: {reason}"]
    if training_args.use_cpu:
        ranks = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        lines += [
            _set_threads(training_args.threads, ranks),
            _limit_kernels(),
            _route_matmul() if training_args.onednn_matmul else "fp32 matrix products by the default of torch: as set",
            _keep_memory() if training_args.reuse_memory else "freed memory is returned to the system: as set",
        ]
        if model_args.attn_implementation is None:
            model_args.attn_implementation = ATTENTION if model_args.light_dropout else "eager"
            lines.append(f"attention {model_args.attn_implementation}: on a CPU it trains faster than sdpa")
    else:
        if training_args.tf32:
            lines.append("fp32 matrix products in TF32 (10 bits): the GPU supports it; for all 23 bits, --tf32 false")
        if training_args.world_size == 1 < torch.cuda.device_count():
            lines.append(f"one GPU of {torch.cuda.device_count()}: to use all, configs/accelerate/multi_gpu.yaml")
    if training_args.process_index == 0:
        print(*(f"runtime: {line}" for line in lines), sep="\n", flush=True)


def adapt_precision(training_args: TrainingArguments, config: PreTrainedConfig) -> None:
    """Change an automatic precision to fp32 for models that fail in another. Raises RecipeError if it was set."""
    chosen = training_args.mixed_precision
    if chosen == "no" or not find_architecture(config.model_type).fp32_only:
        return
    if training_args.precision_reason == AS_SET:
        raise RecipeError(f"precision {chosen}: {config.model_type} models fail in it: set precision to fp32")
    training_args.bf16, training_args.mixed_precision = False, "no"
    if training_args.process_index == 0:
        print(f"runtime: precision fp32 instead: {config.model_type} models fail in {chosen}", flush=True)


def _set_threads(wanted: int | None, ranks: int) -> str:
    cores = count_cores()
    # torch uses OMP_NUM_THREADS by default, which `accelerate launch` sets to 1 unless it is configured.
    torch.set_num_threads(wanted or max(1, cores // ranks))
    reason = "as set" if wanted else f"{cores} physical core(s) for {ranks} process(es)"
    return f"{torch.get_num_threads()} thread(s) per process: {reason}"


def _limit_kernels() -> str:
    """Limit the kernel cache of oneDNN: it caches a kernel with buffers for each new shape, 1,024 by default."""
    os.environ.setdefault(KERNELS, "64")  # oneDNN reads this when it creates the first kernel
    return f"oneDNN caches {os.environ[KERNELS]} kernels"


def _route_matmul() -> str:
    """Use oneDNN for fp32 matrix products where that is fast and exact; see `check_onednn`."""
    chosen, reason = check_onednn()
    if chosen:
        MATMUL.fp32_precision = ONEDNN
    return f"fp32 matrix products by {'oneDNN' if chosen else 'the default of torch'}: {reason}"


def _keep_memory() -> str:
    """Make glibc keep freed memory: mapping the large tensors of a batch again costs a page fault per 4 KiB."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is None or not (mallopt(MMAP_MAX, 0) and mallopt(TRIM_THRESHOLD, 2**31 - 1)):
        return "freed memory is returned to the system: the C library has no mallopt"
    return "freed memory is kept for the next step"

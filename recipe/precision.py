"""Choice of the precision to compute in: fp32, bf16 or fp16, and of the library for fp32 matrix products on CPUs."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch

MATMUL: Any = torch.backends.mkldnn.matmul  # pyrefly: ignore[missing-attribute]  # torch adds it at run time
# The value of `MATMUL.fp32_precision` for oneDNN. It also allows oneDNN to compute in bf16, which it does only on CPUs
# with AMX.
ONEDNN = "bf16"
AS_SET = "as set"  # the reason for a precision that the user chose
MOST_ERROR = 1e-5  # largest relative error of a fast fp32 matrix product, compared to float64


def choose_precision(wanted: str, on_cpu: bool) -> tuple[str, str]:
    """The precision to compute in, and the reason for it. "auto" is bf16 if the hardware supports it, else fp32."""
    if wanted != "auto":
        return wanted, AS_SET
    if on_cpu:
        can = torch.cpu.get_capabilities()
        native = [name for name in ("amx_bf16", "avx512_bf16", "bf16") if can.get(name)]  # the last is Arm's
        return ("bf16", f"the CPU supports {native[0]}") if native else ("fp32", "the CPU does not support bf16")
    if torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False):
        return "bf16", "the GPU supports bf16"
    return "fp32", "the accelerator does not support bf16"


@cache
def check_onednn() -> tuple[bool, str]:
    """Whether to use oneDNN for fp32 matrix products, and the reason: on AMD CPUs MKL, the default, is slow.

    Not on CPUs with AMX, nor if a test product shows a large error.
    """
    can = torch.cpu.get_capabilities()
    if "AMD" not in can.get("cpu_name", "") or not can.get("avx512_f") or can.get("amx_tile"):
        return False, "not an AMD CPU with AVX-512 and without AMX"
    with _use_onednn():
        error = measure_matmul_error()
    if error < MOST_ERROR:
        return True, f"an AMD CPU with AVX-512; relative error {error:.0e}"
    return False, f"oneDNN has a relative error of {error:.0e}"


@contextmanager
def fast_matmul(enabled: bool = True) -> Iterator[None]:
    """A context in which fp32 matrix products on the CPU use oneDNN, if `check_onednn` chooses it."""
    if enabled and check_onednn()[0]:
        with _use_onednn():
            yield
    else:
        yield


@contextmanager
def _use_onednn() -> Iterator[None]:
    before, MATMUL.fp32_precision = MATMUL.fp32_precision, ONEDNN
    try:
        yield
    finally:
        MATMUL.fp32_precision = before


def measure_matmul_error() -> float:
    """The relative error (Frobenius norm) of an fp32 matrix product in the current setup of torch, against float64."""
    draw = torch.Generator().manual_seed(0)
    left, right = torch.randn(128, 512, generator=draw), torch.randn(512, 128, generator=draw)
    exact = left.double() @ right.double()
    return float((left @ right - exact).norm() / exact.norm())

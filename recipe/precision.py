"""What to compute in: fp32, bf16 or fp16."""

import torch


def choose_precision(wanted: str, on_cpu: bool) -> tuple[str, str]:
    """What to train in, and why: `wanted` itself, or for "auto" bf16 where the hardware multiplies it natively."""
    if wanted != "auto":
        return wanted, "as set"
    if on_cpu:
        can = torch.cpu.get_capabilities()
        native = [name for name in ("amx_bf16", "avx512_bf16", "bf16") if can.get(name)]  # the last is Arm's
        return ("bf16", f"the processor has {native[0]}") if native else ("fp32", "the processor has no bf16 products")
    if torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False):
        return "bf16", "the GPU has bf16 products"
    return "fp32", "the accelerator has no bf16 products"

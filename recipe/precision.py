"""Choice of the precision to compute in: fp32, bf16 or fp16."""

import torch


def choose_precision(wanted: str, on_cpu: bool) -> tuple[str, str]:
    """The precision to compute in, and the reason for it. "auto" is bf16 if the hardware supports it, else fp32."""
    if wanted != "auto":
        return wanted, "as set"
    if on_cpu:
        can = torch.cpu.get_capabilities()
        native = [name for name in ("amx_bf16", "avx512_bf16", "bf16") if can.get(name)]  # the last is Arm's
        return ("bf16", f"the CPU supports {native[0]}") if native else ("fp32", "the CPU does not support bf16")
    if torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False):
        return "bf16", "the GPU supports bf16"
    return "fp32", "the accelerator does not support bf16"

import pytest
import torch

from recipe.arguments import RunArguments, parse
from recipe.model.settings import ModelArguments
from recipe.precision import choose_precision

ZEN4 = {"cpu_name": "AMD EPYC", "avx512_f": True, "avx512_bf16": True}
SAPPHIRE_RAPIDS = {"cpu_name": "Intel Xeon", "avx512_f": True, "avx512_bf16": True, "amx_tile": True, "amx_bf16": True}
HASWELL = {"cpu_name": "Intel Core", "avx2": True}
GRAVITON3 = {"bf16": True}


def settings(folder, **more):
    flags = [f"--{key}={value}" for key, value in ({"output_dir": folder} | more).items()]
    return parse(flags, ModelArguments, RunArguments)


@pytest.mark.parametrize(
    ("processor", "wanted", "precision", "word"),
    [
        (ZEN4, "auto", "bf16", "avx512_bf16"),
        (SAPPHIRE_RAPIDS, "auto", "bf16", "amx_bf16"),
        (GRAVITON3, "auto", "bf16", "bf16"),
        (HASWELL, "auto", "fp32", "does not support bf16"),
        (HASWELL, "bf16", "bf16", "as set"),
        (ZEN4, "fp32", "fp32", "as set"),
    ],
)
def test_precision_follows_the_processor_unless_set(monkeypatch, processor, wanted, precision, word):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: processor)
    found, reason = choose_precision(wanted, on_cpu=True)
    assert found == precision
    assert word in reason


@pytest.mark.parametrize(("can", "precision"), [(True, "bf16"), (False, "fp32")])
def test_precision_follows_the_gpu(monkeypatch, can, precision):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: can)
    assert choose_precision("auto", on_cpu=False)[0] == precision

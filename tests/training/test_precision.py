"""The choice of device and number format."""

import pytest
import torch

from hypermixer.errors import InputError
from hypermixer.training.precision import choose_device, choose_precision

CPU = torch.device("cpu")


def test_cpu_and_unknown_names():
    assert choose_device("cpu") == CPU
    for name in ("gpu", "cuda:x", "CPU", ""):
        with pytest.raises(InputError, match=f"--device {name}"):
            choose_device(name)


def test_cuda_that_is_not_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == CPU
    with pytest.raises(InputError, match="--device cuda:1"):
        choose_device("cuda:1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("auto") == choose_device("cuda") == torch.device("cuda", 0)
    assert choose_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(InputError, match="cuda:1"):
        choose_device("cuda:2")


@pytest.mark.parametrize(("capability", "name"), [("amx_bf16", "bf16"), ("avx512_bf16", "bf16"), ("avx2", "fp32")])
def test_bf16_where_the_processor_multiplies_it(monkeypatch, capability, name):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {capability: True})
    chosen = choose_precision("auto", CPU)
    assert (chosen.name, chosen.bf16) == (name, name == "bf16")
    assert "bf16" in chosen.reason
    assert choose_precision("fp32", CPU).name == "fp32"

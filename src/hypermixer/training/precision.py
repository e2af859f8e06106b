"""Which device a run uses, and which number format trains fastest on it without harm."""

import re
from dataclasses import dataclass

import torch

from hypermixer.errors import InputError


def choose_device(name: str, option: str = "--device") -> torch.device:
    """The device of `auto`, `cpu`, `cuda` or `cuda:N`; `auto` is the first GPU, or the CPU where there is none.

    Raises:
        InputError: another name, or a GPU that this machine does not have; names `option`.
    """
    if name == "auto":
        return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    if name == "cpu":
        return torch.device("cpu")
    match = re.fullmatch(r"cuda(?::(\d+))?", name)
    if match is None:
        raise InputError(f"{option} {name}: unknown device; known: auto, cpu, cuda, cuda:N.")
    if not torch.cuda.is_available():
        raise InputError(f"{option} {name}: no CUDA device is available here; use {option} cpu.")
    index, count = int(match[1] or 0), torch.cuda.device_count()
    if index >= count:
        raise InputError(f"{option} {name}: there is no such device; the last is cuda:{count - 1}.")
    return torch.device("cuda", index)


@dataclass(frozen=True)
class Precision:
    """The number format of the matrix products in training; weights stay in float32.

    Attributes:
        name: `fp32` or `bf16`.
        reason: why, in words.
    """

    name: str
    reason: str

    @property
    def bf16(self) -> bool:
        return self.name == "bf16"


def choose_precision(name: str, device: torch.device) -> Precision:
    """The format of `auto`, `fp32` or `bf16`; `auto` is bfloat16 where the processor multiplies it in hardware."""
    if name != "auto":
        return Precision(name, "asked for")
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
        return Precision("bf16" if fast else "fp32", f"the GPU {'has' if fast else 'lacks'} bfloat16 arithmetic")
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    for name in ("amx_bf16", "avx512_bf16"):
        if capabilities.get(name):
            return Precision("bf16", f"the processor has {name}")
    return Precision("fp32", "the processor has neither amx_bf16 nor avx512_bf16")

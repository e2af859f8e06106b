"""The machine's own limits in the same run, and what tells this machine from another of the same name."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hypermixer.costs.timing import interleaved, spread, synchronizer
from hypermixer.machine import machine

SIZES = (1024, 2048, 4096)
COPY_MEBIBYTES = 256
#: Instruction sets that decide how fast a matrix product can be.
FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "amx_tile")


@dataclass(frozen=True)
class Ceilings:
    """The fastest large matrix product and the fastest large copy seen so far."""

    matrix_flops_per_second: float
    copy_bytes_per_second: float

    def better(self, other: "Ceilings") -> "Ceilings":
        """The higher of both, limit by limit: a machine is at least as fast as it has been seen to be."""
        return Ceilings(
            max(self.matrix_flops_per_second, other.matrix_flops_per_second),
            max(self.copy_bytes_per_second, other.copy_bytes_per_second),
        )

    def least_seconds(self, flops: float, moved: float) -> float:
        """No call that does `flops` operations and moves `moved` bytes can take less time than this."""
        return max(flops / self.matrix_flops_per_second, moved / self.copy_bytes_per_second)


def ceilings(
    device: torch.device, dtype: torch.dtype, sizes: tuple[int, ...] = SIZES, mebibytes: int = COPY_MEBIBYTES
) -> Ceilings:
    """Measures both limits: the best of several square products, by the faster library, and one large copy."""
    wait = synchronizer(device)
    rate = 0.0
    for size in sizes:
        a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
        runs = [lambda a=a, b=b: a @ b, lambda a=a, b=b: a @ b.T]
        if device.type == "cpu" and torch.backends.mkldnn.is_available() and dtype in (torch.float32, torch.bfloat16):
            runs.append(lambda a=a, b=b: _onednn(a, b))
        with torch.inference_mode():
            times = interleaved(runs, budget=4.0, rounds=9, synchronize=wait)
        rate = max(rate, 2.0 * size**3 / min(spread(record).median for record in times))
    source = torch.zeros(mebibytes * 2**18, device=device)
    target = torch.empty_like(source)
    copy = spread(interleaved([lambda: target.copy_(source)], rounds=9, synchronize=wait)[0]).median
    return Ceilings(rate, 2.0 * mebibytes * 2**20 / copy)


def _onednn(a: Tensor, b: Tensor) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(a, b, None, "none", [], "none")


def described_machine(device: torch.device) -> dict[str, Any]:
    """`hypermixer.machine.machine`, and for a CPU its family, model and matrix instructions, in the slug too.

    Virtual machines call quite different generations by one name ("AMD EPYC").
    """
    here = machine(str(device))
    if device.type != "cpu":
        return here
    details = _cpuinfo()
    numbers = [f"{name}-{details[name]}" for name in ("family", "model") if name in details]
    return {**here, "processor": details, "slug": "-".join([here["slug"], *numbers])}


def _cpuinfo(path: Path = Path("/proc/cpuinfo")) -> dict[str, Any]:
    """Family, model and instruction flags as Linux tells them; empty elsewhere."""
    try:
        text = path.read_text()
    except OSError:
        return {}
    found: dict[str, Any] = {}
    for name, key in (("family", "cpu family"), ("model", "model")):
        if match := re.search(rf"^{key}\s*:\s*(\d+)$", text, re.MULTILINE):
            found[name] = int(match[1])
    if match := re.search(r"^flags\s*:\s*(.+)$", text, re.MULTILINE):
        known = set(match[1].split())
        found["instructions"] = [flag for flag in FLAGS if flag in known]
    return found

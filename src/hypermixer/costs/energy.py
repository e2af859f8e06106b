"""Energy that a block of work used, where the machine can tell: RAPL for a CPU, NVML for an NVIDIA GPU.

Sources: Linux, Documentation/power/powercap; NVML, nvmlDeviceGetTotalEnergyConsumption. Both count what the whole chip
used, idle power and other programs included.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import torch

POWERCAP = Path("/sys/class/powercap")


@dataclass
class Energy:
    """What a block used.

    Attributes:
        joules: None inside the block, and where the machine cannot tell.
        source: which counters were read; None: none.
        reason: why there is no number; None where there is one.
    """

    joules: float | None = None
    source: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Gauge:
    """A counter of energy.

    Attributes:
        read: joules since some time before.
        span: joules at which it starts from zero again; None: never.
    """

    name: str
    read: Callable[[], float]
    span: float | None = None

    def between(self, before: float, after: float) -> float:
        """Joules from one reading to a later one; a counter that wrapped twice in between is not noticed."""
        wrapped = after < before and self.span is not None
        return after - before + (self.span or 0.0) * wrapped


@contextmanager
def energy_used(device: torch.device, powercap: Path = POWERCAP) -> Iterator[Energy]:
    """The energy of the block inside, of which the result knows once the block is done.

    Args:
        device: a CPU (all its packages, and their memory where it is counted) or one GPU (that board alone).
        powercap: sysfs folder of the RAPL zones.
    """
    gauges = _nvml(device) if device.type == "cuda" else _rapl(powercap)
    if isinstance(gauges, str):
        yield Energy(reason=gauges)
        return
    used = Energy(source=" + ".join(gauge.name for gauge in gauges))
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda _: None
    wait(device)
    before = [gauge.read() for gauge in gauges]
    yield used
    wait(device)
    used.joules = sum(gauge.between(start, gauge.read()) for gauge, start in zip(gauges, before, strict=True))


def _rapl(powercap: Path) -> list[Gauge] | str:
    """Gauges of every package and its memory, or why there are none, in one clause.

    Zones inside a package are parts of it, except its memory (`dram`); `psys` holds the packages, and `intel-rapl-mmio`
    shows them a second time. AMD's zones bear Intel's names.
    """
    found = []
    for zone in sorted(powercap.glob("intel-rapl:*")):
        try:
            name = (zone / "name").read_text().strip()
            if not name.startswith("package") and name != "dram":
                continue
            span = float((zone / "max_energy_range_uj").read_text()) / 1e6
            gauge = Gauge(f"RAPL {zone.name} ({name})", lambda file=zone / "energy_uj": _joules(file), span)
            gauge.read()
        except PermissionError as error:
            return f"{error.filename} may be read by root only"
        except (OSError, ValueError) as error:
            return f"the RAPL zone {zone} cannot be read ({error})"
        found.append(gauge)
    return found or f"there are no RAPL counters in {powercap}, as is usual in a virtual machine or a container"


def _joules(file: Path) -> float:
    return float(file.read_text()) / 1e6


def _nvml(device: torch.device) -> list[Gauge] | str:
    try:
        nvml = import_module("pynvml")
    except ImportError:
        return "the GPU's energy counter is read through pynvml, which is not installed (pip install nvidia-ml-py)"
    try:
        nvml.nvmlInit()
        handle = nvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(device).uuid}")
        nvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except nvml.NVMLError as error:
        return f"the GPU's energy counter cannot be read ({error})"
    name = f"NVML {torch.cuda.get_device_name(device)}"
    return [Gauge(name, lambda: nvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3)]

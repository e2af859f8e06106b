"""Energy from a made-up sysfs and a made-up NVML: sums, wrap-around, and a reason where there is no number."""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch

from hypermixer.costs import energy
from hypermixer.costs.energy import energy_used

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


def zone(root: Path, folder: str, name: str, microjoules: int, span: int = 1_000_000_000) -> Path:
    path = root / folder
    path.mkdir()
    (path / "name").write_text(f"{name}\n")
    (path / "max_energy_range_uj").write_text(f"{span}\n")
    counter = path / "energy_uj"
    counter.write_text(f"{microjoules}\n")
    return counter


def test_packages_and_their_memory_add_up_and_what_they_hold_does_not(tmp_path: Path) -> None:
    counted = [zone(tmp_path, "intel-rapl:0", "package-0", 5_000_000), zone(tmp_path, "intel-rapl:0:1", "dram", 0)]
    counted.append(zone(tmp_path, "intel-rapl:1", "package-1", 7))
    inside = [zone(tmp_path, "intel-rapl:0:0", "core", 0), zone(tmp_path, "intel-rapl:2", "psys", 0)]
    inside.append(zone(tmp_path, "intel-rapl-mmio:0", "package-0", 0))
    with energy_used(CPU, tmp_path) as used:
        assert used.joules is None
        for counter in (*counted, *inside):
            counter.write_text(str(int(counter.read_text()) + 2_500_000))
    assert used.joules == pytest.approx(7.5) and used.reason is None
    assert used.source == "RAPL intel-rapl:0 (package-0) + RAPL intel-rapl:0:1 (dram) + RAPL intel-rapl:1 (package-1)"


def test_a_counter_that_starts_again_from_zero(tmp_path: Path) -> None:
    counter = zone(tmp_path, "intel-rapl:0", "package-0", 99_000_000, span=100_000_000)
    with energy_used(CPU, tmp_path) as used:
        counter.write_text("2000000")
    assert used.joules == pytest.approx(3.0)


def test_no_counters_and_unreadable_counters_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with energy_used(CPU, tmp_path / "absent") as used:
        pass
    assert used.joules is used.source is None and "no RAPL counters" in (used.reason or "")
    counter = zone(tmp_path, "intel-rapl:0", "package-0", 1)

    def refuse(file: Path) -> float:
        raise PermissionError(13, "Permission denied", str(file))

    monkeypatch.setattr(energy, "_joules", refuse)
    with energy_used(CPU, tmp_path) as used:
        pass
    assert used.reason == f"{counter} may be read by root only"
    (tmp_path / "intel-rapl:0" / "max_energy_range_uj").write_text("much")
    with energy_used(CPU, tmp_path) as used:
        pass
    assert "cannot be read" in (used.reason or "")


class Broken(Exception):
    pass


def nvml(readings: list[int], asked: list[str]) -> ModuleType:
    module = ModuleType("pynvml")
    module.__dict__.update(
        nvmlInit=lambda: None,
        NVMLError=Broken,
        nvmlDeviceGetHandleByUUID=asked.append,
        nvmlDeviceGetTotalEnergyConsumption=lambda _: readings.pop(0),
    )
    return module


def on_a_gpu(monkeypatch: pytest.MonkeyPatch, module: ModuleType | None) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", module)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(uuid="12-34"))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "A Chip")
    monkeypatch.setattr(torch.cuda, "synchronize", lambda _: None)


def test_a_gpus_counter_is_found_by_its_number_and_read_in_millijoules(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    on_a_gpu(monkeypatch, nvml([0, 1000, 3500], asked))
    with energy_used(GPU) as used:
        pass
    assert used.joules == pytest.approx(2.5) and used.source == "NVML A Chip" and asked == ["GPU-12-34"]


def test_a_gpu_without_pynvml_or_counter(monkeypatch: pytest.MonkeyPatch) -> None:
    on_a_gpu(monkeypatch, None)  # which is how Python is told that a module cannot be imported
    with energy_used(GPU) as used:
        pass
    assert used.joules is None and "pip install" in (used.reason or "")
    module = nvml([], [])

    def refuse(_: object) -> int:
        raise Broken("Not Supported")

    module.__dict__["nvmlDeviceGetTotalEnergyConsumption"] = refuse
    on_a_gpu(monkeypatch, module)
    with energy_used(GPU) as used:
        pass
    assert used.reason == "the GPU's energy counter cannot be read (Not Supported)"

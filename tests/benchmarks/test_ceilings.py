"""Limits and names of machines."""

from pathlib import Path

import pytest
import torch
from benchmarks.ceilings import Ceilings, ceilings, described_machine

from benchmarks import ceilings as module

CPU = torch.device("cpu")
CPUINFO = (
    "processor : 0\ncpu family\t: 25\nmodel\t\t: 17\nmodel name\t: AMD EPYC\nflags\t\t: fpu avx2 avx512f avx512_bf16\n"
)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_limits_are_of_this_machines_order(dtype: torch.dtype) -> None:
    found = ceilings(CPU, dtype, sizes=(64,), mebibytes=1)
    assert 1e7 < found.matrix_flops_per_second < 1e15 and 1e7 < found.copy_bytes_per_second < 1e14


def test_the_slower_limit_decides() -> None:
    limit = Ceilings(100.0, 10.0)
    assert limit.least_seconds(flops=300, moved=10) == 3.0
    assert limit.least_seconds(flops=100, moved=40) == 4.0
    assert limit.better(Ceilings(50.0, 20.0)) == Ceilings(100.0, 20.0)


def test_two_generations_of_one_name_have_two_slugs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slugs = []
    for number in (17, 2):
        path = tmp_path / f"cpuinfo{number}"
        path.write_text(CPUINFO.replace("model\t\t: 17", f"model\t\t: {number}"))
        details = module._cpuinfo(path)
        assert details == {"family": 25, "model": number, "instructions": ["avx2", "avx512f", "avx512_bf16"]}
        monkeypatch.setattr(module, "_cpuinfo", lambda details=details: details)
        slugs.append(described_machine(CPU)["slug"])
        monkeypatch.undo()
    assert slugs[0].endswith("-family-25-model-17") and slugs[1].endswith("-family-25-model-2")


def test_where_the_system_tells_nothing_the_name_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert module._cpuinfo(tmp_path / "absent") == {}
    monkeypatch.setattr(module, "_cpuinfo", dict)
    assert described_machine(CPU)["slug"] == module.machine()["slug"]

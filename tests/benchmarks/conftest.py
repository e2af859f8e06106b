"""One small measurement that the tests of rows, tables and figures share."""

from typing import Any

import pytest
import torch
from benchmarks.ceilings import Ceilings
from benchmarks.layer import Request

from benchmarks import layer


def small(**changes: Any) -> Request:
    sizes: dict[str, Any] = {"lengths": (5, 16), "heads": (1, 3), "d_model": 24, "d_hidden": 36, "tokens": 64}
    return Request(torch.float32, **{**sizes, "budget": 0.0, **changes})


def limits(*_: Any) -> Ceilings:
    return Ceilings(2e11, 3e10)


@pytest.fixture(scope="package")
def rows() -> list[dict[str, Any]]:
    return layer.measure(small(), limits)[0]


@pytest.fixture
def document(rows: list[dict[str, Any]]) -> dict[str, Any]:
    machine = {"slug": "a-chip", "device": "A Chip", "versions": {"torch": "2.13.0"}}
    used = {"contender": "hypermixing", "tied": True, "batch": 2, "length": 3, "dtype": "float32"}
    return {
        "format": 2, "date": "2026-01-01T00:00:00", "dtype": "float32", "tokens": 64, "threads": 1, "machine": machine,
        "ceilings": {"matrix_flops_per_second": 2e11, "copy_bytes_per_second": 3e10}, "skipped": [],
        "memory": [{**used, "hidden_bytes": 40, "kept_bytes": 10, "peak_bytes": 30, "working_bytes": 0}], "rows": rows,
    }  # fmt: skip

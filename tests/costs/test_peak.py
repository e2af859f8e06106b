"""Peak memory: a step of known size, forks that the system kills, and processes that fail."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from hypermixer.costs import peak
from hypermixer.costs.contender import Contender
from hypermixer.costs.peak import Peak, Request, peaks
from hypermixer.errors import WorkError

CPU = torch.device("cpu")
WIDE = {"hidden_size": 256, "num_hidden_layers": 2, "intermediate_size": 2048}
NONE = Contender("none", {}, WIDE)
pytestmark = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux' /proc")


def request_of(contender: Contender = NONE, rows: int = 4, length: int = 16, **changes: Any) -> Request:
    sizes: dict[str, Any] = {"vocab_size": 1000, "num_labels": 2, "bf16": False, **changes}
    return Request(contender, rows, length, **sizes)


def test_gradients_moments_and_activations_are_in_it() -> None:
    """Three more numbers for each parameter; each token then keeps its hidden features before and after the GELU."""
    few, many = peaks([request_of(), request_of(rows=64, length=128)], CPU)
    model = NONE.classifier(1000, 2)
    parameters = 4 * sum(p.numel() for p in model.parameters())
    assert few.bytes is not None and many.bytes is not None
    assert 2.9 * parameters < few.bytes < 3 * parameters + 40e6
    kept = 64 * 128 * 2 * 2 * 2048 * 4
    assert kept < many.bytes - few.bytes < 2.5 * kept


def test_one_request_says_nothing_about_the_next() -> None:
    large, small, again = peaks([request_of(rows=32, length=128), request_of(), request_of()], CPU)
    assert small.bytes is not None and again.bytes is not None and large.bytes is not None
    assert large.bytes > small.bytes + 50e6 and abs(small.bytes - again.bytes) < 10e6


def forked(monkeypatch: pytest.MonkeyPatch, body: Any) -> Peak:
    monkeypatch.setattr(peak, "_peak_of_process", body)
    return peak._forked(request_of())


def test_a_fork_that_runs_out_of_memory_leaves_the_others_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_: Request) -> int:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    def killed(_: Request) -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return 0

    assert forked(monkeypatch, refused) == forked(monkeypatch, killed) == Peak(None, out_of_memory=True)
    assert forked(monkeypatch, lambda _: 12) == Peak(12)


def test_a_fork_that_fails_is_not_taken_for_a_full_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(_: Request) -> int:
        raise RuntimeError("a bug")

    with pytest.raises(SystemExit):
        forked(monkeypatch, wrong)


def test_a_failed_process_is_work_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(WorkError, match="exit 1"):
        peaks([request_of()], CPU)
    failed = subprocess.CompletedProcess([], 1, "", "Traceback\nRuntimeError: a bug\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(WorkError, match="RuntimeError: a bug"):
        peaks([request_of()], CPU)


def test_a_system_without_proc_does_not_tell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(peak, "_STATUS", tmp_path / "status")
    assert peaks([request_of()], CPU) == [Peak(None)]

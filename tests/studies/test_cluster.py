"""Cells on a Ray cluster: the same cells and the same numbers, and no process left behind."""

import os
import socket
import time
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest

from hypermixer.data.parts import Texts
from hypermixer.errors import InputError, WorkError
from hypermixer.studies import engines
from hypermixer.studies.cell import Cell
from hypermixer.studies.cluster import shares
from hypermixer.studies.engines import engine
from hypermixer.studies.fill import fill
from hypermixer.studies.folder import Folder
from tests.studies.samples import training

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="needs Ray: pip install 'hypermixer[ray]'")


@pytest.mark.parametrize(
    ("cores", "workers", "threads"),
    [
        ([2], 2, 1), ([2], 1, 2), ([7], 2, 3), ([4, 4], 1, 4),
        ([4, 4], 3, 2), ([8, 2], 3, 2), ([1, 16], 4, 4), ([0, 3], 3, 1),
    ],
)  # fmt: skip
def test_every_worker_finds_a_place_on_one_node(cores: list[int], workers: int, threads: int) -> None:
    nodes = [{"CPU": float(count)} if count else {} for count in cores]
    assert shares(nodes, workers) == (threads, 0)
    assert sum(count // threads for count in cores) >= workers


def test_accelerators_are_shared() -> None:
    assert shares([{"CPU": 8.0, "GPU": 2.0}], 2) == (4, 1)
    assert shares([{"CPU": 8.0, "GPU": 2.0}], 3) == (2, 0.5)
    assert shares([{"CPU": 4.0, "GPU": 1.0}, {"CPU": 4.0, "GPU": 1.0}], 1) == (4, 1)


def test_more_workers_than_cores() -> None:
    with pytest.raises(InputError, match="--workers 3: the Ray cluster has 2 cores"):
        shares([{"CPU": 1.0}, {"CPU": 1.0}], 3)
    with pytest.raises(InputError, match="has 0 cores"):
        shares([], 1)


@needs_ray
def test_no_cluster_where_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:  # and nobody listens
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        for named in (address, f"ray://{address}"):
            monkeypatch.setenv("RAY_ADDRESS", named)
            words = rf"no cluster answers at RAY_ADDRESS={named} \(.*refused\)\.$"
            with pytest.raises(InputError, match=words), engine("ray", 1, 1):
                pass


def counting(source: str) -> Cell:
    return Cell("counts", {}, Texts(source=source))


@needs_ray
def test_the_same_cells_as_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    cells = [training(0), training(1), training(lr=1e30, batch_size=8)]
    here, there = (Folder(tmp_path / name, {"study": "x"}) for name in ("here", "there"))
    before = set(psutil.Process().children(recursive=True))
    with engine("ray", 2, 2) as runs:
        from_ray = fill(lambda _: cells, there, runs)
        begun = [p for p in psutil.Process().children(recursive=True) if p not in before]
        assert runs.slots == 2 and any("raylet" in process.name() for process in begun)
        with pytest.raises(InputError, match=r"^[^\n]*nothing-here[^\n]*$"):  # the sentence, no traceback
            runs.submit(counting("./nothing-here.csv")).result()
        victim = runs.submit(training(7, epochs=100_000))
        with monkeypatch.context() as patch:  # time is measured in this process, as its key says
            patch.setattr(engines, "run_here", lambda cell: {"here": cell.kind})
            assert runs.submit(Cell("layer", {})).result() == {"here": "layer"}
        kill_workers(begun)
        with pytest.raises(WorkError, match="A Ray worker was killed"):
            victim.result(30)
        runs.submit(training(8, epochs=100_000))  # still runs at the end
    assert "RAY_USAGE_STATS_ENABLED" not in os.environ
    assert left(begun, 60) == []
    with engine("local", 1, 1) as runs:
        from_here = fill(lambda _: cells, here, runs)
    assert from_ray.ran == from_here.ran == 3 and from_ray.rows.keys() == from_here.rows.keys()
    for key, row in from_here.rows.items():
        other = from_ray.rows[key]
        assert other["outcome"] == row["outcome"] and numbers(other) == numbers(row)
        # The format is the one in the key, not what a node of the cluster would choose.
        assert other.get("environment", {}).get("precision_reason", "asked for") == "asked for"
        assert other["machine"]["threads"] == 1 and other.get("correct") == row.get("correct")
    assert sorted(row["outcome"] for row in from_ray.rows.values()) == ["diverged", "done", "done"]
    assert fill(lambda _: cells, there, runs).ran == 0


def numbers(row: dict) -> dict:
    """Metrics of a row without what they took."""
    metrics = row.get("metrics", {})
    return {part: {name: n for name, n in of.items() if name != "seconds"} for part, of in metrics.items()}


def kill_workers(processes: list[psutil.Process]) -> None:
    """Kill what runs a cell of this test's own cluster, once it does."""
    for _ in range(200):
        running = [p for p in processes if p.is_running() and "ray::_run" in " ".join(p.cmdline())]
        for process in running:
            process.kill()
        if running:
            return
        time.sleep(0.1)
        processes = psutil.Process().children(recursive=True)
    raise AssertionError("no Ray worker began the cell")


def left(processes: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Those that do not end within so many seconds."""
    return psutil.wait_procs(processes, seconds)[1]

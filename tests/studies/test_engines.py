"""Who runs cells: each worker with its share of the cores, wrong requests told, and nothing left behind."""

import multiprocessing
import os
import signal
from pathlib import Path

import pytest
import torch

from hypermixer.cores import cores
from hypermixer.data.parts import Texts
from hypermixer.errors import InputError, WorkError
from hypermixer.machine import machine
from hypermixer.studies import engines
from hypermixer.studies.cell import Cell
from hypermixer.studies.engines import engine
from hypermixer.studies.fill import fill
from hypermixer.studies.folder import Folder
from tests.studies.samples import NLI


def counting(number: int, source: str = NLI.source) -> Cell:
    """A cell that is quick once its process has begun."""
    return Cell("counts", {"number": number}, Texts(source=source), {"number": number})


@pytest.mark.parametrize(
    ("name", "workers", "words"),
    [
        ("locale", 1, "--engine locale: did you mean 'local'"),
        ("", 1, "known: local, ray"),
        ("local", 0, "--workers must be at least 1, got 0"),
        ("ray", -1, "--workers must be at least 1, got -1"),
        ("local", 3, "--workers 3 is more than the cores that OMP_NUM_THREADS allows, 2; each worker needs one"),
    ],
)
def test_wrong_requests(name: str, workers: int, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("hypermixer.cores", "hypermixer.studies.engines"):
        allowed = {"that this process may run on": 8, "that OMP_NUM_THREADS allows": 2}
        monkeypatch.setattr(f"{module}.limits", lambda allowed=allowed: allowed)
    with pytest.raises(InputError) as raised, engine(name, workers, cores()):
        pass
    assert words in str(raised.value)


def test_one_worker_is_this_process() -> None:
    before = torch.get_num_threads()
    with engine("local", 1, 64) as runs:
        row = runs.submit(counting(0)).result()
        assert runs.slots == 1 and row["machine"]["threads"] == before
        assert multiprocessing.active_children() == []
        with pytest.raises(InputError, match="nothing-here"):
            runs.submit(counting(1, "./nothing-here.csv")).result()


def test_no_more_threads_than_cores() -> None:
    """PyTorch knows nothing of a quota and would take a thread for each processor."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with engine("local", 1, 2) as runs:
            assert runs.submit(counting(0)).result()["machine"]["threads"] == 2
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_time_is_measured_where_the_key_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers have fewer threads than this process, whose device and threads are in the key."""
    timed = Cell("layer", {})
    monkeypatch.setattr(engines, "run_here", lambda _: {"machine": machine()})  # a worker would not know of this
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with engine("local", 2, 2) as runs:
            row = runs.submit(timed).result()
            assert multiprocessing.active_children() == []
            assert timed.identity["place"]["threads"] == row["machine"]["threads"] == 2
    finally:
        torch.set_num_threads(before)


def test_workers_have_their_share_and_end(tmp_path: Path) -> None:
    before, handler = dict(os.environ), signal.getsignal(signal.SIGINT)
    folder = Folder(tmp_path / "out", {"study": "x"})
    watched: list[str] = []
    with engine("local", 2, 6) as runs:  # three threads each, whatever this machine has
        assert runs.slots == 2
        filled = fill(
            lambda _: [counting(n) for n in range(5)],
            folder,
            runs,
            watch=lambda c, r, *_: watched.append("begins" if r is None else "ends"),
        )
        assert [row["machine"]["threads"] for row in filled.rows.values()] == [3] * 5
        assert filled.ran == 5 and watched[:2] == ["begins", "begins"]
        with pytest.raises(InputError, match="nothing-here"):
            runs.submit(counting(9, "./nothing-here.csv")).result()
        begun = multiprocessing.active_children()
        assert len(begun) == 2 and os.getpid() not in [process.pid for process in begun]
        # Of memory that runs out, say.
        os.kill(begun[0].pid or 0, signal.SIGKILL)
        with pytest.raises(WorkError, match=r"A worker was killed, .* finished cells in .* are kept, run the command"):
            fill(lambda _: [counting(n) for n in range(60)], folder, runs)
    assert multiprocessing.active_children() == []
    assert dict(os.environ) == before and signal.getsignal(signal.SIGINT) is handler


class Deaf:
    """A process that does not hear."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.sentinel, self.end = os.pipe()

    def terminate(self) -> None:
        self.heard.append("terminate")

    def kill(self) -> None:
        self.heard.append("kill")


def test_a_worker_that_does_not_stop_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "_GRACE", 0.1)
    deaf, polite = Deaf(), Deaf()
    os.close(polite.end)  # it has ended
    engines._end([deaf, polite])  # pyright: ignore[reportArgumentType] - as far as they are processes
    assert (deaf.heard, polite.heard) == (["terminate", "kill"], ["terminate"])
    for place in (deaf.sentinel, deaf.end, polite.sentinel):
        os.close(place)


def test_ray_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with (
        pytest.raises(InputError, match=r"--engine ray: Ray is not installed; pip install 'hypermixer\[ray\]'"),
        engine("ray", 1, 1),
    ):
        pass

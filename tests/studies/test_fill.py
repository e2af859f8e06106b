"""Filling a folder: only what is missing, all that is missing, whatever ends on the way."""

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from hypermixer.errors import InputError, WorkError
from hypermixer.studies import fill as module
from hypermixer.studies.cell import Cell, Results, Row
from hypermixer.studies.engines import Engine, engine
from hypermixer.studies.fill import fill
from hypermixer.studies.folder import Folder
from tests.studies.samples import at_once, cell, row, training

STUDY = {"study": "x"}


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "out", STUDY)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.05)


def some(count: int, kind: str = "counts") -> Callable[[Results], list[Cell]]:
    return lambda _: [cell(n, kind) for n in range(count)]


class Ran:
    """Gives rows, and remembers for which cells."""

    def __init__(self, give: Callable[[Cell], Row] = lambda _: row()) -> None:
        self.cells: list[Cell] = []
        self.give = give

    def __call__(self, begun: Cell) -> Row:
        self.cells.append(begun)
        return self.give(begun)

    @property
    def numbers(self) -> list[int]:
        return [each.config["number"] for each in self.cells]


def test_only_what_is_missing(folder: Folder) -> None:
    ran = Ran()
    first = fill(some(2), folder, at_once(ran))
    assert (first.ran, ran.numbers) == (2, [0, 1])
    again = fill(some(4), folder, at_once(ran))
    assert (again.ran, ran.numbers, len(again.rows)) == (2, [0, 1, 2, 3], 4)
    assert again.rows[cell(0).key] == first.rows[cell(0).key] == folder.read(cell(0))
    assert fill(some(4), folder, at_once(ran)).ran == 0


def test_one_cell_under_several_tags(folder: Folder) -> None:
    ran = Ran()
    plan = [cell(0), cell(0, final=True), cell(1), cell(0, row="b")]
    filled = fill(lambda _: plan, folder, at_once(ran, slots=3))
    assert ran.numbers == [0, 1] and [c.tags for c in filled.cells] == [c.tags for c in plan]
    assert len(filled.rows) == filled.ran == 2


def test_damaged_cells_are_run_again(folder: Folder) -> None:
    fill(some(3), folder, at_once(Ran()))
    path = folder.cells / f"{cell(1).key}.json"
    path.write_text(path.read_text()[:40])
    ran = Ran()
    assert len(fill(some(3), folder, at_once(ran)).rows) == 3
    assert ran.numbers == [1] and len(folder.set_aside) == 1


def test_the_plan_is_asked_again_after_each_cell(folder: Folder) -> None:
    def plan(results: Results) -> list[Cell]:
        first = [cell(0), cell(1)]
        if any(c.key not in results for c in first):
            return first
        best = max(first, key=lambda c: results[c.key]["metrics"]["evaluation"]["accuracy"])
        chosen = cell(10 + best.config["number"])
        return [*first, chosen, *([cell(99)] if chosen.key in results else [])]

    ran = Ran(lambda c: row(0.9 if c.config["number"] == 1 else 0.1))
    watched: list[tuple[int, bool, int, int]] = []
    filled = fill(
        plan,
        folder,
        at_once(ran, slots=2),
        watch=lambda c, r, done, total: watched.append((c.config["number"], r is None, done, total)),
    )
    assert ran.numbers == [0, 1, 11, 99] and [c.config["number"] for c in filled.cells] == [0, 1, 11, 99]
    assert watched[0] == (0, True, 0, 2) and watched[-1] == (99, False, 4, 4)
    assert [number for number, begins, *_ in watched if begins] == ran.numbers
    ran.cells.clear()
    assert fill(plan, folder, at_once(ran)).ran == 0 and ran.cells == []  # all stages are found on disk


class ByHand:
    """An engine whose cells end when the test says so."""

    def __init__(self, slots: int) -> None:
        self.running: dict[int, Future[Row]] = {}
        self.most: list[tuple[int, ...]] = []
        self.engine = Engine(slots, self.submit)

    def submit(self, begun: Cell) -> Future[Row]:
        self.running[begun.config["number"]] = Future()
        self.most.append(tuple(self.running))
        return self.running[begun.config["number"]]

    def end(self, *numbers: int) -> None:
        for number in numbers:
            self.running.pop(number).set_result(row())


def test_cells_that_measure_time_run_alone(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    by_hand = ByHand(3)
    plan = [cell(0), cell(1, "lengths"), cell(2), cell(3, "layer"), cell(4)]
    waiting = module.wait

    def end_one(running, **more):
        by_hand.end(next(iter(by_hand.running)))
        return waiting(running, **more)

    monkeypatch.setattr(module, "wait", end_one)
    assert fill(lambda _: plan, folder, by_hand.engine).ran == 5
    assert by_hand.most == [(0,), (0, 2), (0, 2, 4), (1,), (3,)]
    by_hand.most.clear()
    assert fill(lambda _: [cell(5, "lengths"), cell(6)], folder, by_hand.engine).ran == 2
    assert by_hand.most == [(5,), (6,)]


def test_no_other_process_runs_a_cell_beside_one_that_measures_time(folder: Folder) -> None:
    """Another filling of the same folder, in its own thread as it would be in its own process."""
    at_once_now: list[str] = []
    worst: list[list[str]] = []

    def give(begun: Cell) -> Row:
        at_once_now.append(begun.kind)
        worst.append(list(at_once_now))
        time.sleep(0.02)
        at_once_now.remove(begun.kind)
        return row()

    plan = [cell(n, "lengths" if n % 4 == 1 else "counts") for n in range(12)]
    with ThreadPoolExecutor(2) as pool:
        others = [Folder(folder.path, STUDY) for _ in range(2)]
        filled = list(pool.map(lambda each: fill(lambda _: plan, each, at_once(Ran(give))), others))
    assert [len(each.rows) for each in filled] == [12, 12] and sum(each.ran for each in filled) == 12
    assert any(len(kinds) == 2 for kinds in worst)
    assert not [kinds for kinds in worst if "lengths" in kinds and len(kinds) > 1]


def test_slots_are_kept_full_and_no_fuller(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    by_hand = ByHand(2)
    waiting = module.wait

    def end_last(running, **more):
        by_hand.end(list(by_hand.running)[-1])
        return waiting(running, **more)

    monkeypatch.setattr(module, "wait", end_last)
    fill(some(4), folder, by_hand.engine)
    assert by_hand.most == [(0,), (0, 1), (0, 2), (0, 3)]


def test_left_out_for_want_of_time(folder: Folder) -> None:
    ran = Ran()
    filled = fill(some(4), folder, at_once(ran), fits=lambda c: c.config["number"] % 2 == 0)
    assert ran.numbers == [0, 2] and [c.config["number"] for c in filled.left_out] == [1, 3]
    again = fill(some(4), folder, at_once(ran), fits=lambda c: c.config["number"] != 1)
    assert [c.config["number"] for c in again.left_out] == [1] and again.ran == 1


def test_left_out_here_and_run_by_another_process(folder: Folder) -> None:
    def fits(asked: Cell) -> bool:
        if asked.config["number"] == 0:
            Folder(folder.path, STUDY).write(asked, row())  # another process, at that moment
            return False
        return True

    filled = fill(some(2), folder, at_once(Ran()), fits=fits)
    assert filled.left_out == [] and len(filled.rows) == 2


def test_work_that_fails_is_reported_and_tried_again(folder: Folder) -> None:
    def give(begun: Cell) -> Row:
        if begun.config["number"] == 1:
            raise WorkError("Out of memory: lower --batch-size.")
        return row()

    filled = fill(some(3), folder, at_once(Ran(give)))
    assert [(c.config["number"], why) for c, why in filled.failed] == [(1, "Out of memory: lower --batch-size.")]
    assert filled.ran == 2 and cell(1).key not in filled.rows
    again = fill(some(3), folder, at_once(Ran()))
    assert again.ran == 1 and again.failed == []


@pytest.mark.parametrize("error", [InputError("No such layout."), BrokenExecutor("gone"), KeyboardInterrupt()])
def test_rows_that_came_with_an_error_are_kept(folder: Folder, error: BaseException) -> None:
    by_hand = ByHand(3)

    def submit(begun: Cell) -> Future[Row]:
        future = by_hand.submit(begun)
        if begun.config["number"] == 2:
            by_hand.running[0].set_exception(error)
            by_hand.end(1, 2)
        return future

    expected = WorkError if isinstance(error, BrokenExecutor) else type(error)
    with pytest.raises(expected) as raised:
        fill(some(3), folder, Engine(3, submit))
    if expected is WorkError:
        assert str(raised.value).startswith("A worker was killed, perhaps for want of memory; 2 finished cells")
    assert folder.read(cell(1)) and folder.read(cell(2)) and not folder.read(cell(0))
    assert folder.lock(cell(0)) is not None  # free again


def test_no_worker_left_to_begin_a_cell(folder: Folder) -> None:
    def submit(_: Cell) -> Future[Row]:
        raise BrokenExecutor

    with pytest.raises(WorkError, match=r"A worker was killed.*0 finished cells"):
        fill(some(1), folder, Engine(1, submit))
    assert folder.lock(cell(0)) is not None


def test_a_full_disk_ends_it(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(some(1), folder, at_once(Ran()))

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch, pytest.raises(WorkError, match="No space left on device; 1 finished cells"):
        patch.setattr("hypermixer.whole_file.os.fsync", full)
        fill(some(3), folder, at_once(Ran()))
    assert fill(some(3), folder, at_once(Ran())).ran == 2


def test_a_cell_that_another_process_has_is_waited_for(folder: Folder) -> None:
    other = Folder(folder.path, STUDY)
    lock = other.lock(cell(0))
    assert lock is not None

    def give(begun: Cell) -> Row:
        if begun.config["number"] == 1:  # meanwhile the other one ends
            other.write(cell(0), row(0.123))
            lock.release()
        return row()

    ran = Ran(give)
    filled = fill(some(2), folder, at_once(ran))
    assert ran.numbers == [1] and filled.ran == 1
    assert filled.rows[cell(0).key]["metrics"]["evaluation"]["accuracy"] == 0.123


def test_a_cell_whose_process_was_killed_is_taken_over(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = Folder(folder.path, STUDY).lock(cell(0))
    assert lock is not None
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        lock.release()

    monkeypatch.setattr(module.time, "sleep", sleep)
    ran = Ran()
    assert fill(some(1), folder, at_once(ran)).ran == 1 and slept == [module._PATIENCE]


def test_finished_by_another_process_just_before_the_lock(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = Folder.lock

    def late(self: Folder, wanted: Cell):
        if wanted.key == cell(0).key:
            Folder(folder.path, STUDY).write(wanted, row(0.123))
        return lock(self, wanted)

    monkeypatch.setattr(Folder, "lock", late)
    ran = Ran()
    filled = fill(some(2), folder, at_once(ran))
    assert ran.numbers == [1] and len(filled.rows) == 2


# Real runs in real processes.

SCRIPT = """
import os, signal, sys
from pathlib import Path
from hypermixer.studies.engines import engine
from hypermixer.studies.fill import fill
from hypermixer.studies.folder import Folder
from tests.studies.samples import training

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def main():
    out, moment, workers, epochs, *seeds = sys.argv[1:]
    def watch(cell, row, done, total):
        print("begins" if row is None else "ended", cell.tags["seed"], flush=True)
        if row is not None and moment == "ended":
            die()
        if row is None and moment == "writing":
            os.fsync = die
    folder = Folder(Path(out), {"study": "x"})
    with engine("local", int(workers), 2) as runs:
        filled = fill(lambda _: [training(int(s), epochs=int(epochs)) for s in seeds], folder, runs, watch=watch)
    print("all", len(filled.rows), filled.ran, flush=True)

if __name__ == "__main__":
    main()
"""


@contextmanager
def process(out: Path, moment: str, workers: int, epochs: int, *seeds: int) -> Iterator[subprocess.Popen[str]]:
    """Another process that fills a folder with training runs; its whole group is ended on leaving."""
    script = out.with_suffix(".py")
    script.write_text(SCRIPT)
    root = str(Path(__file__).parents[2])
    arguments = [sys.executable, str(script), str(out), moment, str(workers), str(epochs), *map(str, seeds)]
    begun = subprocess.Popen(
        arguments,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1"},
    )
    try:
        yield begun
    finally:
        if alive(begun.pid):
            os.killpg(begun.pid, signal.SIGKILL)
        begun.wait()
        assert begun.stdout is not None
        begun.stdout.close()


def alive(group: int) -> bool:
    """Whether a process of a group runs."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, of = stat.read_text().rpartition(")")[2].split()[:3]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(of) == group and state not in "ZX":
            return True
    return False


def lines(begun: subprocess.Popen[str]) -> Iterator[str]:
    assert begun.stdout is not None
    return (line.strip() for line in begun.stdout)


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")


def whole(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (out / "cells").glob("*.json")}


@needs_proc
def test_a_killed_process_loses_the_cell_in_flight_and_nothing_else(tmp_path: Path) -> None:
    out = tmp_path / "out"
    plan = [training(seed) for seed in range(4)]
    with process(out, "ended", 1, 1, 0, 1, 2, 3) as begun:
        assert list(lines(begun)) == ["begins 0", "ended 0"] and begun.wait() == -signal.SIGKILL
    first = whole(out)
    assert list(first) == [f"{plan[0].key}.json"]
    with process(out, "writing", 1, 1, 0, 1, 2, 3) as begun:
        assert list(lines(begun)) == ["begins 1"] and begun.wait() == -signal.SIGKILL
    assert whole(out) == first
    with process(out, "never", 1, 1, 0, 1, 2, 3) as begun:
        for line in lines(begun):
            if line == "begins 2":
                time.sleep(0.2)  # in the middle of it
                begun.kill()
    assert len(whole(out)) in (2, 3)
    kept, ran = whole(out), Ran()
    filled = fill(lambda _: plan, Folder(out, STUDY), at_once(ran))
    assert [f"{c.key}.json" in kept for c in plan] == [True, True, *[c not in ran.cells for c in plan[2:]]]
    assert len(filled.rows) == 4 and filled.ran == 4 - len(kept)
    assert {name: content for name, content in whole(out).items() if name in kept} == kept


@needs_proc
def test_two_processes_on_one_folder_share_the_cells(tmp_path: Path) -> None:
    out = tmp_path / "out"
    mine: list[int] = []
    with process(out, "never", 1, 4, *range(8)) as other, engine("local", 1, 1) as runs:
        said = lines(other)
        assert next(said) == "begins 0"
        filled = fill(
            lambda _: [training(seed, epochs=4) for seed in range(8)],
            Folder(out, STUDY),
            runs,
            watch=lambda c, r, *_: mine.append(c.tags["seed"]) if r is None else None,
        )
        theirs = list(said)
    assert len(filled.rows) == 8 and theirs[-1] == f"all 8 {8 - filled.ran}"
    begun = ["begins 0", *(line for line in theirs if line.startswith("begins"))]
    assert sorted([*begun, *(f"begins {seed}" for seed in mine)]) == [
        f"begins {seed}" for seed in range(8)
    ]  # none twice
    assert 0 < len(mine) == filled.ran < 8 and len(whole(out)) == 8


@needs_proc
def test_ctrl_c_ends_workers_at_once(tmp_path: Path) -> None:
    with process(tmp_path / "out", "never", 2, 100_000, 0, 1, 2) as begun:
        said = lines(begun)
        assert [next(said), next(said)] == ["begins 0", "begins 1"]
        time.sleep(6)  # they train by now, or are about to
        os.killpg(begun.pid, signal.SIGINT)
        start = time.monotonic()
        assert begun.wait(20) != 0 and time.monotonic() - start < 8
        assert gone(begun.pid, 3)


@needs_proc
def test_workers_of_a_killed_process_end_with_it(tmp_path: Path) -> None:
    with process(tmp_path / "out", "never", 2, 100_000, 0, 1, 2) as begun:
        said = lines(begun)
        assert [next(said), next(said)] == ["begins 0", "begins 1"]
        time.sleep(3)
        begun.kill()
        begun.wait()
        assert gone(begun.pid, 30)


def gone(group: int, seconds: float) -> bool:
    """Whether every process of a group ends within so many seconds."""
    last = time.monotonic() + seconds
    while alive(group) and time.monotonic() < last:
        time.sleep(0.1)
    return not alive(group)


def test_a_diverged_run_is_a_result(folder: Folder) -> None:
    with engine("local", 1, 1) as runs:
        filled = fill(lambda _: [training(lr=1e30, batch_size=8), training()], folder, runs)
    lost, good = filled.rows[training(lr=1e30, batch_size=8).key], filled.rows[training().key]
    assert lost["outcome"] == "diverged" and "no longer a number" in lost["why"] and "metrics" not in lost
    assert 1 / 3 <= lost["chance"] < 0.5 and good["outcome"] == "done"
    assert fill(lambda _: [training(lr=1e30, batch_size=8)], folder, at_once(Ran())).ran == 0
    examples = good["metrics"]["evaluation"]["examples"]
    assert len(good["correct"]["evaluation"]) == 2 * -(-examples // 8) and "test" in good["metrics"]

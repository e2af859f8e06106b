"""Who runs cells: this process, several processes on this machine, or a Ray cluster."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import connection, get_context, parent_process
from multiprocessing.process import BaseProcess

from hypermixer.cores import limits
from hypermixer.errors import InputError, WorkError, nearest
from hypermixer.studies.cell import Cell, Row

ENGINES = ("local", "ray")
#: Read by the thread pools of PyTorch, NumPy and scikit-learn when they are loaded.
_POOLS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
#: Seconds in which a worker that is told to stop may tidy up.
_GRACE = 3.0


@dataclass(frozen=True)
class Engine:
    """Runs cells.

    Attributes:
        slots: how many at a time.
        submit: begins a cell; its future raises what `run_cell` does, and BrokenExecutor where no worker is left.
    """

    slots: int
    submit: Callable[[Cell], Future[Row]]


@contextmanager
def engine(name: str, workers: int, cores: int) -> Iterator[Engine]:
    """An engine, ended on leaving, together with what it still runs.

    Args:
        name: of `ENGINES`.
        workers: cells at a time.
        cores: of this machine, shared equally among the workers: two pools of threads on one core ruin each other.

    What measures time runs in this process whatever the engine: its key says where, and for it all cores are free.

    Raises:
        InputError: an unknown engine, no workers, or more than cores; Ray is wanted and not installed.
    """
    if name not in ENGINES:
        raise InputError(f"--engine {name}: {nearest(name, ENGINES)}")
    if workers < 1:
        raise InputError(f"--workers must be at least 1, got {workers}.")
    if name == "local" and workers > cores:
        raise InputError(f"--workers {workers} is more than the cores{_source(cores)}, {cores}; each worker needs one.")
    with _at_most(cores), _begun(name, workers, cores) as submit:
        yield Engine(workers, lambda cell: _here(cell) if cell.alone else submit(cell))


@contextmanager
def _begun(name: str, workers: int, cores: int) -> Iterator[Callable[[Cell], Future[Row]]]:
    """What begins a cell elsewhere, or here where there is one worker only."""
    if name == "ray":
        from hypermixer.studies.cluster import cluster

        with cluster(workers, cores) as submit:
            yield submit
        return
    if workers == 1:
        yield _here
        return
    with environment({pool: str(cores // workers) for pool in _POOLS}):
        pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=_begin, initargs=(cores // workers,))
        try:
            yield lambda cell: pool.submit(run_here, cell)
        finally:
            processes, manager = list((pool._processes or {}).values()), pool._executor_manager_thread
            pool.shutdown(wait=False, cancel_futures=True)
            _end(processes)
            if manager is not None:
                manager.join()  # pyright: ignore[reportAttributeAccessIssue] - a thread, whatever typeshed says


@contextmanager
def _at_most(cores: int) -> Iterator[None]:
    """No more threads than cores in this process, where PyTorch would take more: it knows nothing of quotas."""
    import torch

    before = torch.get_num_threads()
    share(min(before, cores))
    try:
        yield
    finally:
        share(before)


def _source(cores: int) -> str:
    """Where a number of cores comes from, as words behind "the cores"."""
    return next((f" {words}" for words, limit in limits().items() if limit == cores), "")


def _begin(threads: int) -> None:
    """What a worker does before its first cell."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends its workers itself
    threading.Thread(target=_end_with_parent, daemon=True).start()
    share(threads)


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait, or go on with cells that nobody writes, for ever."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _end(processes: Sequence[BaseProcess]) -> None:
    """End workers; a cell in flight is lost, waiting for it could take long."""
    for process in processes:
        process.terminate()
    running = {process.sentinel: process for process in processes}
    last = time.monotonic() + _GRACE
    while running and time.monotonic() < last:
        for sentinel in connection.wait(list(running), timeout=last - time.monotonic()):
            del running[sentinel]  # pyright: ignore[reportArgumentType] - a sentinel, as it was given
    for process in running.values():
        process.kill()


def _here(cell: Cell) -> Future[Row]:
    future: Future[Row] = Future()
    try:
        future.set_result(run_here(cell))
    except (InputError, WorkError) as error:
        future.set_exception(error)
    return future


def run_here(cell: Cell) -> Row:
    """The row of a cell, in this process; raises as `run_cell`."""
    from hypermixer.studies.run import run_cell

    return run_cell(cell)


def share(threads: int) -> None:
    """Give this process so many threads."""
    import torch

    torch.set_num_threads(threads)


@contextmanager
def environment(values: dict[str, str]) -> Iterator[None]:
    """Variables for processes that begin inside; what was there holds again afterwards."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value

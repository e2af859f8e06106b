"""Who runs cells: this process, several processes on this machine, or a Ray cluster."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

from hypermixer.errors import InputError, WorkError, nearest
from hypermixer.studies.cell import Cell, Row

ENGINES = ("local", "ray")
#: Read by the thread pools of PyTorch, NumPy and scikit-learn when they are loaded.
_POOLS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class Engine:
    """Runs cells.

    Attributes:
        slots: how many at a time.
        submit: begins a cell; its future raises what `run_cell` does.
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

    Raises:
        InputError: an unknown engine, no workers, or more than cores; Ray is wanted and not installed.
    """
    if name not in ENGINES:
        raise InputError(f"--engine {name}: {nearest(name, ENGINES)}")
    if workers < 1:
        raise InputError(f"--workers must be at least 1, got {workers}.")
    if name == "ray":
        with _ray(workers) as made:
            yield made
        return
    if workers > cores:
        raise InputError(f"--workers {workers}: this machine has {cores} cores, and each worker needs one.")
    if workers == 1:
        yield Engine(1, _here)
        return
    with _environment({pool: str(cores // workers) for pool in _POOLS}):
        pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=_share, initargs=(cores // workers,))
        try:
            yield Engine(workers, lambda cell: pool.submit(_run, cell))
        finally:
            for process in list((pool._processes or {}).values()):
                process.terminate()  # a cell in flight is lost; waiting for it could take long
            pool.shutdown(wait=True, cancel_futures=True)


def _here(cell: Cell) -> Future[Row]:
    future: Future[Row] = Future()
    try:
        future.set_result(_run(cell))
    except (InputError, WorkError) as error:
        future.set_exception(error)
    return future


def _run(cell: Cell) -> Row:
    from hypermixer.studies.run import run_cell

    return run_cell(cell)


def _share(threads: int) -> None:
    import torch

    torch.set_num_threads(threads)


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
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


@contextmanager
def _ray(workers: int) -> Iterator[Engine]:
    """The cluster that `RAY_ADDRESS` names, else one on this machine; each cell takes its share of a node's cores."""
    try:
        import ray
    except ImportError as error:
        raise InputError("--engine ray: Ray is not installed; pip install 'hypermixer[ray]'.") from error
    ours = not ray.is_initialized()
    if ours:
        ray.init(log_to_driver=False, include_dashboard=False)
    try:
        share = max(1, int(ray.cluster_resources().get("CPU", 1)) // workers)
        run: Any = ray.remote(num_cpus=share, max_retries=0)(_run_in_share)

        yield Engine(workers, lambda cell: run.remote(cell, share).future())
    finally:
        if ours:
            ray.shutdown()


def _run_in_share(cell: Cell, threads: int) -> Row:
    _share(threads)
    return _run(cell)

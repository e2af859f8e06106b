"""Cells on a Ray cluster: the one that `RAY_ADDRESS` names, else one on this machine that ends with its use."""

import logging
import math
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

from hypermixer.errors import InputError, WorkError
from hypermixer.studies.cell import Cell, Row, with_precision
from hypermixer.studies.engines import environment, run_here, share

#: Ray tells its makers nothing, and leaves the choice of accelerators to us.
_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
#: Seconds within which a cluster takes a connection.
_ANSWER = 10.0


@contextmanager
def cluster(workers: int, cores: int) -> Iterator[Callable[[Cell], Future[Row]]]:
    """What begins a cell on the cluster; on leaving, cells that still run are ended.

    Args:
        workers: cells at a time; each has its share of a node's cores and accelerators.
        cores: of this machine, for a cluster of its own.

    Raises:
        InputError: Ray is not installed, no cluster answers, or there are fewer cores than workers.
    """
    try:
        import ray
    except ImportError as error:
        raise InputError("--engine ray: Ray is not installed; pip install 'hypermixer[ray]'.") from error
    with environment(_QUIET):
        ours = not ray.is_initialized()
        begun: list[Any] = []
        try:
            if ours:
                _join(ray, cores)
            threads, accelerators = shares([node["Resources"] for node in ray.nodes() if node["Alive"]], workers)
            run: Any = ray.remote(num_cpus=threads, num_gpus=accelerators, max_retries=0)(_run)

            def submit(cell: Cell) -> Future[Row]:
                # As its key says; `auto` might come to something else on that machine.
                begun.append(run.remote(with_precision(cell), threads))
                return _told(begun[-1].future())

            yield submit
        finally:
            if ours:
                ray.shutdown()
            else:
                for reference in begun:
                    ray.cancel(reference, force=True)


def shares(nodes: Sequence[dict[str, float]], workers: int) -> tuple[int, float]:
    """Cores and accelerators of each of `workers` cells at a time: the most with which all of them find a place.

    Args:
        nodes: resources of each node, by Ray's names (`CPU`, `GPU`).
        workers: cells at a time.

    Raises:
        InputError: there are fewer cores than workers.
    """
    cores = [int(node.get("CPU", 0)) for node in nodes]
    accelerators = int(sum(node.get("GPU", 0) for node in nodes))
    if workers > sum(cores):
        raise InputError(f"--workers {workers}: the Ray cluster has {sum(cores)} cores, and each worker needs one.")
    threads = next(n for n in range(max(cores), 0, -1) if sum(node // n for node in cores) >= workers)
    return threads, 1 / math.ceil(workers / accelerators) if accelerators else 0


def _join(ray: Any, cores: int) -> None:
    address = os.environ.get("RAY_ADDRESS")
    place: dict[str, Any] = {} if address else {"num_cpus": cores, "include_dashboard": False}
    try:
        _knock(address or "")
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **place)
    except (OSError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"--engine ray: no cluster answers at RAY_ADDRESS={address} ({reason}).") from error


def _knock(address: str) -> None:
    """Raise OSError where nobody listens at `[ray://]host:port`; Ray itself would try for minutes."""
    host, _, port = address.rpartition("/")[2].rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=_ANSWER).close()


def _run(cell: Cell, threads: int) -> Row:
    share(threads)
    return run_here(cell)


def _told(running: "Future[Any]") -> Future[Row]:
    """The same future with our own errors in place of Ray's, which hold the traceback of another machine."""
    from ray.exceptions import RayError, RayTaskError

    told: Future[Row] = Future()

    def tell(done: "Future[Any]") -> None:
        error = done.exception()
        if isinstance(error, RayTaskError):
            error = error.cause
        elif isinstance(error, RayError):
            error = WorkError("A Ray worker was killed, perhaps for want of memory, or its node is gone.")
        if error is None:
            told.set_result(done.result())
        else:
            told.set_exception(error)

    running.add_done_callback(tell)
    return told

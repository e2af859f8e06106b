"""What surrounds a run: its random streams, its threads, and the record of the machine and versions."""

import ctypes
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
import transformers
from transformers.utils import logging

from hypermixer import __version__
from hypermixer.errors import WorkError
from hypermixer.machine import processor
from hypermixer.training.precision import Precision

#: malloc.h's M_TRIM_THRESHOLD, M_TOP_PAD and M_MMAP_THRESHOLD, each at the most it takes.
_HELD = ((-1, 2**31 - 1), (-2, 64 * 2**20), (-3, 32 * 2**20))


@contextmanager
def own_randomness(seed: int) -> Iterator[None]:
    """Seeded generators inside; the caller's streams go on afterwards as if nothing had been drawn."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - the Trainer seeds the global stream
    with torch.random.fork_rng():
        transformers.set_seed(seed)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def hold_memory() -> bool:
    """Has the C library keep freed memory for the next step, where it is glibc; whether it will.

    PyTorch's CPU allocator asks for the activations and gradients of every step anew. By default the library hands them
    back to the operating system in between, and each page costs time when it is touched again (how much stands in
    `ops/scratch.py`): a quarter of a step on short texts. The setting holds for the process, which keeps what one step
    takes.
    """
    try:
        adjust = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # not the GNU C library
        return False
    return all(adjust(parameter, value) == 1 for parameter, value in _HELD)


def environment(device: torch.device, precision: Precision) -> dict[str, Any]:
    """Where a run runs, for its record: device, precision with its reason, threads, versions."""
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else processor(),
        "precision": precision.name,
        "precision_reason": precision.reason,
        "threads": torch.get_num_threads(),
        "versions": {
            "hypermixer": __version__,
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "python": ".".join(map(str, sys.version_info[:3])),
        },
    }


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """No notices and no bars of `transformers` inside; what the process had chosen holds again afterwards."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


@contextmanager
def memory_running_out(advice: str) -> Iterator[None]:
    """Memory that runs out inside becomes a WorkError with this advice; on a CPU, PyTorch has no type for it."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        typed = isinstance(error, torch.OutOfMemoryError | MemoryError)
        if not typed and "DefaultCPUAllocator" not in str(error):
            raise
        raise WorkError(f"Out of memory: {advice}.") from error

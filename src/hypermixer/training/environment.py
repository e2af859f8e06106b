"""What surrounds a run: its random streams, its threads, and the record of the machine and versions."""

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
from hypermixer.machine import processor
from hypermixer.training.precision import Precision


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

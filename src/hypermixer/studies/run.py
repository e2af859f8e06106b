"""What it takes to run a cell: its row, made from nothing but the cell."""

import time
from importlib import import_module
from typing import Any

from hypermixer.data.parts import Texts
from hypermixer.machine import machine
from hypermixer.studies.cell import RUNNERS, Cell, Row
from hypermixer.training.precision import choose_device

#: Kinds that have no use for an accelerator.
_ON_CPU = ("baseline", "counts")


def run_cell(cell: Cell) -> Row:
    """The row of a cell: `outcome` (`done` or `diverged`), what its runner gives, the machine, and seconds in all.

    Raises:
        InputError: the cell asks for what cannot be.
        WorkError: memory ran out, or a check of the operators failed.
    """
    start = time.perf_counter()
    module, function = RUNNERS[cell.kind]
    texts: Texts | None = cell.texts
    row: dict[str, Any] = getattr(import_module(module), function)(cell.config, texts)
    here = machine("cpu" if cell.kind in _ON_CPU else choose_device("auto").type)
    return {"outcome": "done", **row, "machine": here, "seconds": time.perf_counter() - start}

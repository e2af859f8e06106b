"""What it takes to run a cell: its row, made from nothing but the cell."""

import time
from importlib import import_module
from typing import Any

from hypermixer.data.parts import Texts
from hypermixer.machine import machine
from hypermixer.studies.cell import RUNNERS, Cell, Row


def run_cell(cell: Cell) -> Row:
    """The row of a cell: `outcome` (`done` or `diverged`), what its runner gives, the machine, and seconds in all.

    Raises:
        InputError: the cell asks for what cannot be.
        WorkError: memory ran out, or a check of the operators failed.
    """
    start = time.perf_counter()
    module, function = RUNNERS[cell.kind]
    # Where it runs is not part of what it is: the texts' columns and the settings are.
    texts: Texts | None = cell.texts
    row: dict[str, Any] = getattr(import_module(module), function)(cell.config, texts)
    return {"outcome": "done", **row, "machine": machine(), "seconds": time.perf_counter() - start}

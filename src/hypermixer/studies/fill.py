"""Filling a folder: the cells that a plan asks for and that are not there yet, until it asks for no more."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from dataclasses import dataclass, field

from hypermixer.errors import WorkError
from hypermixer.studies.cell import Cell, Results, Row
from hypermixer.studies.engines import Engine
from hypermixer.studies.folder import Folder
from hypermixer.studies.locks import Claim

#: From the rows so far to every cell that is known to be wanted, in the order of their worth.
Plan = Callable[[Results], Sequence[Cell]]
#: Called when a cell begins (row None) and when it ends, with how many cells are done and known in all.
Watch = Callable[[Cell, Row | None, int, int], None]
#: Seconds between two looks at cells that another process has taken, or that must not run beside its own.
_PATIENCE = 2.0


@dataclass
class Filled:
    """What stands in a folder after filling.

    Attributes:
        cells: that the plan asks for, in its order; one cell may stand there under several tags.
        rows: of those that are done.
        failed: cells that could not be run, with the reason; they are tried again by the next filling.
        left_out: cells that were not begun for want of time.
        ran: how many cells were run now.
    """

    cells: list[Cell] = field(default_factory=list)
    rows: Results = field(default_factory=dict)
    failed: list[tuple[Cell, str]] = field(default_factory=list)
    left_out: list[Cell] = field(default_factory=list)
    ran: int = 0


def fill(
    plan: Plan,
    folder: Folder,
    engine: Engine,
    *,
    watch: Watch | None = None,
    fits: Callable[[Cell], bool] | None = None,
) -> Filled:
    """Run what is missing.

    Args:
        plan: asked again after each cell, since a choice may depend on it.
        folder: of the cells.
        engine: to run them.
        watch: told of each cell.
        fits: whether there is time for a cell; those that it refuses are left out.

    Raises:
        InputError: a cell asks for what cannot be.
        WorkError: the disk is full, or a worker was killed; what is done is kept.
        KeyboardInterrupt: as the caller's.
    """
    return _Filling(plan, folder, engine, watch or (lambda *_: None), fits or (lambda _: True)).run()


class _Filling:
    def __init__(self, plan: Plan, folder: Folder, engine: Engine, watch: Watch, fits: Callable[[Cell], bool]) -> None:
        self.plan, self.folder, self.engine, self.watch, self.fits = plan, folder, engine, watch, fits
        self.filled = Filled()
        self.running: dict[Future[Row], tuple[Cell, Claim]] = {}
        self.refused: set[str] = set()

    def run(self) -> Filled:
        try:
            while (waiting := self._waiting()) or self.running:
                taken_elsewhere = self._begin(waiting)
                if self.running:
                    self._finish()
                elif taken_elsewhere:
                    time.sleep(_PATIENCE)
        except BrokenExecutor as error:
            raise WorkError(
                f"A worker was killed, perhaps for want of memory; {len(self.filled.rows)} finished cells in"
                f" {self.folder.cells} are kept, run the command again, with fewer --workers, to go on."
            ) from error
        finally:
            for _, lock in self.running.values():
                lock.release()
        # Another process may have run what this one refused or failed at.
        self.filled.left_out = [cell for cell in self.filled.left_out if cell.key not in self.filled.rows]
        self.filled.failed = [(cell, why) for cell, why in self.filled.failed if cell.key not in self.filled.rows]
        return self.filled

    def _waiting(self) -> list[Cell]:
        """Cells to begin, looked for on disk first: another process may have finished them."""
        known = -1
        while known != len(self.filled.rows):  # rows found on disk may make the plan ask for more
            known = len(self.filled.rows)
            self.filled.cells = list(self.plan(self.filled.rows))
            for cell in self.filled.cells:
                if cell.key not in self.filled.rows and (row := self.folder.read(cell)) is not None:
                    self.filled.rows[cell.key] = row
        busy = {cell.key for cell, _ in self.running.values()} | self.refused | self.filled.rows.keys()
        return [cell for cell in _once(self.filled.cells) if cell.key not in busy]

    def _begin(self, waiting: list[Cell]) -> bool:
        """Fill the engine's slots; whether something waits for another process."""
        elsewhere = False
        for cell in waiting:
            if len(self.running) >= self.engine.slots or any(c.alone for c, _ in self.running.values()):
                break
            if cell.alone and self.running:
                continue
            if not self.fits(cell):
                self.filled.left_out.append(cell)
                self.refused.add(cell.key)
                continue
            lock = self.folder.lock(cell)
            if lock is None:
                elsewhere = True
                continue
            if (row := self.folder.read(cell)) is not None:  # finished between the look and the lock
                self.filled.rows[cell.key] = row
                lock.release()
                return False  # the plan may ask for something else now
            try:
                self.watch(cell, None, *self._count())
                self.running[self.engine.submit(cell)] = (cell, lock)
            except BaseException:
                lock.release()
                raise
        return elsewhere

    def _count(self) -> tuple[int, int]:
        return len(self.filled.rows), len(_once(self.filled.cells))

    def _finish(self) -> None:
        """Wait for a cell, or for a look at what other processes do."""
        done, _ = wait(self.running, timeout=_PATIENCE, return_when=FIRST_COMPLETED)
        # Rows first: what another cell raises must not cost them.
        for future in sorted(done, key=lambda each: each.exception() is not None):
            cell, lock = self.running.pop(future)
            try:
                row = future.result()
            except WorkError as error:
                self.filled.failed.append((cell, str(error)))
                self.refused.add(cell.key)
            else:
                self.filled.rows[cell.key] = self.folder.write(cell, row)
                self.filled.ran += 1
                self.watch(cell, row, *self._count())
            finally:
                lock.release()


def _once(cells: Sequence[Cell]) -> list[Cell]:
    """Each cell the first time it is named."""
    first: dict[str, Cell] = {}
    for cell in cells:
        first.setdefault(cell.key, cell)
    return list(first.values())

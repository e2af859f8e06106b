"""Who runs which cell of a folder: files that a process holds, and that are free again when it ends."""

from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock, Timeout

#: Held while a cell begins, and for as long as one that measures time runs.
_GATE = "begin"


class Claim:
    """The right to run a cell, until `release` or the end of the process."""

    def __init__(self, held: Sequence[FileLock]) -> None:
        self._held = held

    def release(self) -> None:
        for lock in self._held:
            lock.release()


class Locks:
    """The locks of a folder's cells, for all processes that fill it.

    Args:
        path: a directory for them.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def claim(self, key: str, alone: bool) -> Claim | None:
        """The right to run a cell; None where another process has it, or where one of the two would measure time.

        Args:
            key: of the cell.
            alone: whether nothing else may run beside it: it waits for all cells that run, and they for it.

        Raises:
            OSError: the locks cannot be written.
        """
        # Whoever begins holds the gate until its own lock is taken, so that nothing begins between a look and a lock.
        gate = _taken(self.path / _GATE)
        if gate is None:
            return None
        own = None
        try:
            if not (alone and self._busy()):
                own = _taken(self.path / key)
        finally:
            if own is None or not alone:
                gate.release()
        if own is None:
            return None
        return Claim([own, gate] if alone else [own])

    def _busy(self) -> bool:
        """Whether any cell of the folder runs."""
        for path in self.path.iterdir():
            if path.name == _GATE:
                continue
            lock = _taken(path)
            if lock is None:
                return True
            lock.release()
        return False


def _taken(path: Path) -> FileLock | None:
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return None
    return lock

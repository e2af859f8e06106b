"""What commands that fill a folder of cells share: options, progress, and what is said when they are stopped."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from hypermixer.errors import WorkError

Workers = Annotated[
    int, typer.Option("--workers", metavar="N", help="Processes; each has its share of the cores.", show_default=True)
]
Engine = Annotated[
    str, typer.Option("--engine", metavar="local|ray", help="Run cells here, or on a Ray cluster (RAY_ADDRESS).")
]


@contextmanager
def filling(out: Path) -> Iterator[Any]:
    """A watch for `fill`: a line for each finished cell; a stop is said to have kept what is done.

    Raises:
        WorkError: it was stopped.
    """
    progress = _Progress()
    try:
        yield progress
    except KeyboardInterrupt:
        raise WorkError(
            f"Stopped; {progress.done} finished cells in {out / 'cells'} are kept, run it again to go on."
        ) from None
    finally:
        progress.end()


class _Progress:
    """Cells done, time left, the best so far: on standard error, one line that is renewed where a person watches."""

    def __init__(self) -> None:
        self.done = self.total = self.ran = 0
        self._start = time.monotonic()
        self._live = sys.stderr.isatty()
        self._best: tuple[float, str] = (0.0, "")

    def __call__(self, cell: Any, row: dict[str, Any] | None, done: int, total: int) -> None:
        self.done, self.total = done, total
        if row is not None:
            self.ran += 1
            self._look(cell, row)
        name = ", ".join(str(value) for key, value in cell.tags.items() if key != "final")
        if self._live:
            state = f"[{done}/{total}{self._left()}] {name}{self._best_so_far()}"
            print(f"\r\033[K{state[: _width()]}", end="", file=sys.stderr, flush=True)  # noqa: T201
        elif row is not None:
            print(f"[{done}/{total}] {name}: {_said(row)}", file=sys.stderr, flush=True)  # noqa: T201

    def end(self) -> None:
        if self._live and self.total:
            print("\r\033[K", end="", file=sys.stderr, flush=True)  # noqa: T201

    def _look(self, cell: Any, row: dict[str, Any]) -> None:
        score = row.get("metrics", {}).get("evaluation", {}).get("accuracy", 0.0)
        if score > self._best[0]:
            self._best = score, str(cell.tags.get("row", ""))

    def _best_so_far(self) -> str:
        return f"; best so far {self._best[1]} {100 * self._best[0]:.1f} %" if self._best[1] else ""

    def _left(self) -> str:
        if not self.ran:
            return ""
        seconds = (time.monotonic() - self._start) / self.ran * (self.total - self.done)
        return f", about {seconds / 60:.0f} min left" if seconds >= 90 else f", about {seconds:.0f} s left"


def _said(row: dict[str, Any]) -> str:
    if row["outcome"] == "diverged":
        return "diverged"
    metrics = row.get("metrics")
    accuracy = f"{100 * metrics['evaluation']['accuracy']:.1f} % in " if metrics else ""
    return f"{accuracy}{row['seconds']:.0f} s"


def _width() -> int:
    import shutil

    return shutil.get_terminal_size().columns - 1

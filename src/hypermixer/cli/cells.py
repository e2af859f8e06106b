"""What commands that fill a folder of cells share: options, progress, and what is said when they are stopped."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hypermixer.cli.screen import show, show_json, table
from hypermixer.cli.stopping import stops
from hypermixer.errors import WorkError

if TYPE_CHECKING:
    from hypermixer.studies.compare_page import Findings
    from hypermixer.studies.fill import Filled
    from hypermixer.studies.folder import Folder

Workers = Annotated[
    int, typer.Option("--workers", metavar="N", help="Processes; each has its share of the cores.", show_default=True)
]
Engine = Annotated[
    str, typer.Option("--engine", metavar="local|ray", help="Run cells here, or on a Ray cluster (RAY_ADDRESS).")
]

Reuse = Annotated[
    list[Path] | None, typer.Option("--reuse", metavar="DIR", help="Take finished cells from this folder, too.")
]


def report(
    title: str,
    found: "Findings",
    filled: "Filled",
    folder: "Folder",
    arguments: Sequence[str],
    notes: Sequence[str],
    as_json: bool,
) -> None:
    """Write the page of a folder, say what stands on it, what was left out and where it is.

    Raises:
        WorkError: cells failed, after all of that.
    """
    from hypermixer.report.contents import words
    from hypermixer.report.page import Page, write
    from hypermixer.studies.surroundings import surroundings

    around = surroundings(filled, folder, arguments, notes)
    write(Page(title, found.summary, (*found.sections, around)), folder.path)
    left = [*notes, *([f"For want of time, cells left out: {len(filled.left_out)}."] if filled.left_out else [])]
    if folder.set_aside:
        left.append(f"Damaged or edited cells, set aside and run anew: {len(folder.set_aside)}; see the page.")
    if as_json:
        counts = {"cells": len(filled.rows), "ran": filled.ran, "left_out": len(filled.left_out)}
        show_json({"out": str(folder.path), **counts, "summary": found.summary, **found.record, "notes": left})
    else:
        lines = table(found.table.head, [[words(entry) for entry in row] for row in found.table.rows])
        place = f"{folder.path / 'report.html'}: cells: {len(filled.rows)}, of which run now: {filled.ran}."
        show(*lines, "", found.summary, "", *left, *([""] if left else []), place)
    if filled.failed:
        raise WorkError(f"{len(filled.failed)} cells failed and are tried again next time: {filled.failed[0][1]}")


def open_page(out: Path) -> None:
    """Show the page of a folder in a browser with windows; nothing where there is none: its path was said."""
    import webbrowser

    # Without windows, a browser of text would take the terminal.
    windows = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    if sys.platform in ("darwin", "win32") or any(os.environ.get(name) for name in windows):
        webbrowser.open((out / "report.html").absolute().as_uri())


@contextmanager
def filling(out: Path, quiet: bool = False) -> Iterator[Any]:
    """A watch for `fill`; a stop is said to have kept what is done.

    Args:
        out: where the cells lie.
        quiet: whether nothing is said where no person watches: a program reads along.

    Raises:
        WorkError: it was stopped.
    """
    progress = _Progress(quiet)
    try:
        with stops():
            yield progress
    except KeyboardInterrupt:
        raise WorkError(
            f"Stopped; finished cells: {progress.done}, kept in {out / 'cells'}; run it again to go on."
        ) from None
    finally:
        progress.end()


class _Progress:
    """Cells done, time left, the best so far: on standard error, one line that is renewed where a person watches.

    Elsewhere a line for each finished cell, or nothing.
    """

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self.done = self.total = 0
        self._live = sys.stderr.isatty()
        #: By kind of cell: how many were run, and their seconds.
        self._taken: dict[str, tuple[int, float]] = {}
        self._running = self._at_once = 0
        self._best: tuple[float, str] = (0.0, "")

    def __call__(self, cell: Any, row: dict[str, Any] | None, done: int, total: int) -> None:
        self.done, self.total = done, total
        if row is None:
            self._running += 1
            self._at_once = max(self._at_once, self._running)
        else:
            self._running = max(0, self._running - 1)
            count, seconds = self._taken.get(cell.kind, (0, 0.0))
            self._taken[cell.kind] = count + 1, seconds + row["seconds"]
            self._look(cell, row)
        name = ", ".join(_tag(key, value) for key, value in cell.tags.items() if key not in _UNSAID)
        if self._live:
            state = fitting(f"[{done}/{total}", f"{self._left(cell)}] ", name, self._best_so_far(), _width())
            print(f"\r\033[K{state}", end="", file=sys.stderr, flush=True)  # noqa: T201
        elif row is not None and not self._quiet:
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

    def _left(self, cell: Any) -> str:
        """From cells of the same kind: a baseline says nothing about a training run."""
        if cell.kind not in self._taken:
            return ""
        count, taken = self._taken[cell.kind]
        seconds = taken / count * (self.total - self.done) / max(1, self._at_once)
        return f", about {seconds / 60:.0f} min left" if seconds >= 90 else f", about {seconds:.0f} s left"


def fitting(begin: str, left: str, name: str, best: str, width: int) -> str:
    """One line of so many characters at most; the name is cut first, then the time left goes, and the best last."""
    room = width - len(begin) - len(left) - len(best)
    if len(name) > room:
        name = f"{name[: room - 1]}…" if room > 1 else ""
    if room < 0:
        left = "] "
    return f"{begin}{left}{name}{best}"[:width]


#: Tags that tell a reader nothing.
_UNSAID = ("final",)
#: Tags whose value needs no name.
_BARE = ("row", "data", "layout")


def _tag(key: str, value: Any) -> str:
    if key == "percent":
        return f"{value:g} % of the texts"
    told = f"{value:g}" if isinstance(value, float) else str(value)
    return told if key in _BARE else f"{key} {told}"


def _said(row: dict[str, Any]) -> str:
    if row["outcome"] == "diverged":
        return "diverged"
    metrics = row.get("metrics")
    accuracy = f"{100 * metrics['evaluation']['accuracy']:.1f} % in " if metrics else ""
    return f"{accuracy}{row['seconds']:.0f} s"


def _width() -> int:
    import shutil

    return shutil.get_terminal_size().columns - 1

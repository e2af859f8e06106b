"""What a person sees: a progress bar on work longer than a second, and tables of aligned columns."""

import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

#: Called with work done and work in all.
Report = Any


@contextmanager
def progress(what: str) -> Iterator[Report | None]:
    """A bar on standard error, on work longer than a second; None, and no bar, where that is not a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    bar, start, tasks = _bar(), time.monotonic(), []

    def report(done: int, total: int) -> None:
        if not tasks and time.monotonic() - start > 1:
            bar.start()
            tasks.append(bar.add_task(what, total=total))
        for task in tasks:
            bar.update(task, completed=done, total=total)

    try:
        yield report
    finally:
        bar.stop()


@contextmanager
def progress_of_parts() -> Iterator[Any]:
    """A bar for one thing after the other, with the agreement reached; None, and no bar, where nobody watches.

    Called with what is done, how much of it is done and in all, and the agreement, once there is one.
    """
    if not sys.stderr.isatty():
        yield None
        return
    with _bar() as bar:
        tasks: dict[str, Any] = {}

        def report(what: str, done: int, total: int, agreement: float | None) -> None:
            if what not in tasks:
                for task in tasks.values():
                    bar.update(task, visible=False)
                tasks[what] = bar.add_task(what, total=total)
            said = what if agreement is None else f"{what}, agreement {agreement:.3f}"
            bar.update(tasks[what], completed=done, total=total, description=said)

        yield report


def _bar() -> Any:
    """What is being done, how far it is and how long it will take, on standard error; it goes when it ends."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)


def show_json(value: dict[str, Any]) -> None:
    """One line of JSON on standard output."""
    print(json.dumps(value, ensure_ascii=False))  # noqa: T201


def show(*lines: str) -> None:
    """Lines on standard output."""
    print(*lines, sep="\n")  # noqa: T201


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    """Lines of aligned columns; numbers to the right, with four digits behind the point."""
    body = [[f"{cell:.4f}" if isinstance(cell, float) else str(cell) for cell in row] for row in rows]
    right = [all(_is_number(cells[i]) for cells in body) for i in range(len(head))]
    widths = [max(len(cells[i]) for cells in [list(head), *body]) for i in range(len(head))]
    return [
        "  ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in zip(cells, widths, right, strict=True)).rstrip()
        for cells in [list(head), *body]
    ]


def _is_number(cell: str) -> bool:
    return cell.replace(".", "", 1).replace(",", "").isdigit()

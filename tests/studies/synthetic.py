"""Rows with chosen accuracies for the cells of a plan, so that pages can be held against numbers made by hand."""

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from hypermixer.report.page import Page, Section, Table, Value
from hypermixer.report.page import to_dict as plain
from hypermixer.studies.cell import Cell, Row
from hypermixer.studies.correctness import packed
from hypermixer.studies.fill import Filled, Plan
from hypermixer.studies.study import Result

EXAMPLES = 200
#: What a score may be beside a number, or two: of validation and of test texts.
MISSING, DIVERGED = "missing", "diverged"
Score = float | tuple[float, float | None] | str


def row(cell: Cell, score: Score, train: int) -> Row:
    """As a runner would give it."""
    shared = {"texts": {"train": {"examples": train}}, "seconds": 1.0}
    if isinstance(score, str):
        return {**shared, "outcome": DIVERGED, "why": "loss", "chance": 0.34}
    evaluation, test = score if isinstance(score, tuple) else (score, score)
    parts = {"evaluation": evaluation} | ({} if test is None else {"test": test})
    return {
        **shared,
        "outcome": "done",
        "metrics": {p: {"accuracy": a, "loss": 1 - a, "examples": EXAMPLES} for p, a in parts.items()},
        "correct": {p: packed(bits(cell, a)) for p, a in parts.items()},
        "cost": {"parameters": 2_500_000, "train_seconds": 1.0},
    }


def bits(cell: Cell, accuracy: float) -> np.ndarray:
    """Which examples are right: as many as the accuracy says, in an order of the cell's own."""
    right = np.arange(EXAMPLES) < round(accuracy * EXAMPLES)
    return np.random.default_rng(zlib.crc32(cell.key.encode())).permutation(right)


def filled_by(plan: Plan, score: Callable[[dict[str, Any]], Score], train: int = 240) -> Filled:
    """A folder that was filled with these scores, by the tags of a cell."""
    filled = Filled()
    while True:
        filled.cells = list(plan(filled.rows))
        found = {c.key: (c, score(c.tags)) for c in filled.cells if c.key not in filled.rows}
        new = {key: row(c, s, train) for key, (c, s) in found.items() if s != MISSING}
        if not new:
            return filled
        filled.rows |= new


def tables(result: Result) -> dict[str, Table]:
    """All tables of a result by their titles; the page is built, too, so that whatever it refuses is seen."""
    page = Page("title", result.summary, (*result.sections, Section("last", ())))
    assert plain(page)["summary"]
    return {part.title: part for s in result.sections for part in s.body if isinstance(part, Table)}


def texts(table: Table, name: str, *more: str) -> dict[str, str | None]:
    """The entries of a row as a reader sees them, by column; the row is told by its first entries."""
    names = (name, *more)
    rows = [r for r in table.rows if tuple(seen(entry) for entry in r[: len(names)]) == names]
    assert len(rows) == 1, (names, [seen(r[0]) for r in table.rows])
    return {head: seen(entry) for head, entry in zip(table.head, rows[0], strict=True)}


def seen(entry: Any) -> str | None:
    return None if entry is None else entry.text if isinstance(entry, Value) else str(entry)

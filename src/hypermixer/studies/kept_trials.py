"""The trials of a random search in DIR/search.db, where Optuna's own tools read them."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from hypermixer.costs.search import Space, Trial, record
from hypermixer.studies.cell import Cell
from hypermixer.studies.fill import Filled
from hypermixer.studies.grid import accuracy
from hypermixer.studies.scores import matching

FILE = "search.db"


def keep_trials(folder: Path, searches: Iterable[str], filled: Filled, drawn: Sequence[Trial], space: Space) -> None:
    """Bring the file up to date with the cells that are done.

    Args:
        folder: of the cells.
        searches: rows that were searched; each is a study of that name in the file.
        filled: the cells, tagged `row` and `trial`.
        drawn: the trials, the same for all rows.
        space: that they were drawn from.

    Raises:
        WorkError: the file cannot be written.
    """
    for name in searches:
        results = {
            cell.tags["trial"]: _result(cell, filled)
            for cell in matching(filled.cells, row=name)
            if "trial" in cell.tags and cell.key in filled.rows
        }
        record(folder / FILE, name, drawn, results, space=space)


def _result(cell: Cell, filled: Filled) -> float | None:
    row = filled.rows[cell.key]
    return None if row["outcome"] == "diverged" else accuracy(row, "evaluation")

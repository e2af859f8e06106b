"""Cells that are done, picked by their tags, and what they say together."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hypermixer.costs.statistics import Interval, bootstrap_mean, mean_and_deviation, paired_bootstrap
from hypermixer.studies.cell import Cell, Results, Row
from hypermixer.studies.correctness import unpacked
from hypermixer.studies.fill import Filled

#: Of a normal distribution, 95 % lie within so many deviations.
_Z = 1.96


@dataclass(frozen=True)
class Runs:
    """Runs of one model with several seeds, in their order.

    Attributes:
        cells: that are done.
        rows: of these cells.
        missing: how many of the wanted runs are not there.
    """

    cells: tuple[Cell, ...]
    rows: tuple[Row, ...]
    missing: int

    @property
    def diverged(self) -> int:
        """How many ended without a number for a loss."""
        return sum(row["outcome"] == "diverged" for row in self.rows)

    def has(self, part: str) -> bool:
        """Whether there are numbers on such texts: some run is done, and none of them diverged."""
        return bool(self.rows) and not self.diverged and all(part in row["metrics"] for row in self.rows)

    @property
    def done(self) -> tuple[Row, ...]:
        """Rows of the runs that did not diverge."""
        return tuple(row for row in self.rows if row["outcome"] != "diverged")

    def answered(self, part: str) -> bool:
        """Whether there are numbers on such texts from some run; others may have diverged."""
        return bool(self.done) and all(part in row["metrics"] for row in self.done)

    def part(self) -> str:
        """Which texts count: those reported on where there are any, else those chosen by."""
        return "test" if self.has("test") else "evaluation"

    def accuracies(self, part: str) -> list[float]:
        """Of each run that did not diverge, as a fraction."""
        return [row["metrics"][part]["accuracy"] for row in self.done]

    def summary(self, part: str) -> tuple[float, float | None]:
        """Mean and standard deviation of the accuracies, in percent; one run has no deviation."""
        return mean_and_deviation([100 * value for value in self.accuracies(part)])

    def correct(self, part: str) -> np.ndarray:
        """Which examples each run that did not diverge answered rightly: bool [runs, n]."""
        return np.stack([unpacked(row["correct"][part], row["metrics"][part]["examples"]) for row in self.done])

    def median(self, *path: str) -> float:
        """Of a number in the rows; runs that diverged have none."""
        return statistics.median(_at(row, path) for row in self.done)

    def interval(self, part: str) -> Interval:
        """Of the mean accuracy, as fractions, over examples and runs.

        Where every answer is right, or every one wrong, resamples are all alike; the interval is Wilson's then (1927),
        which reaches z^2 / (n + z^2) away from the mean, n examples, z = 1.96.
        """
        correct = self.correct(part)
        found = bootstrap_mean(correct)
        return _widened(found, _Z**2 / (correct.shape[1] + _Z**2), 0) if found.low == found.high else found


def picked(filled: Filled, **tags: Any) -> Runs:
    """The runs of cells that have these tags."""
    return runs_of(matching(filled.cells, **tags), filled.rows)


def runs_of(cells: Iterable[Cell], rows: Results) -> Runs:
    """The runs of these cells, each once."""
    wanted = {cell.key: cell for cell in cells}
    done = {key: cell for key, cell in wanted.items() if key in rows}
    return Runs(tuple(done.values()), tuple(rows[key] for key in done), len(wanted) - len(done))


def matching(cells: Sequence[Cell], **tags: Any) -> list[Cell]:
    """Cells that have all of these tags; a tag of None must be absent."""
    return [cell for cell in cells if all(cell.tags.get(name) == value for name, value in tags.items())]


def minus(a: Runs, b: Runs, part: str) -> Interval:
    """Accuracy of a less that of b on the same examples: mean and interval, as fractions.

    Where the two differ in no example, or in all of them alike, resamples are all alike; the interval is then that of
    the rule of three (Hanley and Lippman-Hand 1983): what n examples never showed may be so in 3 / n of others.
    """
    first, second = a.correct(part), b.correct(part)
    found = paired_bootstrap(first, second)
    return _widened(found, 3 / first.shape[1], -1) if found.low == found.high else found


def _widened(point: Interval, by: float, least: float) -> Interval:
    return Interval(point.mean, max(least, point.mean - by), min(1.0, point.mean + by))


def _at(row: Row, path: Sequence[str]) -> float:
    value: Any = row
    for name in path:
        value = value[name]
    return float(value)

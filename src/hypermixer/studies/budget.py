"""Fitting a comparison to a time: the largest part of it that is expected to be done, and what is left out."""

import math
import re
import time
from dataclasses import replace

from hypermixer.errors import InputError
from hypermixer.studies.baselines import BASELINES
from hypermixer.studies.cell import Cell, Results, Row
from hypermixer.studies.compare import Comparison
from hypermixer.studies.expected import expected_baseline, expected_run

_UNITS = {"s": 1, "m": 60, "h": 3600}
#: Seconds of a mixer at a length, beside the time that each length is given: memory in a process of its own.
_PER_LENGTH = 3.0


def seconds(text: str) -> float:
    """`90s`, `10m`, `1.5h` or plain seconds.

    Raises:
        InputError: something else, or no time at all.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh]?)", text.strip(), re.ASCII)
    if match is None or not 0 < float(match[1]) < math.inf:
        raise InputError(f"--budget {text}: must be a time such as 90s, 10m or 1.5h.")
    return float(match[1]) * _UNITS[match[2] or "s"]


def in_words(time_: float) -> str:
    """A duration as people say it, rounded up."""
    if time_ < 90:
        return f"{math.ceil(time_)} s"
    return f"{math.ceil(time_ / 60)} min" if time_ < 5400 else f"{math.ceil(time_ / 360) / 10:.1f} h"


class Budget:
    """A time that runs.

    Args:
        total: seconds.
        workers: cells that run at a time.
        begun: when it began, by `time.monotonic`.
    """

    def __init__(self, total: float, workers: int, begun: float) -> None:
        self.total, self.workers = total, workers
        self._begun = begun
        #: Seconds of a run on all texts, by row: as expected, and then as it was.
        self._runs: dict[str, float] = {}
        self._lengths = 0.0

    @property
    def left(self) -> float:
        """Seconds until it is over, 0 afterwards."""
        return max(0.0, self.total - (time.monotonic() - self._begun))

    def expect(self, whole: Comparison, threads: int) -> None:
        """Measure what a run of each mixer takes, with so many threads, and what a baseline does."""
        self._runs |= {BASELINES[name].label: expected_baseline(whole, name) for name in whole.baselines}
        self._runs |= {v.name: expected_run(whole, v, threads) for v in whole.variants}
        self._lengths = len(whole.lengths) * (whole.length_cell().config["seconds"] + _PER_LENGTH * len(whole.variants))

    def require(self, whole: Comparison, done: Results) -> None:
        """Check that the baselines and one run of each mixer are expected to fit.

        Raises:
            InputError: it is not; says what it takes.
        """
        least = self._time(parts(whole)[0], done)
        if least > self.left:
            spent = self.total - self.left
            raise InputError(
                f"--budget: {in_words(self.total)} is too little: the baselines and one run of each mixer take about"
                f" {in_words(least)}, and what comes before it {in_words(spent)}; give"
                f" {in_words(1.2 * (least + spent))}, name fewer mixers, or lower --epochs or --limit."
            )

    def fitted(self, whole: Comparison, done: Results) -> tuple[Comparison, list[str]]:
        """The largest part of a comparison that is expected to fit, and what that leaves out, in words.

        Args:
            whole: what is wanted.
            done: cells that need not be run.

        Returns:
            One run of each mixer at least: once work was done there is no refusal, cells that `fits` denies are left.
        """
        one, *more = parts(whole)
        part = next((each for each in reversed(more) if self._time(each, done) <= self.left), one)
        if part.grid == whole.grid:
            for cost in whole.costs:
                wider = replace(part, costs=(*part.costs, cost))
                part = wider if self._time(wider, done) <= self.left else part
        return part, left_out(whole, part)

    def fits(self, cell: Cell) -> bool:
        """Whether a cell is expected to end in time."""
        if cell.kind == "lengths":
            return self.left >= self._lengths
        return self.left >= _share(cell) * self._runs.get(_name(cell), 0.0)

    def learn(self, cell: Cell, row: Row | None) -> None:
        """Take in what a run on all texts took: it counts more than what was expected."""
        if row is not None and row["outcome"] != "diverged" and _share(cell) == 1:
            self._runs[_name(cell)] = row["seconds"]

    def _time(self, part: Comparison, done: Results) -> float:
        """Seconds that the rest of a part is expected to take."""
        shares = sum(percent / 100 for percent in part.parts) if "d" in part.costs else 0.0
        runs = len(part.grid.points()) + len(part.grid.seeds) - 1 + len(part.grid.seeds) * shares
        runs += part.trials if "h" in part.costs else 0
        there = {cell.key: cell for cell in part.plan(done) if cell.key in done}
        wanted = {variant.name: runs for variant in part.variants}
        wanted |= {_name(cell): 1 + shares for cell in part.baseline_cells()}
        total = 0.0
        for name, count in wanted.items():
            ready = sum(_share(cell) for cell in there.values() if _name(cell) == name)
            total += max(0.0, count - ready) * self._runs[name]
        measured = "e" not in part.costs or part.length_cell().key in there
        return total / self.workers + (0.0 if measured else self._lengths)


def _name(cell: Cell) -> str:
    return str(cell.tags.get("row"))


def _share(cell: Cell) -> float:
    """Of a run on all texts."""
    return cell.texts.percent / 100 if cell.texts is not None else 1.0


def parts(whole: Comparison) -> list[Comparison]:
    """From one run of each mixer to all seeds, each containing the one before; costs come after that."""
    grid = whole.grid
    grids = [replace(grid, lrs=grid.lrs[:1], layouts=grid.layouts[:1], seeds=grid.seeds[:1])]
    grids += [replace(grid, seeds=grid.seeds[:n]) for n in range(1, len(grid.seeds) + 1)]
    return [replace(whole, grid=each, costs=()) for each in grids]


def left_out(whole: Comparison, part: Comparison) -> list[str]:
    """What a part does not have, one sentence each."""
    said = []
    if (tried := len(part.grid.points())) < (wanted := len(whole.grid.points())):
        said.append(f"learning rates and layouts tried: {tried} of {wanted}.")
    if (run := len(part.grid.seeds)) < (wanted := len(whole.grid.seeds)):
        said.append(f"seeds run: {run} of {wanted}.")
    if missing := [cost for cost in whole.costs if cost not in part.costs]:
        said.append(f"costs left out: {', '.join(missing)}.")
    return [f"To keep the budget, {sentence}" for sentence in said]

"""Our accuracies beside the paper's, one table a data set; where a number is missing, words say why."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hypermixer.costs.statistics import Interval
from hypermixer.report.page import Entry, Table, Value
from hypermixer.studies.cell import Cell, Results, baseline_cell
from hypermixer.studies.fill import Filled
from hypermixer.studies.grid import accuracy, chosen, tuned
from hypermixer.studies.models import TASKS, Model
from hypermixer.studies.paper_texts import heading, own_texts, remark
from hypermixer.studies.scores import Runs, matching, picked
from hypermixer.studies.study import shortened
from hypermixer.studies.tasks import Scale, Task

FLOOR = "TF-IDF + logistic regression"


def cells(scale: Scale, models: Sequence[Model], results: Results) -> list[Cell]:
    """For each data set the linear baseline, and each model's learning rates and then its seeds at the best of them."""
    wanted: list[Cell] = []
    for task in scale.tasks:
        wanted.append(baseline_cell("tfidf", task.texts(), row=FLOOR, data=task.name, final=True))
    for task in scale.tasks:
        for model in models:
            wanted += tuned(model.variant, task.settings, task.texts(), scale.grid(), results, data=task.name)
    return wanted


def final(filled: Filled, task: Task, row: str) -> Runs:
    """The runs of a model at its best learning rate."""
    return picked(filled, row=row, data=task.name, final=True)


def gap(runs: Runs) -> str:
    """What is wanting of these runs, in words; empty where nothing is."""
    wanted = len(runs.rows) + runs.missing
    if runs.diverged:
        return f"{runs.diverged} of {wanted} runs diverged"
    if not runs.rows:
        return "not run"
    return f"{len(runs.rows)} of {wanted} runs done" if runs.missing else ""


def instead(reason: str) -> Value:
    """Words where a number would stand: the column still sorts and aligns as one of numbers."""
    return Value(reason, math.nan)


def mean(runs: Runs, part: str) -> Entry:
    """Mean accuracy in percent, deviation in brackets, and what is wanting; None where there are no such texts."""
    missing = gap(runs)
    if not runs.has(part):
        return instead(missing) if missing else None
    average, deviation = runs.summary(part)
    spread = "" if deviation is None else f" ({deviation:.2f})"
    return Value(f"{average:.1f}{spread}{f', {missing}' if missing else ''}", average)


@dataclass(frozen=True)
class Best:
    """The best cell of a grid.

    Attributes:
        cell: None where the grid is not complete.
        percent: its validation accuracy; None where there is none, or every run of the grid diverged.
        entry: that accuracy in a table, or why it is missing.
    """

    cell: Cell | None
    percent: float | None
    entry: Entry


def best_of_grid(filled: Filled, **tags: object) -> Best:
    """The best of the cells with these tags."""
    tried = matching(filled.cells, **tags)
    best = chosen(tried, filled.rows) if tried else None
    if best is None:
        done = sum(cell.key in filled.rows for cell in tried)
        return Best(None, None, instead(f"{done} of {len(tried)} runs done" if done else "not run"))
    row = filled.rows[best.key]
    if row["outcome"] == "diverged":
        return Best(best, None, instead("diverged"))
    percent = 100 * accuracy(row, "evaluation")
    return Best(best, percent, Value(f"{percent:.1f}", percent))


def signed(difference: float | None) -> Entry:
    """A difference of percentages, with its sign."""
    return None if difference is None else Value(f"{difference:+.1f}", difference)


def shown(made: Table) -> Table:
    """What a screen has room for of a table of `table`."""
    return shortened(made, "model", "validation, %", "paper, %", "difference", "within the deviations", "test, %")


def points(interval: Interval) -> str:
    """A difference of accuracies in points, with its interval."""
    return f"{100 * interval.mean:+.1f} points, {100 * interval.low:+.1f} to {100 * interval.high:+.1f}"


def table(filled: Filled, task: Task, models: Sequence[Model]) -> Table:
    """A data set: validation and, where the paper has it for all models, test, beside what the paper prints."""
    tested = all(model.printed.best_seed is not None for model in models)
    floor = final(filled, task, FLOOR)
    rows: list[tuple[Entry, ...]] = [
        (FLOOR, None, mean(floor, "evaluation"), *[None] * 3, mean(floor, "test"), *[None] * (2 * tested))
    ]
    same = own_texts(filled, task)
    rows += [_row(final(filled, task, m.variant.name), m, TASKS.index(task.paper), tested, same) for m in models]
    head = ("model", "learning rate", "validation, %", "paper, %", "difference", "within the deviations", "test, %")
    if tested:
        head += ("test of the best seed, %", "paper's test, %")
    return Table(heading(filled, task), head, tuple(rows), _note(filled, task, models))


def _note(filled: Filled, task: Task, models: Sequence[Model]) -> str:
    found = [final(filled, task, model.variant.name) for model in models]
    rows = [row for runs in found for row in runs.rows if row["outcome"] == "done"]
    untested = " These texts have no labelled test part." if rows and "test" not in rows[0]["metrics"] else ""
    return (
        f"{remark(filled, task)} In brackets: standard deviation over seeds. Within the deviations: the difference is"
        f" at most ours and the paper's together; empty where the texts are not the paper's.{untested}"
    )


def _row(runs: Runs, model: Model, column: int, tested: bool, same: bool) -> tuple[Entry, ...]:
    printed = model.printed
    theirs, spread = printed.validation[column], printed.deviation[column]
    rate = runs.cells[0].tags["lr"] if runs.cells else None
    difference = within = None
    if runs.has("evaluation"):
        average, deviation = runs.summary("evaluation")
        difference = average - theirs
        if same:  # of other texts the deviations say nothing
            within = "yes" if abs(difference) <= (deviation or 0) + spread else "no"
    entries: list[Entry] = [
        model.variant.name,
        None if rate is None else Value(f"{rate:g}", rate),
        mean(runs, "evaluation"),
        Value(f"{theirs:.1f} ({spread:.2f})", theirs),
        signed(difference),
        within,
        mean(runs, "test"),
    ]
    if tested:
        assert printed.best_seed is not None
        entries += [_best_seed(runs), Value(f"{printed.best_seed[column]:.1f}", printed.best_seed[column])]
    return tuple(entries)


def _best_seed(runs: Runs) -> Entry:
    if not runs.has("test"):
        return None
    validation, test = runs.accuracies("evaluation"), runs.accuracies("test")
    best = 100 * test[max(range(len(test)), key=validation.__getitem__)]
    return Value(f"{best:.1f}", best)


def parameters(filled: Filled, scale: Scale, models: Sequence[Model]) -> Table:
    """How large each model is on each data set, beside the paper's."""
    rows: list[tuple[Entry, ...]] = []
    for model in models:
        found = [final(filled, task, model.variant.name) for task in scale.tasks]
        millions = model.printed.millions
        rows.append((model.variant.name, Value(f"{millions:g}", millions), *map(_size, found)))
    head = ("model", "paper", *(task.name for task in scale.tasks))
    return Table("Parameters in millions", head, tuple(rows), "Embeddings included, so it depends on the vocabulary.")


def _size(runs: Runs) -> Entry:
    if not runs.has("evaluation"):
        return instead(gap(runs))
    millions = runs.median("cost", "parameters") / 1e6
    return Value(f"{millions:.2f}", millions)

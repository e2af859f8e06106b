"""Table 2 of HyperMixer (arXiv 2203.03691): how many examples each data set has."""

from functools import partial

from hypermixer.report.page import Entry, Section, Table, Value
from hypermixer.studies.cell import Cell, Results
from hypermixer.studies.fill import Filled
from hypermixer.studies.models import TASKS
from hypermixer.studies.scores import matching
from hypermixer.studies.study import Result, Study
from hypermixer.studies.tasks import SCALES, Scale, Task

#: Training, validation and test, in the order of `TASKS`.
PRINTED = (
    (392_702, 9_815, 9_796),
    (549_367, 9_842, 9_824),
    (363_846, 40_430, 390_965),
    (104_743, 5_463, 5_463),
    (67_349, 872, 1_821),
)


def study(name: str, scale: str) -> Study:
    """Table 2."""
    there = SCALES[scale]
    plan = partial(_cells, there)
    return Study(name, "Table 2: data sets", scale, name, plan, partial(_result, there), ())


def _cells(scale: Scale, results: Results) -> list[Cell]:
    return [Cell("counts", {}, task.texts(), {"data": task.name}) for task in scale.tasks]


def _result(scale: Scale, filled: Filled) -> Result:
    rows = tuple(_row(filled, task) for task in scale.tasks)
    head = ("data set", "training", "validation", "test", "paper's", "training", "validation", "test", "what it is")
    note = "Validation texts are those a run is chosen by; where a set has none, a tenth of its training texts."
    same = sum(task.same_data for task in scale.tasks)
    summary = f"{same} of {len(scale.tasks)} data sets have the paper's own training and validation texts."
    return Result(summary, (Section("Examples", (Table("Data sets", head, rows, note),)),))


def _row(filled: Filled, task: Task) -> tuple[Entry, ...]:
    found = matching(filled.cells, data=task.name)
    ours = filled.rows[found[0].key]["examples"] if found and found[0].key in filled.rows else {}
    theirs = PRINTED[TASKS.index(task.paper)]
    counts: list[Entry] = [_number(ours.get(part)) for part in ("train", "evaluation", "test")]
    return (task.name, *counts, task.paper, *map(_number, theirs), task.note or "the paper's own texts")


def _number(count: int | None) -> Entry:
    return None if count is None else Value(f"{count:,}", count)

"""Table 2 of HyperMixer (arXiv 2203.03691): how many examples each data set has."""

from functools import partial

from hypermixer.report.page import Entry, Section, Table, Value
from hypermixer.studies.beside_paper import instead
from hypermixer.studies.cell import Cell, Results
from hypermixer.studies.fill import Filled
from hypermixer.studies.scores import matching
from hypermixer.studies.study import Result, Study
from hypermixer.studies.tasks import PAPER_EXAMPLES, SCALES, Scale, Task

#: How ours are counted.
_DEVIATIONS = (
    "Validation texts are those that a run is chosen by; of a set without any, a tenth of its training texts.",
    "Test texts are counted where they have labels.",
)


def study(name: str, scale: str) -> Study:
    """Table 2."""
    there = SCALES[scale]
    plan = partial(_cells, there)
    return Study(name, "Table 2: data sets", scale, name, plan, partial(_result, there), _DEVIATIONS)


def _cells(scale: Scale, results: Results) -> list[Cell]:
    return [Cell("counts", {}, task.texts(), {"data": task.name}) for task in scale.tasks]


def _result(scale: Scale, filled: Filled) -> Result:
    rows = tuple(_row(filled, task) for task in scale.tasks)
    head = (
        "data set", "training", "paper's training", "validation", "paper's validation", "test", "paper's test",
        "stands for", "what it is",
    )  # fmt: skip
    same = sum(task.same_data for task in scale.tasks)
    summary = f"{same} of {len(scale.tasks)} data sets have the paper's own training and validation texts."
    return Result(summary, (Section("Examples", (Table("Examples of each part", head, rows),)),))


def _row(filled: Filled, task: Task) -> tuple[Entry, ...]:
    found = matching(filled.cells, data=task.name)
    ours = filled.rows[found[0].key]["examples"] if found and found[0].key in filled.rows else None
    counts: list[Entry] = []
    for part, theirs in zip(("train", "evaluation", "test"), PAPER_EXAMPLES[task.paper], strict=True):
        counts += [instead("not counted") if ours is None else _number(ours.get(part)), _number(theirs)]
    return (task.name, *counts, task.paper, task.note or "the paper's own texts")


def _number(count: int | None) -> Entry:
    return None if count is None else Value(f"{count:,}", count)

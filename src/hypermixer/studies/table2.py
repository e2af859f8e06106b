"""Table 2 of HyperMixer (arXiv 2203.03691): how many examples each data set has."""

from functools import partial

from hypermixer.report.page import Entry, Section, Table, Value
from hypermixer.studies.beside_paper import instead
from hypermixer.studies.cell import Cell, Results
from hypermixer.studies.fill import Filled
from hypermixer.studies.scores import matching
from hypermixer.studies.study import Result, Study, shortened
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
        "data set", "training", "paper's training", "difference in training", "validation", "paper's validation",
        "difference in validation", "test", "paper's test", "difference in test", "stands for", "what it is",
    )  # fmt: skip
    table = Table("Examples of each part", head, rows)
    return Result(_summary(scale, filled), (Section("Examples", (table,)),), (shortened(table, *head[:-1]),))


def _summary(scale: Scale, filled: Filled) -> str:
    counts = [(task, _counted(filled, task)) for task in scale.tasks]
    same = sum(ours is not None and _own(task, ours) for task, ours in counts)
    lacking = sum(ours is None for _, ours in counts)
    rest = f" {lacking} are not counted." if lacking else ""
    return f"{same} of {len(counts)} data sets have the paper's own training and validation texts.{rest}"


def _counted(filled: Filled, task: Task) -> dict[str, int] | None:
    """How many examples each part has; None where they are not counted."""
    found = matching(filled.cells, data=task.name)
    return filled.rows[found[0].key]["examples"] if found and found[0].key in filled.rows else None


def _own(task: Task, ours: dict[str, int]) -> bool:
    """Whether training and validation texts are the paper's: of its set, and as many."""
    return task.same_data and (ours.get("train"), ours.get("evaluation")) == PAPER_EXAMPLES[task.paper][:2]


def _row(filled: Filled, task: Task) -> tuple[Entry, ...]:
    ours = _counted(filled, task)
    counts: list[Entry] = []
    for part, theirs in zip(("train", "evaluation", "test"), PAPER_EXAMPLES[task.paper], strict=True):
        count = None if ours is None else ours.get(part)
        counts += [
            instead("not counted") if ours is None else None if count is None else Value(f"{count:,}", count),
            Value(f"{theirs:,}", theirs),
            None if count is None else Value(f"{count - theirs:+,}", count - theirs),
        ]
    return (task.name, *counts, task.paper, _what(task, ours))


def _what(task: Task, ours: dict[str, int] | None) -> str:
    if task.same_data and ours is not None and not _own(task, ours):
        return f"not the paper's {task.paper}: another number of texts"
    return task.note or "the paper's own texts"

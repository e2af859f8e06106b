"""All trials of a random search, for each model beside the others."""

from collections.abc import Sequence

from hypermixer.costs.search import Trial
from hypermixer.report.page import Entry, Table, Value
from hypermixer.studies.beside_paper import instead
from hypermixer.studies.cell import Row
from hypermixer.studies.fill import Filled
from hypermixer.studies.grid import accuracy
from hypermixer.studies.models import Model
from hypermixer.studies.scores import matching
from hypermixer.studies.tasks import Task


def trials_table(filled: Filled, task: Task, models: Sequence[Model], drawn: Sequence[Trial]) -> Table:
    """A row for each trial."""
    rows: list[tuple[Entry, ...]] = []
    for trial in drawn:
        rate, dropout = Value(f"{trial.lr:.2g}", trial.lr), Value(f"{trial.dropout:.2f}", trial.dropout)
        entries: list[Entry] = [trial.number, rate, dropout]
        for model in models:
            found = matching(filled.cells, row=model.variant.name, data=task.name, trial=trial.number)
            row = filled.rows.get(found[0].key) if found else None
            entries.append(_outcome(row))
        rows.append(tuple(entries))
    head = ("trial", "learning rate", "dropout", *(f"{model.variant.name}, %" for model in models))
    return Table(
        f"{task.name}: all trials",
        head,
        tuple(rows),
        "Validation accuracy. A trial that diverged counts and sorts as the commonest label.",
    )


def _outcome(row: Row | None) -> Entry:
    if row is None:
        return instead("not run")
    value = 100 * accuracy(row, "evaluation")
    return Value("diverged" if row["outcome"] == "diverged" else f"{value:.1f}", value)

"""Our numbers beside the paper's: one table a data set, and what they say of the paper's claims."""

from collections.abc import Sequence
from dataclasses import dataclass

from hypermixer.costs.statistics import Interval
from hypermixer.report.page import Entry, Section, Table, Value
from hypermixer.studies.cell import Cell, Results, baseline_cell
from hypermixer.studies.fill import Filled
from hypermixer.studies.grid import tuned
from hypermixer.studies.models import TASKS, Model
from hypermixer.studies.scores import Runs, minus, picked
from hypermixer.studies.tasks import Scale, Task

FLOOR = "TF-IDF + logistic regression"


@dataclass(frozen=True)
class Claim:
    """That one model is better than another, as the paper says.

    Attributes:
        text: the claim.
        better, worse: rows.
    """

    text: str
    better: str
    worse: str


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


def table(filled: Filled, task: Task, models: Sequence[Model]) -> Table:
    """A data set: validation and test beside what the paper prints."""
    rows: list[tuple[Entry, ...]] = [_floor(final(filled, task, FLOOR))]
    for model in models:
        rows.append(_row(final(filled, task, model.variant.name), model, TASKS.index(task.paper)))
    head = (
        "model", "learning rate", "validation, %", "paper, %", "difference", "within deviations", "test, %",
        "test, best seed, %", "paper's, %", "parameters",
    )  # fmt: skip
    return Table(task.name, head, tuple(rows), f"{task.remark} In brackets: standard deviation over seeds.")


def _floor(runs: Runs) -> tuple[Entry, ...]:
    return (FLOOR, None, _mean(runs, "evaluation"), *[None] * 3, _mean(runs, "test"), *[None] * 3)


def _row(runs: Runs, model: Model, column: int) -> tuple[Entry, ...]:
    printed, test = model.printed, model.printed.best_seed
    paper = Value(f"{printed.validation[column]:.1f} ({printed.deviation[column]:.2f})", printed.validation[column])
    theirs = None if test is None else Value(f"{test[column]:.1f}", test[column])
    name = model.variant.name
    if not runs.has("evaluation"):
        reason = f"{runs.diverged} of {len(runs.rows)} runs diverged" if runs.diverged else "not run"
        return (name, None, Value(reason), paper, None, None, None, None, theirs, None)
    mean, deviation = runs.summary("evaluation")
    difference = mean - printed.validation[column]
    within = abs(difference) <= (deviation or 0) + printed.deviation[column]
    lr = runs.cells[0].tags["lr"]
    parameters = runs.median("cost", "parameters")
    return (
        name,
        Value(f"{lr:g}", lr),
        _mean(runs, "evaluation"),
        paper,
        Value(f"{difference:+.1f}", difference),
        "yes" if within else "no",
        _mean(runs, "test"),
        _best_seed(runs),
        theirs,
        Value(f"{parameters:,.0f}", parameters),
    )


def _mean(runs: Runs, part: str) -> Entry:
    if not runs.has(part):
        return None
    mean, deviation = runs.summary(part)
    return Value(f"{mean:.1f}" if deviation is None else f"{mean:.1f} ({deviation:.2f})", mean)


def _best_seed(runs: Runs) -> Entry:
    if not runs.has("test"):
        return None
    validation, test = runs.accuracies("evaluation"), runs.accuracies("test")
    best = 100 * test[max(range(len(test)), key=validation.__getitem__)]
    return Value(f"{best:.1f}", best)


def claims(filled: Filled, scale: Scale, wanted: Sequence[Claim]) -> Section:
    """Where each claim holds in these runs, where it does not, and where they cannot tell."""
    lines = [f"- {claim.text} {'; '.join(_verdict(filled, task, claim) for task in scale.tasks)}." for claim in wanted]
    explanation = (
        "Holds, or does not hold: the 95 % interval of the difference on the same examples, resampled together with the"
        " runs, lies on one side of zero. Where both models stay below the linear baseline, the runs say little about"
        " either, and that is added."
    )
    return Section("The paper's claims in these runs", (explanation, "\n".join(lines)))


def _verdict(filled: Filled, task: Task, claim: Claim) -> str:
    better, worse = final(filled, task, claim.better), final(filled, task, claim.worse)
    part = better.part()
    if not (better.has(part) and worse.has(part)):
        return f"{task.name}: not run"
    interval = minus(better, worse, part)
    floor = final(filled, task, FLOOR)
    weak = floor.has(part) and max(better.summary(part)[0], worse.summary(part)[0]) < floor.summary(part)[0]
    where = "" if task.same_data else ", on a part of the data"
    return f"{task.name}{where}: {_word(interval)} ({points(interval)}){' below the linear baseline' if weak else ''}"


def _word(interval: Interval) -> str:
    if interval.low > 0:
        return "holds"
    return "does not hold" if interval.high < 0 else "cannot be decided"


def points(interval: Interval) -> str:
    """A difference of accuracies in points, with its interval."""
    return f"{100 * interval.mean:+.1f} points, {100 * interval.low:+.1f} to {100 * interval.high:+.1f}"

"""Tables 1, 3 and 4 of HyperMixer (arXiv 2203.03691): six token mixers; 3 and 4 are views of table 1's cells."""

import statistics
from functools import partial

from hypermixer.report.page import Entry, Section, Table, Value
from hypermixer.studies.beside_paper import Claim, cells, claims, final, table
from hypermixer.studies.fill import Filled
from hypermixer.studies.grid import accuracy, chosen
from hypermixer.studies.models import MAIN, TASKS, Model
from hypermixer.studies.scores import matching
from hypermixer.studies.study import Result, Study
from hypermixer.studies.tasks import SCALES, Scale, Task

TITLES = {
    "table1": "Table 1: accuracy of six token mixers",
    "table3": "Table 3: the best of the learning rates, one seed",
    "table4": "Table 4: test accuracy of the median seed",
}
CLAIMS = (
    Claim("HyperMixer is better than the Transformer.", "HyperMixer", "Transformer"),
    Claim("HyperMixer is better than MLPMixer.", "HyperMixer", "MLPMixer"),
    Claim("HyperMixer is better than gMLP.", "HyperMixer", "gMLP"),
    Claim("HyperMixer is better than FNet.", "HyperMixer", "FNet"),
    Claim(
        "HyperMixer is better than the Linear Transformer (the paper: not on MNLI and SNLI).",
        "HyperMixer",
        "Linear Transformer",
    ),
)


def study(name: str, scale: str) -> Study:
    """Table 1, 3 or 4."""
    chosen_scale = SCALES[scale]
    view = {"table1": _accuracy, "table3": _grid, "table4": _median}[name]
    plan = partial(cells, chosen_scale, MAIN)
    return Study(name, TITLES[name], scale, "table1", plan, partial(view, chosen_scale), chosen_scale.deviations)


def _accuracy(scale: Scale, filled: Filled) -> Result:
    tables = tuple(table(filled, task, MAIN) for task in scale.tasks)
    summary = _best_of_each(scale, filled)
    return Result(summary, (claims(filled, scale, CLAIMS), Section("Accuracy", tables)))


def _best_of_each(scale: Scale, filled: Filled) -> str:
    """The best model on each data set and where HyperMixer stands."""
    sentences = []
    for task in scale.tasks:
        means = {m.variant.name: final(filled, task, m.variant.name) for m in MAIN}
        scores = {name: runs.summary(runs.part())[0] for name, runs in means.items() if runs.has("evaluation")}
        if not scores:
            continue
        order = sorted(scores, key=lambda name: -scores[name])
        ours = scores.get("HyperMixer")
        place = "" if ours is None or order[0] == "HyperMixer" else f", HyperMixer {ours:.1f}"
        sentences.append(f"{task.name}: {order[0]} is best with {scores[order[0]]:.1f} %{place}")
    return "; ".join(sentences) + "." if sentences else "No model has been run yet."


def _grid(scale: Scale, filled: Filled) -> Result:
    tables = []
    for task in scale.tasks:
        rows: list[tuple[Entry, ...]] = []
        for model in MAIN:
            tried = matching(filled.cells, row=model.variant.name, data=task.name, final=None)
            best = chosen(tried, filled.rows)
            column = TASKS.index(task.paper)
            assert model.printed.grid is not None and model.printed.lrs is not None
            theirs, rate = model.printed.grid[column], model.printed.lrs[column]
            ours = None if best is None else 100 * accuracy(filled.rows[best.key], "evaluation")
            rows.append((
                model.variant.name,
                None if ours is None else Value(f"{ours:.1f}", ours),
                None if best is None else Value(f"{best.tags['lr']:g}", best.tags["lr"]),
                Value(f"{theirs:.1f}", theirs),
                Value(f"{rate:g}", rate),
                None if ours is None else Value(f"{ours - theirs:+.1f}", ours - theirs),
                None if best is None else "yes" if best.tags["lr"] in (min(scale.lrs), max(scale.lrs)) else "no",
            ))  # fmt: skip
        head = ("model", "validation, %", "at", "paper, %", "paper's at", "difference", "at the edge of the grid")
        tables.append(Table(task.name, head, tuple(rows), _one_seed(task)))
    return Result("The best validation accuracy of the grid, one seed each.", (Section("Grid", tuple(tables)),))


def _one_seed(task: Task) -> str:
    return f"One seed, so no deviation to compare with. {task.remark}"


def _median(scale: Scale, filled: Filled) -> Result:
    tables = [_median_table(task, filled) for task in scale.tasks]
    summary = "Test accuracy of the run whose validation accuracy is the median of the seeds."
    return Result(summary, (Section("Median seed", tuple(tables)),))


def _median_table(task: Task, filled: Filled) -> Table:
    rows: list[tuple[Entry, ...]] = []
    for model in MAIN:
        assert model.printed.median_seed is not None
        theirs, ours = model.printed.median_seed[TASKS.index(task.paper)], _median_seed(task, filled, model)
        rows.append((
            model.variant.name,
            None if ours is None else Value(f"{ours:.1f}", ours),
            Value(f"{theirs:.1f}", theirs),
            None if ours is None else Value(f"{ours - theirs:+.1f}", ours - theirs),
        ))  # fmt: skip
    return Table(task.name, ("model", "test, %", "paper, %", "difference"), tuple(rows), _one_seed(task))


def _median_seed(task: Task, filled: Filled, model: Model) -> float | None:
    runs = final(filled, task, model.variant.name)
    if not runs.has("test"):
        return None
    validation = runs.accuracies("evaluation")
    middle = statistics.median_low(validation)
    return 100 * runs.accuracies("test")[validation.index(middle)]

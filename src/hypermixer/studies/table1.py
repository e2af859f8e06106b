"""Tables 1, 3 and 4 of HyperMixer (arXiv 2203.03691): six token mixers; 3 and 4 are views of table 1's cells."""

import statistics
from functools import partial

from hypermixer.report.page import Entry, Section, Table, Value
from hypermixer.studies.beside_paper import best_of_grid, cells, final, gap, instead, parameters, shown, signed, table
from hypermixer.studies.claims import Claim, ahead_of_all, section, tally, verdicts
from hypermixer.studies.fill import Filled
from hypermixer.studies.models import (
    FNET,
    GMLP,
    HYPERMIXER,
    LINEAR_TRANSFORMER,
    MAIN,
    MLP_MIXER,
    TASKS,
    TRANSFORMER,
)
from hypermixer.studies.paper_texts import heading, remark
from hypermixer.studies.scores import Runs
from hypermixer.studies.study import Result, Study, tables
from hypermixer.studies.tasks import SCALES, Scale, Task

TITLES = {
    "table1": "Table 1: accuracy of six token mixers",
    "table3": "Table 3: the best of the learning rates, one seed",
    "table4": "Table 4: test accuracy of the median seed",
}
CLAIMS = tuple(Claim(HYPERMIXER, other) for other in (TRANSFORMER, MLP_MIXER, GMLP, FNET, LINEAR_TRANSFORMER))


def study(name: str, scale: str) -> Study:
    """Table 1, 3 or 4."""
    chosen_scale = SCALES[scale]
    view = {"table1": _accuracy, "table3": _grid, "table4": _median}[name]
    plan = partial(cells, chosen_scale, MAIN)
    return Study(name, TITLES[name], scale, "table1", plan, partial(view, chosen_scale), chosen_scale.deviations)


def _accuracy(scale: Scale, filled: Filled) -> Result:
    found = verdicts(filled, scale, CLAIMS)
    accuracy = tuple(table(filled, task, MAIN) for task in scale.tasks)
    claims = section(found)
    sections = (claims, Section("Accuracy", (*accuracy, parameters(filled, scale, MAIN))))
    return Result(f"{ahead_of_all(found)} {tally(found)}", sections, (*map(shown, accuracy), *tables(claims)))


#: Of the views, which have one run of each model.
_NO_CLAIMS = (
    "One run of each model cannot tell a claim from noise: whether the paper's claims hold stands with table 1, whose"
    " cells these are, over all seeds."
)


def _grid(scale: Scale, filled: Filled) -> Result:
    found = [_grid_table(scale, task, filled) for task in scale.tasks]
    edges = [row[-1] for one in found for row in one.rows if row[-1] is not None]
    if not edges:
        summary = "No grid of learning rates is complete."
    else:
        summary = (
            f"The best of {len(scale.lrs)} learning rates lies at the edge of the grid in {edges.count('yes')} of"
            f" {len(edges)} cases, where a better one may lie beyond it."
        )
    return Result(summary, (Section("The best of the grid", (_NO_CLAIMS, *found)),), tuple(found))


def _grid_table(scale: Scale, task: Task, filled: Filled) -> Table:
    rows: list[tuple[Entry, ...]] = []
    for model in MAIN:
        best = best_of_grid(filled, row=model.variant.name, data=task.name, final=None)
        column = TASKS.index(task.paper)
        assert model.printed.grid is not None and model.printed.lrs is not None
        theirs, rate = model.printed.grid[column], model.printed.lrs[column]
        ours = None if best.cell is None or best.percent is None else best.cell.tags["lr"]
        rows.append((
            model.variant.name,
            best.entry,
            Value(f"{theirs:.1f}", theirs),
            signed(None if best.percent is None else best.percent - theirs),
            None if ours is None else Value(f"{ours:g}", ours),
            Value(f"{rate:g}", rate),
            None if ours is None else "yes" if ours in (min(scale.lrs), max(scale.lrs)) else "no",
        ))  # fmt: skip
    head = (
        "model", "validation, %", "paper, %", "difference", "learning rate", "paper's rate", "at the edge of our grid",
    )  # fmt: skip
    return Table(heading(filled, task), head, tuple(rows), _one_seed(filled, task))


def _one_seed(filled: Filled, task: Task) -> str:
    return f"One seed, so there is no deviation to hold the difference against. {remark(filled, task)}"


def _median(scale: Scale, filled: Filled) -> Result:
    made = [_median_table(task, filled) for task in scale.tasks]
    with_test = [one for one in made if all(isinstance(row[3], Value) for row in one.rows)]
    # The last row is HyperMixer's, the third the Transformer's.
    ahead = sum(_number(one.rows[-1][1]) > _number(one.rows[2][1]) for one in with_test)
    summary = "On no data set has every mixer the test accuracy of a median seed."
    if with_test:
        summary = (
            "Of each mixer the run with the median validation accuracy: HyperMixer's is ahead of the Transformer's on"
            f" the test texts of {ahead} of {len(with_test)} data sets, one run each."
        )
    return Result(summary, (Section("Median seed", (_NO_CLAIMS, *made)),), tuple(made))


def _number(entry: Entry) -> float:
    assert isinstance(entry, Value) and isinstance(entry.sort, float)
    return entry.sort


def _median_table(task: Task, filled: Filled) -> Table:
    rows: list[tuple[Entry, ...]] = []
    for model in MAIN:
        assert model.printed.median_seed is not None
        theirs = model.printed.median_seed[TASKS.index(task.paper)]
        runs = final(filled, task, model.variant.name)
        ours = _median_seed(runs)
        reason = gap(runs) or "no labelled test texts"
        rows.append((
            model.variant.name,
            instead(reason) if ours is None else Value(f"{ours:.1f}", ours),
            Value(f"{theirs:.1f}", theirs),
            signed(None if ours is None else ours - theirs),
        ))  # fmt: skip
    return Table(
        heading(filled, task), ("model", "test, %", "paper, %", "difference"), tuple(rows), _one_seed(filled, task)
    )


def _median_seed(runs: Runs) -> float | None:
    """Test accuracy, percent, of the seed with the median on validation; of an even number the lower of the two."""
    if gap(runs) or not runs.has("test"):
        return None
    validation = runs.accuracies("evaluation")
    middle = statistics.median_low(validation)
    return 100 * runs.accuracies("test")[validation.index(middle)]

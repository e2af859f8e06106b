"""Table 6 of HyperMixer (arXiv 2203.03691): five layouts of a block, for attention and three normalisations of ours."""

from dataclasses import replace
from functools import partial

from hypermixer.encoder_config import LAYOUTS
from hypermixer.report.page import Entry, Section, Table, Value
from hypermixer.studies.cell import Cell, Results
from hypermixer.studies.fill import Filled
from hypermixer.studies.grid import Grid, Variant, accuracy, chosen, searched
from hypermixer.studies.models import TASKS
from hypermixer.studies.scores import matching
from hypermixer.studies.study import Result, Study
from hypermixer.studies.tasks import QQP, SCALES, SST2_SENTENCE, Scale, Task

MODELS = (
    Variant("Self-attention", "attention"),
    Variant("HyperMixing, no norm", "hypermixing", (("mixer.normalization", "none"),)),
    Variant("HyperMixing, length norm", "hypermixing", (("mixer.normalization", "length"),)),
    Variant("HyperMixing, layer norm", "hypermixing", (("mixer.normalization", "layer"),)),
)
#: Percent, by model and layout, in the order of `TASKS`.
PRINTED = {
    "Self-attention": {
        "serialized": (65.71, 80.88, 82.99, 69.67, 79.70),
        "post": (66.13, 81.70, 84.31, 71.54, 79.70),
        "pre": (66.60, 80.59, 82.96, 73.13, 80.73),
        "rezero": (56.83, 70.85, 77.72, 63.44, 78.10),
        "parallel": (66.30, 81.46, 83.12, 71.55, 79.70),
    },
    "HyperMixing, no norm": {
        "serialized": (66.18, 81.63, 85.59, 78.4, 81.65),
        "post": (62.59, 79.49, 82.37, 76.75, 80.39),
        "pre": (56.62, 78.49, 82.88, 64.18, 81.08),
        "rezero": (35.45, 33.82, 63.18, 49.46, 49.08),
        "parallel": (60.37, 79.71, 83.62, 65.24, 80.16),
    },
    "HyperMixing, length norm": {
        "serialized": (65.91, 81.27, 85.27, 77.80, 81.88),
        "post": (62.67, 79.46, 82.61, 76.53, 80.39),
        "pre": (64.83, 80.71, 84.41, 76.31, 81.65),
        "rezero": (35.45, 33.82, 63.18, 70.31, 54.13),
        "parallel": (65.37, 81.12, 84.44, 76.77, 80.28),
    },
    "HyperMixing, layer norm": {
        "serialized": (66.47, 81.36, 85.74, 77.72, 80.50),
        "post": (64.26, 80.05, 83.81, 76.62, 80.85),
        "pre": (64.72, 81.05, 83.81, 76.11, 81.54),
        "rezero": (65.64, 80.74, 84.45, 74.41, 81.08),
        "parallel": (65.49, 80.59, 84.43, 76.53, 81.65),
    },
}


def study(name: str, scale: str) -> Study:
    """Table 6."""
    there = SCALES[scale]
    if scale == "small":
        kept = tuple(d for d in there.deviations if not d.startswith(("SST-2 at", "Three seeds")))
        options = (("epochs", 2),)
        tasks = tuple(replace(task, options=task.options + options) for task in (SST2_SENTENCE, QQP))
        there = replace(there, tasks=tasks, deviations=(*kept, "Four layers of width 128, two epochs."))
    plan = partial(_cells, there)
    return Study(name, "Table 6: layouts", scale, name, plan, partial(_result, there), there.deviations)


def _cells(scale: Scale, results: Results) -> list[Cell]:
    return [
        cell
        for task in scale.tasks
        for model in MODELS
        for cell in searched(model, task.settings, task.texts(), Grid(scale.lrs, LAYOUTS), data=task.name)
    ]


def _best(filled: Filled, task: Task, model: str, layout: str) -> float | None:
    """Validation accuracy, percent, at the best learning rate; None where the grid is not complete."""
    best = chosen(matching(filled.cells, row=model, layout=layout, data=task.name), filled.rows)
    return None if best is None else 100 * accuracy(filled.rows[best.key], "evaluation")


def _result(scale: Scale, filled: Filled) -> Result:
    tables = tuple(_table(filled, task) for task in scale.tasks)
    favour = "\n".join(f"- {task.name}: {_favoured(filled, task)}" for task in scale.tasks)
    sections = (
        Section("Whom the layout favours", (_FAVOUR, favour)),
        Section("Best of the learning rates, one seed", tables),
    )
    return Result(_summary(scale, filled), sections)


_FAVOUR = (
    "The paper runs all its other tables in the serialized layout, which by its own Table 6 is the best one for"
    " HyperMixing and the worst but ReZero for self-attention. Here is the best layout of each in these runs, and how"
    " far HyperMixing with LayerNorm lies ahead of attention in the layout of the paper and with the best layout each."
)


def _favoured(filled: Filled, task: Task) -> str:
    found = {m.name: {layout: _best(filled, task, m.name, layout) for layout in LAYOUTS} for m in MODELS}
    attention, ours = (
        {layout: value for layout, value in found[name].items() if value is not None}
        for name in ("Self-attention", "HyperMixing, layer norm")
    )
    if len(attention) < len(LAYOUTS) or len(ours) < len(LAYOUTS):
        return "not all layouts have been run."
    best_theirs, best_ours = max(attention, key=attention.__getitem__), max(ours, key=ours.__getitem__)
    return (
        f"attention is best with {best_theirs} ({attention[best_theirs]:.1f} %), HyperMixing with {best_ours}"
        f" ({ours[best_ours]:.1f} %); ahead by {ours['serialized'] - attention['serialized']:+.1f} points in the"
        f" serialized layout, by {ours[best_ours] - attention[best_theirs]:+.1f} with the best layout each."
    )


def _summary(scale: Scale, filled: Filled) -> str:
    return " ".join(f"{task.name}: {_favoured(filled, task)}" for task in scale.tasks)


def _table(filled: Filled, task: Task) -> Table:
    rows: list[tuple[Entry, ...]] = []
    for model in MODELS:
        for layout in LAYOUTS:
            ours = _best(filled, task, model.name, layout)
            theirs = PRINTED[model.name][layout][TASKS.index(task.paper)]
            rows.append((
                model.name,
                layout,
                None if ours is None else Value(f"{ours:.1f}", ours),
                Value(f"{theirs:.1f}", theirs),
                None if ours is None else Value(f"{ours - theirs:+.1f}", ours - theirs),
            ))  # fmt: skip
    note = f"One seed, so no deviation to compare with. {task.remark}"
    return Table(task.name, ("token mixing", "layout", "validation, %", "paper, %", "difference"), tuple(rows), note)

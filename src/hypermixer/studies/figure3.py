"""Figure 3 of HyperMixer (arXiv 2203.03691): its gain over a Transformer with a part of the training texts.

The paper fixes the learning rate that is best with all texts; here it is also tuned again for every part.
"""

from dataclasses import replace
from functools import partial

from hypermixer.report.figures import Series, curves
from hypermixer.report.page import Entry, Figure, Section, Table, Value
from hypermixer.studies.beside_paper import gap, instead, mean, signed
from hypermixer.studies.cell import Cell, Results
from hypermixer.studies.figure_claims import Finding, greater, in_percent, lacking, section, sentence
from hypermixer.studies.fill import Filled
from hypermixer.studies.grid import at, chosen, searched
from hypermixer.studies.models import HYPERMIXER, TRANSFORMER, Model
from hypermixer.studies.paper_texts import remark
from hypermixer.studies.resampled import resampled
from hypermixer.studies.scores import Runs, minus, picked
from hypermixer.studies.study import Result, Study, tables
from hypermixer.studies.tasks import QQP, SCALES, SST2, Scale, Task

PERCENTS = (5, 10, 25, 50, 100)
MODELS = (HYPERMIXER, TRANSFORMER)
#: Relative gain in validation accuracy, percent, read off the paper's curves, by `PERCENTS`.
PRINTED = {
    "MNLI": (11.8, 11.7, 9.2, 7.6, 1.4),
    "QQP": (4.8, 5.0, 5.1, 4.3, 3.3),
    "SNLI": (13.2, 13.7, 4.3, 0.6, 1.3),
}
WAYS = {"fixed": "learning rate of all texts, as in the paper", "tuned": "learning rate tuned again"}
_RATES = {"fixed": "learning rate of all texts", "tuned": WAYS["tuned"]}

_DEVIATIONS = (
    "The paper keeps for every part of the texts the learning rate that is best with all of them; here it is also tuned"
    " again for each part, in tables of their own.",
    "The paper does not say how many seeds stand behind a point.",
)


def study(name: str, scale: str) -> Study:
    """Figure 3."""
    there = SCALES[scale]
    if scale == "small":
        kept = tuple(d for d in there.deviations if not d.startswith("SST-2 at"))
        where = "SST-2 at the paper's size for one epoch, QQP with four layers of width 128 for three."
        there = replace(there, tasks=(SST2, QQP), deviations=(*kept, where))
    if scale == "full":
        there = replace(there, tasks=tuple(task for task in there.tasks if task.paper in PRINTED))
    percents = PERCENTS[-2:] if scale == "smoke" else PERCENTS
    there = replace(there, deviations=(*there.deviations, *_DEVIATIONS))
    plan, result = partial(_cells, there, percents), partial(_result, there, percents)
    return Study(name, "Figure 3: part of the training texts", scale, name, plan, result, there.deviations)


def _cells(scale: Scale, percents: tuple[int, ...], results: Results) -> list[Cell]:
    wanted: list[Cell] = []
    for task in scale.tasks:
        for model in MODELS:
            wanted += _of_model(scale, task, model, percents, results)
    return wanted


def _of_model(scale: Scale, task: Task, model: Model, percents: tuple[int, ...], results: Results) -> list[Cell]:
    common, variant = task.settings, model.variant
    grids = {p: searched(variant, common, task.texts(p), scale.grid(), data=task.name, percent=p) for p in percents}
    wanted = [cell for grid in grids.values() for cell in grid]
    of_all = chosen(grids[max(percents)], results)
    for percent, grid in grids.items():
        best = {"fixed": of_all, "tuned": chosen(grid, results)}
        for way, cell in best.items():
            if cell is not None:
                tags = {"data": task.name, "percent": percent, "way": way}
                wanted += at(cell, variant, common, task.texts(percent), scale.seeds, **tags)
    return wanted


def _runs(filled: Filled, task: Task, model: Model, percent: int, way: str) -> Runs:
    return picked(filled, row=model.variant.name, data=task.name, percent=percent, way=way, final=True)


def _result(scale: Scale, percents: tuple[int, ...], filled: Filled) -> Result:
    sections, main = [], []
    for task in scale.tasks:
        made = tuple(_table(filled, task, percents, way) for way in WAYS)
        sections.append(Section(task.name, (*_figures(filled, task, percents), *made)))
        main += made
    found = [one for task in scale.tasks for way in WAYS for one in _claims(filled, task, percents, way)]
    claims = section(_CLAIMS, found)
    summary = " ".join((*(_sentence(filled, task, percents) for task in scale.tasks), sentence(found))).strip()
    return Result(summary, (claims, *sections), (*main, *tables(claims)))


_CLAIMS = (
    "HyperMixer less Transformer in mean validation accuracy, paired by text; and its relative gain with the fewest"
    " texts less that with all of them. Decided where the 95 % interval, over texts and runs, lies on one side of zero;"
    " with few seeds such intervals are somewhat too narrow. The paper's numbers are relative gains, in %."
)


def _claims(filled: Filled, task: Task, percents: tuple[int, ...], way: str) -> list[Finding]:
    """Of each part, and of the fewest texts beside all of them."""
    better = f"HyperMixer is better ({_RATES[way]})"
    more = f"HyperMixer's gain is greater with few texts than with all ({_RATES[way]})"
    paper: dict[int, float] = dict(zip(PERCENTS, PRINTED.get(task.paper, ()), strict=False))
    found, parts = [], {p: [_runs(filled, task, model, p, way) for model in MODELS] for p in percents}
    for percent, runs in parts.items():
        where = f"{percent} % of {task.name}"
        if any(map(gap, runs)):
            found.append(lacking(better, where, "not all runs gave a result"))
            continue
        apart = in_percent(minus(runs[0], runs[1], "evaluation"))
        found.append(greater(better, where, apart, paper.get(percent), "points", "%"))
    few, many = min(percents), max(percents)
    where = f"{task.name}, {few} % beside {many} %"
    runs = [*parts[few], *parts[many]]
    if any(map(gap, runs)):
        return [*found, lacking(more, where, "not all runs gave a result")]
    theirs = paper[few] - paper[many] if paper else None
    gains = resampled([one.correct("evaluation") for one in runs], lambda a: 100 * (a[0] / a[1] - a[2] / a[3]))
    return [*found, greater(more, where, gains, theirs, "%", "%")]


def _gain(filled: Filled, task: Task, percent: int, way: str) -> float | None:
    """Relative gain of HyperMixer in mean validation accuracy, percent; None where a run is wanting."""
    ours, theirs = (_runs(filled, task, model, percent, way) for model in MODELS)
    if gap(ours) or gap(theirs):
        return None
    return 100 * (ours.summary("evaluation")[0] / theirs.summary("evaluation")[0] - 1)


def _sentence(filled: Filled, task: Task, percents: tuple[int, ...]) -> str:
    few, many = min(percents), max(percents)
    gains = [_gain(filled, task, *at_which) for at_which in ((few, "fixed"), (few, "tuned"), (many, "fixed"))]
    if any(gain is None for gain in gains):
        return f"{task.name}: not all runs gave a result, the tables say which."
    fixed, tuned, all_texts = gains
    part = f"{fixed:+.1f} % with {few} % of the texts ({tuned:+.1f} % with the learning rate tuned again)"
    return f"{task.name}: HyperMixer's relative gain over the Transformer is {part}, {all_texts:+.1f} % with {many} %."


def _figures(filled: Filled, task: Task, percents: tuple[int, ...]) -> tuple[Figure, ...]:
    series = []
    for model in MODELS:
        for way in WAYS:
            done = [(p, runs) for p in percents if (runs := _runs(filled, task, model, p, way)).has("evaluation")]
            if done:
                bands = [runs.interval("evaluation") for _, runs in done]
                y, low, high = ([100 * getattr(band, end) for band in bands] for end in ("mean", "low", "high"))
                name, x = f"{model.variant.name}, {way}", [float(p) for p, _ in done]
                series.append(Series(name, x, y, low, high, dashed=way == "fixed"))
    if not series:
        return ()
    svg = curves(series, x_label="training texts, %", y_label="validation accuracy, %", log_x=True)
    data = {one.name: dict(zip(map(str, one.x), one.y, strict=True)) for one in series}
    caption = "Bands: 95 % intervals over texts and runs. Dashed: the learning rate that is best with all texts."
    name = f"part-{task.source.replace(':', '-').split(',')[0]}"
    return (Figure(name, f"{task.name}, a part of the texts", svg, caption, data),)


def _table(filled: Filled, task: Task, percents: tuple[int, ...], way: str) -> Table:
    rows: list[tuple[Entry, ...]] = []
    printed = PRINTED.get(task.paper)
    for percent in percents:
        ours, theirs = (_runs(filled, task, model, percent, way) for model in MODELS)
        gain = _gain(filled, task, percent, way)
        paper = None if printed is None else printed[PERCENTS.index(percent)]
        rows.append((
            percent,
            *_score(ours),
            *_score(theirs),
            signed(gain),
            signed(paper),
            signed(None if gain is None or paper is None else gain - paper),
            _apart(ours, theirs),
        ))  # fmt: skip
    head = (
        "texts, %", "HyperMixer, %", "its rate", "Transformer, %", "its rate", "gain, %", "paper's gain, %",
        "difference", "HyperMixer less Transformer, points",
    )  # fmt: skip
    known = "" if printed else f" The paper's figure does not have {task.paper}."
    note = (
        "Validation accuracy; in brackets: standard deviation over seeds, and in the last column the 95 % interval. The"
        f" gain is relative, as in the paper, which prints no deviations.{known} {remark(filled, task)}"
    )
    return Table(f"{task.name}, {WAYS[way]}", head, tuple(rows), note)


def _score(runs: Runs) -> tuple[Entry, Entry]:
    rate = runs.cells[0].tags["lr"] if runs.cells else None
    return mean(runs, "evaluation"), None if rate is None else Value(f"{rate:g}", rate)


def _apart(ours: Runs, theirs: Runs) -> Entry:
    if gap(ours) or gap(theirs):
        return instead("not all runs gave a result")
    found = minus(ours, theirs, "evaluation")
    low, high = 100 * found.low, 100 * found.high
    return Value(f"{100 * found.mean:+.1f} ({low:+.1f} to {high:+.1f})", 100 * found.mean)

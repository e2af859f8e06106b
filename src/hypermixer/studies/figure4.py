"""Figure 4 of HyperMixer (arXiv 2203.03691): what to expect of k trials of a random search, beside a Transformer."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from hypermixer.costs.search import Space, Trial, trials
from hypermixer.costs.tuning import Band, bootstrap_band, expected_maximum, expected_maximum_unbiased
from hypermixer.report.figures import Series, curves
from hypermixer.report.page import Entry, Figure, Section, Table, Value
from hypermixer.studies.beside_paper import signed
from hypermixer.studies.cell import Cell, Results, replaced, training_cell
from hypermixer.studies.figure4_claims import BETTER, EXPLANATION, PRINTED, gains_of, of_trials
from hypermixer.studies.figure_claims import lacking, section, sentence
from hypermixer.studies.fill import Filled
from hypermixer.studies.grid import accuracy
from hypermixer.studies.kept_trials import keep_trials
from hypermixer.studies.models import HYPERMIXER, TRANSFORMER, Model
from hypermixer.studies.paper_texts import remark
from hypermixer.studies.scores import matching
from hypermixer.studies.study import Result, Study, tables
from hypermixer.studies.tasks import SCALES, SST2_SENTENCE, Scale, Task
from hypermixer.studies.trials_table import trials_table

MODELS = (HYPERMIXER, TRANSFORMER)
COUNTS = {"smoke": 3, "small": 20, "full": 20}
_DEVIATIONS = (
    "Learning rates are drawn from exp(-8) to exp(-1), log-uniformly: the paper does not name its logarithm's base.",
    "A trial that diverges counts as the commonest label; the paper does not say what it did.",
)


@dataclass(frozen=True)
class Expectation:
    """Expected best accuracy, percent, after k = 1 .. n trials.

    Attributes:
        exact: of the n trials drawn with replacement (the paper's code).
        unbiased: drawn without.
        band: 95 % of the resamples of `exact`.
        diverged: how many trials did.
        results: of the trials, in their order.
    """

    exact: np.ndarray
    unbiased: np.ndarray
    band: Band
    diverged: int
    results: list[float]


def study(name: str, scale: str) -> Study:
    """Figure 4."""
    there, drawn = SCALES[scale], trials(Space(), COUNTS[scale], 0)
    deviations = (*there.deviations, *_DEVIATIONS)
    if scale == "smoke":
        deviations = (
            *deviations,
            "Three trials in place of twenty, which lowers what the best of them is expected to be.",
        )
    if scale == "small":
        there = replace(there, tasks=(SST2_SENTENCE,))
        kept = (d for d in there.deviations if not d.startswith(("Three ", "SST-2 at")))
        deviations = ("Four layers of width 128, three epochs.", *kept, *_DEVIATIONS)
    plan = partial(_cells, there, drawn)
    result, keep = partial(_result, there, drawn), partial(_keep, there, drawn)
    return Study(name, "Figure 4: random search", scale, name, plan, result, deviations, keep)


def _keep(scale: Scale, drawn: list[Trial], filled: Filled, folder: Path) -> None:
    """One search of each model on each data set; the file calls them both."""
    for task in scale.tasks:
        ours = Filled(cells=[_named(cell, task) for cell in matching(filled.cells, data=task.name)], rows=filled.rows)
        names = [f"{model.variant.name}, {task.name}" for model in MODELS]
        keep_trials(folder, names, ours, drawn, Space())


def _named(cell: Cell, task: Task) -> Cell:
    return replaced(cell, row=f"{cell.tags['row']}, {task.name}")


def _cells(scale: Scale, drawn: list[Trial], results: Results) -> list[Cell]:
    return [trial_cell(task, model, trial) for task in scale.tasks for model in MODELS for trial in drawn]


def trial_cell(task: Task, model: Model, trial: Trial) -> Cell:
    """The run of a trial."""
    options = {"lr": trial.lr, "encoder.hidden_dropout_prob": trial.dropout}
    settings = model.variant.settings(task.settings, **options)
    tags = {"row": model.variant.name, "data": task.name, "trial": trial.number}
    return training_cell(settings, task.texts(), **tags)


def expectation(filled: Filled, **tags: object) -> Expectation | None:
    """Of the trials with these tags; None where not all are done."""
    cells = matching(filled.cells, **tags)
    if not cells or any(cell.key not in filled.rows for cell in cells):
        return None
    rows = [filled.rows[cell.key] for cell in cells]
    results = [100 * accuracy(row, "evaluation") for row in rows]
    diverged = sum(row["outcome"] == "diverged" for row in rows)
    exact, unbiased = expected_maximum(results), expected_maximum_unbiased(results)
    return Expectation(exact, unbiased, bootstrap_band(results), diverged, results)


def _result(scale: Scale, drawn: list[Trial], filled: Filled) -> Result:
    sections, sentences, claims, main = [], [], [], []
    for task in scale.tasks:
        found = [expectation(filled, row=model.variant.name, data=task.name) for model in MODELS]
        ours, theirs = found
        if ours is None or theirs is None:
            sentences.append(f"{task.name}: not all trials are done, the table says which.")
            claims.append(lacking(BETTER, task.name, "not all trials are done"))
            continue
        main.append(_table(filled, task, ours, theirs))
        claims += of_trials(task, ours.results, theirs.results)
        sections.append(Section(task.name, (_figure(task, ours, theirs), main[-1])))
        sentences.append(_sentence(task, ours, theirs))
    judged = section(EXPLANATION, claims)
    drawn_ones = Section("Trials", tuple(trials_table(filled, task, MODELS, drawn) for task in scale.tasks))
    summary = " ".join((*sentences, sentence(claims))).strip()
    return Result(summary, (judged, *sections, drawn_ones), (*main, *tables(judged)))


def _sentence(task: Task, ours: Expectation, theirs: Expectation) -> str:
    gains = gains_of(ours.exact, theirs.exact)
    apart = sum((ours.band.low > theirs.band.high) | (ours.band.high < theirs.band.low))
    return (
        f"{task.name}: HyperMixer's relative gain over the Transformer, in expected best accuracy, is {gains[0]:+.1f} %"
        f" after one trial and {gains[-1]:+.1f} % after {len(gains)}; the 95 % bands of the two lie apart at {apart} of"
        f" {len(gains)} numbers of trials."
    )


def _figure(task: Task, ours: Expectation, theirs: Expectation) -> Figure:
    series = []
    for model, one in zip(MODELS, (ours, theirs), strict=True):
        k = np.arange(1.0, len(one.exact) + 1)
        x, low, high = k.tolist(), list(one.band.low), list(one.band.high)
        series.append(Series(model.variant.name, x, one.exact.tolist(), low, high))
        series.append(Series(f"{model.variant.name}, unbiased", x, one.unbiased.tolist(), dashed=True))
    svg = curves(series, x_label="trials", y_label="expected best validation accuracy, %")
    data = {one.name: list(one.y) for one in series}
    caption = "Bands: 95 % of the resamples of the trials. Dashed: the unbiased estimate, drawn without replacement."
    return Figure(f"random-search-{task.paper.lower()}", f"{task.name}, the best of k trials", svg, caption, data)


def _table(filled: Filled, task: Task, ours: Expectation, theirs: Expectation) -> Table:
    rows: list[tuple[Entry, ...]] = []
    gains, unbiased = gains_of(ours.exact, theirs.exact), gains_of(ours.unbiased, theirs.unbiased)
    for k, (gain, other) in enumerate(zip(gains, unbiased, strict=True), start=1):
        paper = PRINTED[task.paper][k - 1]
        rows.append((
            k,
            *(Value(f"{v:.1f}", float(v)) for v in (ours.exact[k - 1], theirs.exact[k - 1])),
            *map(signed, (float(gain), float(other), paper, float(gain - paper))),
        ))  # fmt: skip
    head = (
        "trials", "HyperMixer, %", "Transformer, %", "gain, %", "gain, unbiased, %", "paper's gain, %", "difference",
    )  # fmt: skip
    failed = f"Diverged: {ours.diverged} of HyperMixer's trials, {theirs.diverged} of the Transformer's."
    note = (
        f"{failed} The gain is relative, from trials drawn with replacement as in the paper, which prints no"
        f" deviations; unbiased: drawn without. {remark(filled, task)}"
    )
    return Table(f"{task.name}: expected best validation accuracy", head, tuple(rows), note)

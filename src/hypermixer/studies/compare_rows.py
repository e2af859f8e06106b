"""The rows of a comparison, picked from its cells: each model at its best point, in words and as plain values."""

import statistics
from collections.abc import Sequence
from typing import Any

from hypermixer.studies.baselines import BASELINES
from hypermixer.studies.cell import Cell
from hypermixer.studies.compare import Comparison
from hypermixer.studies.fill import Filled
from hypermixer.studies.grid import chosen
from hypermixer.studies.scores import Runs, matching, picked, runs_of
from hypermixer.studies.standing import Standing


def rows_of(comparison: Comparison, filled: Filled) -> list[tuple[str, Runs]]:
    """Baselines and mixers, each with its runs at its best point on all texts.

    Of a mixer whose grid is not complete, the run at the best point so far: what was not tried is told beside it.
    """
    rows = [(name, picked(filled, row=name, final=True, percent=100)) for name in names(comparison)]
    return [(name, runs if runs.rows else _so_far(filled, name) or runs) for name, runs in rows]


def names(comparison: Comparison) -> list[str]:
    """Of the rows, baselines first."""
    return [BASELINES[name].label for name in comparison.baselines] + [v.name for v in comparison.variants]


def _so_far(filled: Filled, name: str) -> Runs | None:
    done = [cell for cell in grid(filled, name) if cell.key in filled.rows]
    best = chosen(done, filled.rows) if done else None
    return None if best is None else runs_of([best], filled.rows)


def grid(filled: Filled, name: str) -> list[Cell]:
    """The cells of a mixer's grid that are known."""
    return [cell for cell in matching(filled.cells, row=name, final=None) if "lr" in cell.tags]


def incomplete(comparison: Comparison, filled: Filled) -> list[str]:
    """Mixers whose grid is not complete, with how much of it is there."""
    wanted, said = len(comparison.grid.points()), []
    for variant in comparison.variants:
        done = sum(cell.key in filled.rows for cell in grid(filled, variant.name))
        if 0 < done < wanted:
            said.append(f"{variant.name} {done} of {wanted}")
    return said


def search_seconds(filled: Filled, name: str, runs: Runs) -> float:
    """Of training, for a row to come to its result.

    Of a mixer the training of every run of its grid and seeds; one that diverged counts with all of its time, since it
    has no other. Of a baseline every setting that was tried.
    """
    if runs.cells[0].kind == "baseline":
        return runs.median("cost", "search_seconds")
    final = matching(filled.cells, row=name, final=True, percent=100)
    rows = runs_of([*grid(filled, name), *final], filled.rows).rows
    return sum(row["seconds"] if row["outcome"] == "diverged" else row["cost"]["train_seconds"] for row in rows)


def record(name: str, runs: Runs, found: Sequence[Standing], part: str, filled: Filled) -> dict[str, Any]:
    """A row for programs: accuracies as fractions, times in seconds."""
    one = next((each for each in found if each.name == name), None)
    known: dict[str, Any] = {"model": name, "runs": len(runs.rows), "diverged": runs.diverged}
    if one is None:
        return {**known, "accuracy": None}
    cost = {
        "train_seconds": one.seconds,
        "search_seconds": search_seconds(filled, name, runs),
        "seconds_per_1000": one.per_1000,
        "parameters": parameters(runs),
    }
    lead = None if one.lead is None else {"points": one.lead.mean, "low": one.lead.low, "high": one.lead.high}
    deviation = runs.summary(part)[1]
    return {
        **known,
        "accuracy": one.interval.mean,
        "deviation": None if deviation is None else deviation / 100,
        "macro_f1": macro_f1(runs, part),
        "interval": [one.interval.low, one.interval.high],
        "lead": lead,
        "on_front": one.on_front,
        "chosen": point(runs),
        **cost,
    }


def macro_f1(runs: Runs, part: str) -> float:
    """Mean over the runs, a fraction."""
    return statistics.fmean(row["metrics"][part]["macro_f1"] for row in runs.done)


def parameters(runs: Runs) -> float | None:
    """Of the model, the embeddings included; None where a baseline has no such number."""
    return runs.median("cost", "parameters") if "parameters" in runs.done[0]["cost"] else None


def point(runs: Runs) -> str:
    """The learning rate and layout that were chosen; of a baseline, its settings."""
    tags = runs.cells[0].tags
    if "lr" in tags:
        return ", ".join([f"{tags['lr']:g}", *([tags["layout"]] if "layout" in tags else [])])
    settings: dict[str, Any] = runs.done[0].get("chosen", {})
    return ", ".join(
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}" for name, value in settings.items()
    )

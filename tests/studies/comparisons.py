"""Comparisons of small mixers, and rows by hand for their cells."""

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from hypermixer.data.parts import Texts
from hypermixer.settings import Settings
from hypermixer.studies.cell import Cell, Row
from hypermixer.studies.compare import Comparison
from hypermixer.studies.correctness import packed
from hypermixer.studies.fill import Filled
from hypermixer.studies.grid import Grid, Variant

COMMON = Settings().replace(
    d_model=16, layers=1, epochs=1, device="cpu", **{"encoder.intermediate_size": 16, "tokens.vocab_size": 60}
)
TEXTS = Texts(source="builtin:nli,n=60")
EXAMPLES = 400


def comparison(
    *mixers: str,
    lrs: tuple[float, ...] = (1e-3,),
    seeds: tuple[int, ...] = (0,),
    layouts: tuple[str, ...] = (),
    **more: Any,
) -> Comparison:
    variants = tuple(Variant(name, name) for name in mixers)
    return Comparison(COMMON, TEXTS, variants, Grid(lrs, layouts, seeds), **more)


def right(count: int, among: int = EXAMPLES, seed: int = 0) -> np.ndarray:
    """So many right answers, drawn with the seed."""
    return np.random.default_rng(seed).permutation(np.arange(among) < count)


def row(evaluation: np.ndarray, test: np.ndarray | None = None, *, seconds: float = 1.0, **more: Any) -> Row:
    """As a training run gives it."""
    parts = {"evaluation": evaluation} | ({} if test is None else {"test": test})
    return {
        "outcome": "done",
        "metrics": {
            name: {
                "accuracy": float(a.mean()),
                "macro_f1": float(a.mean()) / 2,
                "loss": 1.0,
                "examples": len(a),
                "seconds": 0.2,
            }
            for name, a in parts.items()
        },
        "correct": {name: packed(a) for name, a in parts.items()},
        "cost": {"train_seconds": seconds, "search_seconds": 9 * seconds, "examples": 60, "parameters": 1000},
        "seconds": seconds + 1,
        **more,
    }


def diverged() -> Row:
    return {"outcome": "diverged", "why": "the loss is not a number", "chance": 0.4, "seconds": 1.0}


def seeded(cell: Cell, count: int, **more: Any) -> Row:
    """So many right answers on validation and test texts, which ones is the cell's own."""
    seed = zlib.crc32(repr(sorted(cell.tags.items())).encode())
    return row(right(count, seed=seed), right(count, seed=seed + 1), **more)


def filled_by(made: Comparison, rows: Callable[[Cell], Row | None]) -> Filled:
    """A folder filled with these rows; None leaves a cell out."""
    filled = Filled()
    while True:
        filled.cells = list(made.plan(filled.rows))
        new = {cell.key: found for cell in filled.cells if cell.key not in filled.rows and (found := rows(cell))}
        if not new:
            return filled
        filled.rows |= new

"""Cells that take a moment, rows that nobody ran, and engines that run nothing."""

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from hypermixer.data.parts import Texts
from hypermixer.settings import Settings
from hypermixer.studies.cell import Cell, Row, training_cell
from hypermixer.studies.engines import Engine

NLI = Texts(source="builtin:nli,n=60")
TINY = Settings().replace(
    d_model=8, layers=1, epochs=1, device="cpu", **{"encoder.intermediate_size": 8, "tokens.vocab_size": 60}
)


def training(seed: int = 0, **more: Any) -> Cell:
    """A training run of about a second."""
    return training_cell(TINY.replace(seed=seed, **more), NLI, row="tiny", seed=seed)


def cell(number: int, kind: str = "counts", **tags: Any) -> Cell:
    """One of many cells without texts."""
    return Cell(kind, {"number": number}, None, {"number": number, **tags})


def row(accuracy: float = 0.5, loss: float = 1.0, **more: Any) -> Row:
    """What a training run would give."""
    return {"outcome": "done", "metrics": {"evaluation": {"accuracy": accuracy, "loss": loss}}, **more}


def at_once(run: Callable[[Cell], Row], slots: int = 1) -> Engine:
    """An engine whose cells are done as soon as they begin."""

    def submit(begun: Cell) -> Future[Row]:
        future: Future[Row] = Future()
        try:
            future.set_result(run(begun))
        except Exception as error:
            future.set_exception(error)
        return future

    return Engine(slots, submit)

"""The grid with the first seed, then every seed at the best of it."""

import pytest

from hypermixer.studies.cell import Cell, Row
from hypermixer.studies.grid import Grid, Variant, accuracy, at, chosen, searched, tuned
from tests.studies.samples import NLI, TINY, row

VARIANT = Variant("Ours, untied", "hypermixing", (("mixer.tied", False), ("epochs", 2)))
GRID = Grid((1e-3, 5e-4), ("pre", "serialized"), (3, 4, 5))
DIVERGED: Row = {"outcome": "diverged", "chance": 0.4}


def place(cell: Cell) -> tuple:
    tags = cell.tags
    return tags["layout"], tags["lr"], tags["seed"], tags.get("final")


def test_the_grid_comes_first() -> None:
    cells = tuned(VARIANT, TINY, NLI, GRID, {}, data="SST")
    assert [place(cell) for cell in cells] == [
        (layout, lr, 3, None) for layout in ("pre", "serialized") for lr in (1e-3, 5e-4)
    ]
    assert cells == searched(VARIANT, TINY, NLI, GRID, data="SST")
    first = cells[1]
    assert first.tags == {"row": "Ours, untied", "data": "SST", "lr": 5e-4, "layout": "pre", "seed": 3}
    assert first.config["training"]["lr"] == 5e-4 and first.config["training"]["epochs"] == 2
    assert first.config["encoder"]["options"]["layout"] == "pre" and first.config["runtime"]["seed"] == 3
    assert first.config["mixer"] == {"name": "hypermixing", "options": {"tied": False}}
    assert first.config["encoder"]["options"]["hidden_size"] == 8  # what all variants share
    assert {cell.texts for cell in cells} == {NLI}


def test_nothing_more_before_the_grid_is_complete() -> None:
    cells = searched(VARIANT, TINY, NLI, GRID)
    results = {cell.key: row() for cell in cells[:3]}
    assert chosen(cells, results) is None and len(tuned(VARIANT, TINY, NLI, GRID, results)) == 4


def test_then_all_seeds_at_the_best() -> None:
    cells = searched(VARIANT, TINY, NLI, GRID)
    results = dict(zip([c.key for c in cells], [row(0.5), row(0.7), DIVERGED, row(0.6)], strict=True))
    wanted = tuned(VARIANT, TINY, NLI, GRID, results, data="SST")
    assert [place(cell) for cell in wanted[4:]] == [("pre", 5e-4, seed, True) for seed in (3, 4, 5)]
    assert wanted[4].key == cells[1].key and len({cell.key for cell in wanted}) == 6
    assert all(cell.tags["data"] == "SST" for cell in wanted)


@pytest.mark.parametrize(
    ("rows", "best"),
    [
        ([row(0.7, 2.0), row(0.7, 1.0), row(0.6, 0.1)], 1),  # ties by loss
        ([row(0.7, 1.0), row(0.7, 1.0), row(0.6, 0.1)], 0),  # then the first
        ([DIVERGED, row(0.0, 9.0), DIVERGED], 1),
        ([DIVERGED, DIVERGED, DIVERGED], 0),
    ],
)
def test_the_best(rows: list[Row], best: int) -> None:
    cells = searched(VARIANT, TINY, NLI, Grid((1e-3, 5e-4, 1e-4)))
    assert chosen(cells, {cell.key: r for cell, r in zip(cells, rows, strict=True)}) is cells[best]


def test_chosen_on_what_is_chosen_by() -> None:
    cells = searched(VARIANT, TINY, NLI, Grid((1e-3, 5e-4)))
    rows = [row(0.7), row(0.6)]
    rows[1]["metrics"]["test"] = {"accuracy": 0.99, "loss": 0.0}
    rows[0]["metrics"]["test"] = {"accuracy": 0.01, "loss": 9.0}
    assert chosen(cells, {cell.key: r for cell, r in zip(cells, rows, strict=True)}) is cells[0]


def test_without_layouts_the_settings_stand() -> None:
    assert Grid((1e-3,)).points() == [{"lr": 1e-3}]
    (only,) = searched(VARIANT, TINY.replace(layout="post"), NLI, Grid((1e-3,)))
    assert only.config["encoder"]["options"]["layout"] == "post" and "layout" not in only.tags
    (final,) = at(only, VARIANT, TINY.replace(layout="post"), NLI, [0])
    assert final.key == only.key and final.tags == {**only.tags, "final": True}


def test_accuracy_of_a_row() -> None:
    both = row(0.5)
    both["metrics"]["test"] = {"accuracy": 0.25}
    assert (accuracy(row(0.5)), accuracy(both), accuracy(both, "evaluation"), accuracy(DIVERGED)) == (
        0.5, 0.25, 0.5, 0.4,
    )  # fmt: skip

"""E, D and H on the page: tables held against rows by hand."""

from typing import Any

import pytest

from hypermixer.report.page import Figure, Section, Table, Value
from hypermixer.studies.cell import Cell, Row
from hypermixer.studies.cost_sections import sections
from hypermixer.studies.fill import Filled
from tests.studies.comparisons import comparison, diverged, filled_by, right, row, seeded


def seen(entry: Any) -> Any:
    return entry.text if isinstance(entry, Value) else entry


def table(section: Section) -> Table:
    return next(part for part in section.body if isinstance(part, Table))


def lines(section: Section) -> list[tuple]:
    return [tuple(seen(entry) for entry in r) for r in table(section).rows]


def figures(section: Section) -> dict[str, dict]:
    return {part.name: part.data for part in section.body if isinstance(part, Figure)}


def test_nothing_is_shown_that_was_not_asked_for_or_has_no_cells() -> None:
    plain = comparison("none")
    assert sections(plain, filled_by(plain, lambda cell: seeded(cell, 200))) == []
    asked = comparison("none", costs=("e", "d", "h"), lengths=(8,), percents=(50,))
    assert sections(asked, Filled()) == []


def measured(contender: str, length: int, ms: float | None, peak: int | None, **more: Any) -> Row:
    forward, step = (None if ms is None else {"median": k * ms, "low": k * ms, "high": k * ms} for k in (1, 3))
    return {
        "contender": contender, "length": length, "forward_ms_per_1000_tokens": forward,
        "step_ms_per_1000_tokens": step,
        "step_ratio": None if ms is None else {"median": ms / 2}, "peak_bytes": peak,
        "operations": {"layer": 1, "forward": 12_345_678, "step": 3}, "joules_per_1000_tokens": None,
        "energy_source": None, "energy_reason": "the machine has no counter", "out_of_memory": ms is None, **more,
    }  # fmt: skip


def test_time_memory_and_operations_by_length() -> None:
    made = comparison("hypermixing", "attention", costs=("e",), lengths=(8, 4096))
    rows = [measured("hypermixing", 8, 2, 3 * 2**20), measured("attention", 8, 5, 4 * 2**20),
            measured("hypermixing", 4096, 1.5, 2**30)]  # fmt: skip
    (section,) = sections(made, Filled(rows={made.length_cell().key: {"rows": rows}}))
    assert lines(section) == [
        ("hypermixing", "8", "2.00", "6.00", "1.00", "3", "12.3"),
        ("attention", "8", "5.00", "15.00", "2.50", "4", "12.3"),
        ("hypermixing", "4,096", "1.50", "4.50", "0.75", "1,024", "12.3"),
    ]
    note = table(section).note
    assert "no row beyond the length it takes" in note and "Energy is left out: the machine has no counter." in note
    drawn = figures(section)
    assert drawn["length-step"] == {"hypermixing": {"8.0": 6.0, "4096.0": 4.5}, "attention": {"8.0": 15.0}}
    assert drawn["length-memory"]["hypermixing"] == {"8.0": 3.0, "4096.0": 1024.0}


def test_energy_stands_there_where_it_was_measured_and_lost_memory_is_said() -> None:
    made = comparison("none", costs=("e",), lengths=(8, 16))
    rows = [measured("none", 8, 2, None, joules_per_1000_tokens=0.257), measured("none", 16, None, None)]
    (section,) = sections(made, Filled(rows={made.length_cell().key: {"rows": rows}}))
    assert table(section).head[-1] == "J / 1,000 tokens" and lines(section)[0][-1] == "0.26"
    assert lines(section)[1][2:6] == (None, None, None, None) and "memory ran out" in table(section).note


def test_learning_curves_are_the_means_of_the_seeds_on_nested_parts() -> None:
    made = comparison("none", "shift", seeds=(0, 1), costs=("d",), percents=(25,))
    examples = {25: 15, 100: 60}

    def rows(cell: Cell) -> Row | None:
        percent = cell.tags.get("percent", 100)
        if cell.tags["row"] == "shift" and percent == 25 and cell.tags["seed"] == 1:
            return diverged()
        count = 100 + int(percent) + 20 * cell.tags.get("seed", 0)
        return row(right(5), right(count), cost={"train_seconds": 1.0, "examples": examples[percent], "parameters": 9})

    (section,) = sections(made, filled_by(made, rows))
    assert lines(section) == [
        ("TF-IDF + logistic regression", "25", "15", "31.2"), ("TF-IDF + logistic regression", "100", "60", "50.0"),
        ("none", "25", "15", "33.8"), ("none", "100", "60", "52.5"),
        ("shift", "25", "15", "31.2, 1 of 2 diverged"), ("shift", "100", "60", "52.5"),
    ]  # fmt: skip
    assert figures(section)["learning"]["none"] == {"25.0": pytest.approx(33.75), "100.0": pytest.approx(52.5)}
    assert figures(section)["learning"]["shift"] == {"25.0": pytest.approx(31.25), "100.0": pytest.approx(52.5)}


def test_a_part_on_which_every_run_diverged_has_words() -> None:
    made = comparison("none", seeds=(0, 1), costs=("d",), percents=(25,))
    filled = filled_by(made, lambda c: diverged() if c.tags.get("percent") == 25 else seeded(c, 200))
    (section,) = sections(made, filled)
    assert ("none", "25", None, "2 of 2 runs diverged") in lines(section)
    assert list(figures(section)["learning"]["none"]) == ["100.0"]


def test_the_layout_that_is_timed_is_said_where_there_are_several() -> None:
    rows = [measured("none", 8, 2, 1)]
    for layouts, said in (((), False), (("pre", "post"), True)):
        made = comparison("none", costs=("e",), lengths=(8,), layouts=layouts)
        (section,) = sections(made, Filled(rows={made.length_cell().key: {"rows": rows}}))
        assert ("All in layout pre" in table(section).note) == said


def searched() -> tuple[Any, Filled]:
    """Two trials of each: 0.5 and 0.7 of one, of the other 0.6 and one that diverged."""
    made = comparison("none", "shift", costs=("h",), trials=2)
    counts = {("none", 0): 200, ("none", 1): 280, ("shift", 0): 240}

    def rows(cell: Cell) -> Row | None:
        if "trial" not in cell.tags:
            return seeded(cell, 390)
        count = counts.get((cell.tags["row"], cell.tags["trial"]))
        return diverged() if count is None else row(right(count), right(1))

    return made, filled_by(made, rows)


def test_expected_best_of_k_trials_by_hand() -> None:
    (section,) = sections(*searched())
    # k = 1: the mean. k = 2, drawn with replacement: 0.5 with 1/4, 0.7 with 3/4; without: the better one.
    assert [line[:3] + line[4:] for line in lines(section)] == [
        ("none", 1, "60.0", "60.0"), ("none", 2, "65.0", "70.0"),
        ("shift", 1, "50.0", "50.0"), ("shift", 2, "55.0", "60.0"),
    ]  # fmt: skip
    assert lines(section)[0][3] == "50.0 to 70.0"
    assert figures(section)["tuning"]["none"] == {"1.0": pytest.approx(60), "2.0": pytest.approx(65)}


def test_trials_that_were_not_run_are_not_counted() -> None:
    made, filled = searched()
    del filled.rows[next(c.key for c in filled.cells if c.tags == {"row": "none", "trial": 1})]
    (section,) = sections(made, filled)
    assert [line[:3] for line in lines(section) if line[0] == "none"] == [("none", 1, "50.0")]

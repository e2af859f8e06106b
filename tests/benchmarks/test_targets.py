"""Targets beside rows: met and missed, bounds, nothing shown that was not measured."""

from typing import Any

import pytest
from benchmarks.targets import Target, memory_table, results, table

Rows = list[dict[str, Any]]


def made(contender: str, seconds: float, **changes: Any) -> dict[str, Any]:
    row = {"contender": contender, "pass": "forward", "length": 8, "heads": 1, "tied": True, "dtype": "float32",
           "rounds": [seconds] * 3, "seconds": {"median": seconds}, "flops": 4e9, "least_seconds": 0.5,
           "matrix_flops_per_second": 1e10, "fraction_of_matrix_rate": 0.4 / seconds}  # fmt: skip
    return row | changes


ROWS = [made("hypermixing", 1.0), made("attention", 3.0, heads=8, tied=None), made("reference", 2.0)]


@pytest.mark.parametrize(("against", "measured", "bound"), [("attention", 3.0, 6.0), ("reference", 2.0, 4.0)])
def test_a_ratio_and_its_bound(against: str, measured: float, bound: float) -> None:
    target = Target("t", "ratio", 1, True, ("forward",), against, {("float32", "forward"): [(1, 2.5)]})
    (found,) = results(ROWS, [target])
    assert (found.measured, found.bound, found.met) == (measured, bound, measured >= 2.5)
    assert (" x" in table(ROWS, [target]).splitlines()[-1]) == (measured < 2.5)


def test_a_fraction_is_bounded_by_what_must_move() -> None:
    (found,) = results(
        ROWS, [Target("t", "fraction", 1, True, ("forward",), least={("bfloat16", "forward"): [(1, 0.7)]})]
    )
    assert found.measured == pytest.approx(0.4) and found.bound == pytest.approx(0.8)
    assert found.least is None and found.met is None


def test_what_is_wanted_changes_with_the_length() -> None:
    target = Target("t", "ratio", 1, True, least={("float32", "forward"): [(8, 1.0), (32, 3.0)]})
    wanted = [target.least_for("float32", "forward", length) for length in (4, 8, 31, 32, 999)]
    assert wanted == [None, 1.0, 1.0, 3.0, 3.0]
    assert target.least_for("float32", "forward+backward", 8) is None


@pytest.mark.parametrize(("wanted", "met"), [(5.9, False), (6.1, False), (2.9, True)])
def test_a_forbidden_target_is_met_near_the_bound(wanted: float, met: bool) -> None:
    target = Target("t", "ratio", 1, True, ("forward",), least={("float32", "forward"): [(1, wanted)]})
    (found,) = results(ROWS, [target])
    assert found.forbidden == (wanted > 6) and found.met is met
    near = [{**ROWS[0], "rounds": [0.55] * 3}, ROWS[1]]
    (found,) = results(near, [target])
    assert found.met is (wanted != 5.9)


def test_only_what_was_measured_is_shown() -> None:
    targets = [Target("t", "ratio", 1, False), Target("u", "ratio", 1, True, against="official_order")]
    assert list(results(ROWS, targets)) == []
    assert list(results(ROWS, [Target("v", "fraction", 1, True, first_length=9)])) == []


def test_real_rows_stay_below_their_bounds(rows: Rows) -> None:
    found = list(results(rows))
    assert {r.target.against for r in found} == {"attention", "official_order", "reference"}
    for result in found:
        assert result.measured > 0
        assert result.target.kind == "ratio" or result.bound <= 1 + 1e-9


def test_the_memory_table_says_who_keeps_the_hidden_activations() -> None:
    used = {
        "batch": 2,
        "length": 3,
        "dtype": "float32",
        "tied": True,
        "peak_bytes": 90,
        "hidden_bytes": 40,
        "working_bytes": 7,
    }
    text = memory_table([{**used, "contender": "hypermixing", "kept_bytes": 10},
                         {**used, "contender": "reference", "kept_bytes": 60}])  # fmt: skip
    assert text.splitlines()[-2].endswith("| no |") and text.splitlines()[-1].endswith("| yes |")

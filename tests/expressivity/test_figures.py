"""Figures of ranks and bounds: their numbers, and what is shaded; spectra of the same networks in float64."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hypermixer.errors import InputError
from hypermixer.expressivity import figures
from hypermixer.expressivity.bounds import Bound, Bounds
from hypermixer.expressivity.forward import network
from hypermixer.expressivity.real_encoders import real_spectra
from hypermixer.expressivity.reals import Reals, polynomial_spectrum
from hypermixer.expressivity.separation import SeparationRank, separation_rank
from hypermixer.expressivity.spec import KINDS, PolyMixerSpec, spec_of
from hypermixer.report.figures import Series
from hypermixer.report.page import Figure, Section, Table, Value, to_dict


def parts(name: str) -> tuple[list[Figure], list[Table]]:
    """Figures and tables of a page."""
    body = [part for section in figures.page(name).sections for part in section.body]
    return [part for part in body if isinstance(part, Figure)], [part for part in body if isinstance(part, Table)]


def numbers(table: Table) -> list[list[Any]]:
    return [[entry.sort if isinstance(entry, Value) else entry for entry in row] for row in table.rows]


# --- Pages ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, meant", [("dept", "depth"), ("token", "tokens"), ("real_sizes", "real-sizes"), ("spectra", "spectrum")]
)
def test_unknown_names_name_the_nearest(name: str, meant: str) -> None:
    with pytest.raises(InputError, match=f"Unknown figure '{name}': did you mean '{meant}'.*known: all, blocks"):
        figures.page(name)


def test_a_page_holds_one_figure_or_all_and_tells_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    made: dict[str, Callable[[], Section]] = {
        name: lambda name=name: Section(name, ()) for name in ("one", "two", "three")
    }
    monkeypatch.setattr(figures, "FIGURES", made)
    seen: list[tuple[int, int]] = []
    found = figures.page("all", lambda *told: seen.append(told))
    assert [section.title for section in found.sections] == ["one", "two", "three"]
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert [section.title for section in figures.page("two").sections] == ["two"]
    assert "do not predict accuracy" in found.summary


def test_by_tokens() -> None:
    (figure,), (table,) = parts("tokens")
    ranks = {"attention": [18] * 5, "static": [20, 35, 54, 104, 170], "hypermixing": [190] * 5}
    counts = [4, 6, 8, 12, 16]
    assert figure.data == {name: [[n, rank] for n, rank in zip(counts, ranks[name], strict=True)] for name in ranks}
    assert table.head == ("network", "tokens", "rank", "lower bound", "upper bound")
    lower = {"attention": [5, 13, 13, 13, 13], "static": [1] * 5, "hypermixing": [7] * 5}
    assert numbers(table) == [
        [name, n, rank, low, rank]
        for name in ranks
        for n, rank, low in zip(counts, ranks[name], lower[name], strict=True)
    ]
    assert figure.svg.lstrip().startswith("<") and "</svg>" in figure.svg


def test_by_depth_ranks_that_are_cut_off_are_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(figures._THREE, "hypermixing", {"act_degree": 1})

    def quick(spec: PolyMixerSpec) -> SeparationRank:
        return separation_rank(spec, count=150 if spec.depth > 3 else None)

    monkeypatch.setattr(figures, "separation_rank", quick)
    (figure,), (table,) = parts("depth")
    assert [row[2] for row in numbers(table)] == [3, 18, 232, 150, 6, 20, 105, 150, 3, 18, 232]
    assert [row[2].text for row in table.rows if row[1] == 4 and isinstance(row[2], Value)] == [">= 150", ">= 150"]
    assert "ahead of static mixing from depth 3 on" in figure.caption


def test_by_degree_parts_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def quick(spec: PolyMixerSpec, method: str) -> SeparationRank:
        return separation_rank(spec, method=method, count=None if spec.kind == "static" else 30)

    monkeypatch.setattr(figures, "separation_rank", quick)
    (figure,), (table,) = parts("blocks")
    for (name, count, attained, rank), curve in zip(numbers(table), figure.data.values(), strict=True):
        assert len(curve) == count and sum(y for _, y in curve) == rank and 0 < attained <= count
        assert curve[-1][0] == 1 and [x for x, _ in curve] == sorted(x for x, _ in curve), name
    assert numbers(table)[2] == ["static, depth 4", 17, 17, 825]


# --- Widths and real sizes -------------------------------------------------------------------------------------------


def test_by_width_slopes_approach_the_degree_in_second_moments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "_LINES", (("attention", 2, range(2, 5)), ("hypermixing", 1, range(2, 4))))
    (figure,), (table,) = parts("width")
    first, second = numbers(table)
    assert first[:2] == ["attention, depth 2", "3 of 3"] and first[3] == 4
    assert second[:2] == ["hypermixing, depth 1", "2 of 2"] and second[3] == 2
    for row in (first, second):
        assert 0 < row[3] - row[2] < 0.01
    points = figure.data["exact ranks"]
    assert [x for x, _ in points] == [2, 3, 4, 4, 2, 3, 3]
    assert [round(10**y) for _, y in points if not math.isnan(y)] == [18, 49, 110, 6, 10]
    assert [math.isnan(y) for _, y in points] == [False] * 3 + [True, False, False, True]
    assert [x for x, _ in figure.data["attention, depth 2"]] == [2.0**n for n in range(1, 13)]
    drawn = to_dict(figures.page("width"))["sections"][0]["body"][0]
    assert drawn["data"]["exact ranks"][3] == [4, None]


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_exponents_are_degrees_in_second_moments(depth: int) -> None:
    assert figures._exponent("attention", depth) == (3**depth - 1) // 2
    assert figures._exponent("hypermixing", depth) == (5**depth - 1) // 2


def test_at_real_sizes_only_what_is_proved_is_shaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lower bounds of attention cross the upper one of static mixing twice, those of hypermixing meet it once."""
    logarithms = {
        "static": [10, 20, 30, 40, 50, 60],
        "attention": [5, 19, 31, 60, 70, 55],
        "hypermixing": [9, 20, 29, 41, 90, 99],
    }
    drawn: list[list[Series]] = []
    real = figures.curves

    def noted(series: list[Series], **options: Any) -> str:
        drawn.append(series)
        return real(series, **options)

    def made_up(spec: PolyMixerSpec) -> Bounds:
        log = logarithms[spec.kind][spec.depth - 2]
        bound = Bound(2**log, "made up", "proved", "nowhere")
        return Bounds(bound, replace(bound, value=2 if spec.kind == "static" else 2**log), None)

    monkeypatch.setattr(figures, "curves", noted)
    monkeypatch.setattr(figures, "bounds", made_up)
    found, tables = parts("real-sizes")
    assert [figure.name for figure in found] == ["real-512", "real-1024"] and len(tables) == len(drawn) == 2
    for figure, table, (static, *others) in zip(found, tables, drawn, strict=True):
        assert static.low is None and static.high is None and static.dashed
        assert list(static.y) == logarithms["static"]
        for kind, one in zip(("attention", "hypermixing"), others, strict=True):
            assert one.low is not None and one.high is not None
            above = [high > low for low, high in zip(one.low, one.high, strict=True)]
            assert above == [a > b for a, b in zip(logarithms[kind], logarithms["static"], strict=True)]
            band = [(low, high) for low, high, is_above in zip(one.low, one.high, above, strict=True) if is_above]
            assert band == [
                (b, a) for a, b in zip(logarithms[kind], logarithms["static"], strict=True) if a > b
            ]  # fmt: skip
            assert figure.data[f"{kind}, at least"] == [[2.0 + n, y] for n, y in enumerate(logarithms[kind])]
        rows = numbers(table)
        assert [row[:6] for row in rows] == [
            [2 + n, s, a, a, h, h] for n, (s, a, h) in enumerate(zip(*logarithms.values(), strict=True))
        ]
        assert [row[6] for row in rows] == ["no", "no", "yes", "yes", "yes", "no"]
        assert [row[7] for row in rows] == ["no", "no", "no", "yes", "yes", "yes"]


# --- In float64 -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_spectrum_falls_from_one(kind: str) -> None:
    values = polynomial_spectrum(spec_of(kind), 40)
    assert values.shape == (40,) and values.dtype == np.float64
    assert values[0] == 1 and (np.diff(values) <= 0).all() and (values >= 0).all()


@pytest.mark.parametrize("fields", [{}, {"depth": 3, "width": 20}, {"readout": "mean", "residual": True}], ids=str)
def test_what_is_linear_has_two_values(fields: dict[str, Any]) -> None:
    values = polynomial_spectrum(spec_of("linear", **fields), 50)
    assert values[1] > 1e-4 and values[2] < 1e-13


@pytest.mark.parametrize("kind, rank", [("static", 20), ("gmlp", 14), ("attention", 18)])
def test_small_exact_ranks_are_seen_in_float64(kind: str, rank: int) -> None:
    values = polynomial_spectrum(spec_of(kind), 60, seed=1)
    assert values[rank - 1] > 1e-9 and values[rank] < 1e-13


def test_the_seed_decides() -> None:
    once, again, other = (polynomial_spectrum(spec_of("gmlp"), 9, seed) for seed in (0, 0, 1))
    assert np.array_equal(once, again) and not np.allclose(once, other)


@pytest.mark.parametrize("kind", KINDS)
def test_real_arithmetic_is_homogeneous_and_normal(kind: str) -> None:
    """Twice the input is two to the power of the degree times the output."""
    net: Any = network(spec_of(kind, depth=1), Reals(), 0)  # pyright: ignore[reportArgumentType]
    weights = np.concatenate([weight.ravel() for weight in net.layers[0].values()])
    assert weights.dtype == np.float64 and (weights < 0).any() and (weights > 0).any()
    x = np.random.default_rng(0).standard_normal((4, 2, 3))
    degree = {"attention": 3, "hypermixing": 5, "static": 2, "gmlp": 2, "linear": 1}[kind]
    assert np.allclose(net(2 * x), 2**degree * net(x), rtol=1e-12)


def test_real_spectra_stand_beside_exact_ranks() -> None:
    series, rows = real_spectra()
    assert [row[0] for row in rows] == [one.name for one in series]
    assert [row[1] for row in rows] == [232, 190, 105] + ["infinite in general"] * 3
    assert [one.dashed for one in series] == [True] * 3 + [False] * 3
    counts: list[Any] = [*rows]
    for one, (name, rank, by_numpy, *above) in zip(series, counts, strict=True):
        y = np.asarray(one.y)
        assert list(one.x) == list(range(1, 301)) and y[0] == 0 and y[-1] >= -17 and (np.diff(y) <= 0).all(), name
        assert above == [int((y > tolerance).sum()) for tolerance in (-3, -6, -12)] == sorted(above)
        assert isinstance(by_numpy, int) and above[1] < by_numpy <= 300
        assert not isinstance(rank, int) or by_numpy <= rank
    exact, numerical = rows[0][1:3]
    assert isinstance(exact, int) and isinstance(numerical, int) and numerical < exact - 50

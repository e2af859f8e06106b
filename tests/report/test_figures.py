"""Figures: the same bytes, names as they are, no two of them on one place, axes that read."""

import math
import xml.etree.ElementTree as ET
from itertools import combinations

import numpy as np
import pytest

from hypermixer.errors import InputError
from hypermixer.report.figures import Point, Series, curves, pareto
from hypermixer.report.labels import Box, shortened, spread, width
from hypermixer.report.svg import labelled
from hypermixer.report.ticks import texts_of
from tests.report import samples

SVG = "{http://www.w3.org/2000/svg}"


def texts(svg: str) -> dict[str, tuple[float, float]]:
    """Each text with where it starts; none may leave the figure."""
    root = ET.fromstring(svg)
    found = {}
    for element in root.iter(f"{SVG}text"):
        x, y = float(element.get("x", 0)), float(element.get("y", 0))
        found["".join(element.itertext())] = (x, y)
        assert 0 <= x <= 400 and 0 <= y <= float(root.get("viewBox", "").split()[3])
    return found


def front(points: list[Point]) -> str:
    return pareto(points, cost_label="operations", accuracy_label="accuracy")


def point(name: str, cost: float, accuracy: float) -> Point:
    return Point(name, cost, accuracy, accuracy, accuracy, True)


def boxes(svg: str, names: list[str]) -> list[Box]:
    found = texts(svg)
    return [Box(found[n][0], -found[n][1] - 2, found[n][0] + width(n, 12), -found[n][1] + 10) for n in names]


def test_the_same_numbers_give_the_same_bytes() -> None:
    assert front(samples.points()) == front(samples.points())
    assert curves(samples.series(), x_label="x", y_label="y") == curves(samples.series(), x_label="x", y_label="y")
    assert front(samples.points()) != front(samples.points()[1:])


def test_figures_say_what_they_are() -> None:
    svg = front(samples.points())
    root = ET.fromstring(svg)
    assert root.get("role") == "img" and root.get("aria-label") == "accuracy against operations"
    assert root.findtext(f"{SVG}title") == "accuracy against operations"
    assert "sans-serif" in svg and "DejaVu" not in svg and "<style" not in svg and "metadata" not in svg


def test_names_are_shown_as_they_are() -> None:
    assert set(samples.NAMES) - {samples.SCRIPT} <= set(texts(front(samples.points())))
    assert set(samples.NAMES) <= set(texts(curves(samples.series(), x_label="x", y_label="y")))


@pytest.mark.parametrize("count", [1, 2, 7, 30])
def test_names_of_points_on_one_place_do_not_meet(count: int) -> None:
    names = [f"mixer number {index}" for index in range(count)]
    found = boxes(front([point(name, 1e6, 0.8) for name in names]), names)
    assert not any(a.meets(b) for a, b in combinations(found, 2))
    assert all(box.left >= 0 and box.right <= 400 for box in found)


@pytest.mark.parametrize("seed", range(5))
def test_names_of_scattered_points_do_not_meet(seed: int) -> None:
    random = np.random.default_rng(seed)
    names = [f"mixer{'x' * index}" for index in range(10)]
    points = [point(n, 10 ** random.uniform(3, 8), random.uniform(0.7, 0.72)) for n in names]
    found = boxes(front(points), names)
    assert not any(a.meets(b) for a, b in combinations(found, 2))


def test_costs_over_a_factor_of_ten_have_a_logarithmic_axis() -> None:
    """At equal factors, equal distances; with a cost of 0, or within a factor of 10, at equal differences."""

    def middle(costs: tuple[float, float, float]) -> float:
        root = ET.fromstring(front([point(n, c, 0.8) for n, c in zip("abc", costs, strict=True)]))
        places = sorted(float(e.get("x", 0)) for e in root.iter(f"{SVG}use") if e.get("y") == places_y(root))
        return (places[1] - places[0]) / (places[2] - places[0])

    def places_y(root: ET.Element) -> str | None:
        return next(e.get("y") for e in root.iter(f"{SVG}use"))

    assert middle((1e3, 1e4, 1e5)) == pytest.approx(0.5, abs=1e-3)
    assert middle((1, 2, 3)) == pytest.approx(0.5, abs=1e-3)
    assert middle((0, 500, 1000)) == pytest.approx(0.5, abs=1e-3)


def test_accuracies_read_in_percent_up_to_a_hundred() -> None:
    ticks = [t for t in texts(front([point("a", 1, 0.9), point("b", 2, 1.0)])) if t.endswith("%")]
    values = [float(text.rstrip("%")) for text in ticks]
    assert len(values) >= 3 and all(85 <= value <= 100 for value in values)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_point_that_is_no_number_is_named(bad: float) -> None:
    with pytest.raises(InputError, match="'a' has a value"):
        front([Point("a", bad, 0.5, 0.4, 0.6, True)])


def test_no_points_are_refused() -> None:
    with pytest.raises(InputError):
        front([])


@pytest.mark.parametrize(
    "series",
    [
        [],
        [Series("a", [1, 2], [math.nan, math.nan])],
        [Series("a", [1, 2], [1])],
        [Series("a", [1], [1], low=[0])],
        [Series("a", [0, 1], [1, 2])],
    ],
)
def test_series_that_cannot_be_drawn_are_refused(series: list[Series]) -> None:
    with pytest.raises(InputError):
        curves(series, x_label="x", y_label="y", log_x=True)


def test_gaps_and_single_values_are_drawn() -> None:
    made = [Series("a", [1, 2, 3], [1, math.nan, 3]), Series("b", [2], [2]), Series("none", [1], [math.nan])]
    assert {"a", "b"} <= set(texts(curves(made, x_label="x", y_label="y")))
    for log in (False, True):
        curves([Series("b", np.array([2]), np.array([2.0]))], x_label="x", y_label="y", log_x=log, log_y=log)


def test_ticks_stand_at_the_values_where_they_fit() -> None:
    svg = curves([Series("a", [5, 10, 25, 50, 100], range(5))], x_label="share", y_label="y", log_x=True)
    assert {"5", "10", "25", "50", "100"} <= set(texts(svg))


@pytest.mark.parametrize(
    ("places", "log", "expected"),
    [
        ([75, 77.5, 80], False, ["75.0", "77.5", "80.0"]),
        ([0, 5000, 10000], False, ["0", "5k", "10k"]),
        ([0, 2.5e6, 5e6], False, ["0", "2.5M", "5.0M"]),
        ([512, 16384, 1e6], True, ["512", "16,384", "1M"]),
        ([1e-5, 1e-3, 0.3], True, ["1e−5", "0.001", "0.3"]),
        ([-1, 0, 1], False, ["−1", "0", "1"]),
        ([0, 2e-5], False, ["0", "2e−5"]),
        ([1e6, 1000100], False, ["1.0000M", "1.0001M"]),
        ([3e9, 2e12], True, ["3G", "2T"]),
    ],
)
def test_how_ticks_read(places: list[float], log: bool, expected: list[str]) -> None:
    assert texts_of(places, log=log) == expected


def test_long_names_are_cut_with_an_ellipsis() -> None:
    assert shortened("short", 100, 12) == "short"
    cut = shortened("a very long name\nof a model", 80, 12)
    assert cut.startswith("a very") and cut.endswith("…") and width(cut, 12) <= 80
    assert width(shortened("模" * 100, 80, 12), 12) <= 80 and "\x00" not in shortened("\x00", 80, 12)
    curves([Series("x" * 500, [1], [1]), Series("", [1], [1])], x_label="x " * 200, y_label="y" * 200)


def test_no_room_is_said() -> None:
    area = Box(0, 0, 100, 30)
    assert spread([(50, 15)] * 3, [(60, 14)] * 3, area=area, solid=[], lines=[]) is None
    found = spread([(50, 15)] * 2, [(60, 14)] * 2, area=area, solid=[], lines=[])
    assert found and not found[0].meets(found[1]) and all(box.within(area) for box in found)


def test_a_name_keeps_off_what_is_solid_and_rather_off_lines() -> None:
    area, size = Box(0, 0, 200, 200), [(40.0, 12.0)]
    free = spread([(100, 100)], size, area=area, solid=[], lines=[])
    assert free
    for kind in ("solid", "lines"):
        kept = {"solid": [], "lines": []} | {kind: free}
        moved = spread([(100, 100)], size, area=area, **kept)
        assert moved and not moved[0].meets(free[0])


def test_labelled_prefixes_ids_and_what_refers_to_them() -> None:
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"><style>*{}</style>'
        '<title>old</title><g id="a" clip-path="url(#b)"/><use xlink:href="#a" style="fill: url(#b)"/>'
        '<text>id="a" url(#b)</text></svg>'
    )
    text = labelled(svg, 'New <"title">', prefix="p-")
    root = ET.fromstring(text)
    assert [e.get("id") or e.get("href") for e in (root[1], root[2])] == ["p-a", "#p-a"]
    assert root[1].get("clip-path") == root[2].get("style", "")[6:] == "url(#p-b)"
    assert root[3].text == 'id="a" url(#b)' and root[0].text == root.get("aria-label") == 'New <"title">'
    assert "old" not in text and "style>" not in text

"""Figures as SVG text: accuracy against cost with its Pareto front, and curves with their bands.

The same numbers give the same bytes; drawn small, with large text, so that they read well on a phone.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from hypermixer.errors import InputError
from hypermixer.report import ticks
from hypermixer.report.canvas import COLOURS, GREY, HEIGHT, MARKERS, SIZE, WIDTH, freeze, sheet, style, to_svg
from hypermixer.report.labels import Box, shortened, width, write_names

#: Heights to try, until every name has a place.
_HEIGHTS = tuple(HEIGHT * 1.25**growth for growth in range(12))

Line = Sequence[float] | np.ndarray


@dataclass(frozen=True)
class Point:
    """One contender.

    Attributes:
        name: beside the point.
        cost: in the unit that the axis names.
        accuracy, low, high: fractions, shown in percent; a bar reaches from low to high.
        on_front: whether no other contender is both cheaper and better.
    """

    name: str
    cost: float
    accuracy: float
    low: float
    high: float
    on_front: bool


@dataclass(frozen=True)
class Series:
    """One curve: y over x, and the band in which it could have been; a y that is not a number is a gap."""

    name: str
    x: Line
    y: Line
    low: Line | None = None
    high: Line | None = None
    dashed: bool = False


def pareto(points: Sequence[Point], *, cost_label: str, accuracy_label: str) -> str:
    """Accuracy against cost: filled points and a line for the front, hollow ones for the rest, each with its name.

    The line steps: up to the next point of the front, its height is the best accuracy to be had for the cost. The
    axis of the cost is logarithmic where all costs are positive and span more than a factor of ten.

    Raises:
        InputError: no points, a number that is not finite, or more points than a figure has room for.
    """
    if not points:
        raise InputError("There is nothing to draw: give at least one point.")
    for point in points:
        if not all(map(math.isfinite, (point.cost, point.accuracy, point.low, point.high))):
            raise InputError(f"The point '{point.name}' has a value that is not a finite number.")
    costs = [point.cost for point in points]
    log = min(costs) > 0 and max(costs) > 10 * min(costs)
    percents = [100 * value for point in points for value in (point.low, point.accuracy, point.high)]
    with style():
        for height in _HEIGHTS:
            figure, axes = sheet(height, cost_label, accuracy_label)
            ticks.x_axis(axes, costs, log=log, margin=0.12, at_values=False)
            ticks.y_axis(axes, percents, log=False, margin=0.15, unit="%", least=0, most=100)
            for point in points:
                _draw_point(axes, point)
            _draw_front(axes, points)
            freeze(figure)
            if _name_points(axes, points):
                return to_svg(figure, f"{accuracy_label} against {cost_label}")
    raise InputError(f"A figure has no room for the names of {len(points)} points.")


def _draw_point(axes: Any, point: Point) -> None:
    colour = COLOURS[0] if point.on_front else GREY
    percent = [100 * value for value in (point.low, point.accuracy, point.high)]
    axes.vlines(point.cost, percent[0], percent[2], color=colour, linewidth=1.2, zorder=3)
    filling = colour if point.on_front else "white"
    axes.plot(
        point.cost, percent[1], "o", markersize=7.5, markerfacecolor=filling, markeredgecolor=colour,
        markeredgewidth=1.5, zorder=4,
    )  # fmt: skip


def _front(points: Sequence[Point]) -> list[Point]:
    return sorted((p for p in points if p.on_front), key=lambda p: (p.cost, p.accuracy))


def _draw_front(axes: Any, points: Sequence[Point]) -> None:
    front = _front(points)
    costs, percents = [p.cost for p in front], [100 * p.accuracy for p in front]
    axes.plot(costs, percents, color=COLOURS[0], linewidth=1.6, alpha=0.55, drawstyle="steps-post", zorder=2)


def _name_points(axes: Any, points: Sequence[Point]) -> bool:
    """Write the names, off the bars and the front where that can be; False: no room."""

    def at(cost: float, accuracy: float) -> tuple[float, float]:
        x, y = axes.transData.transform((cost, 100 * accuracy))
        return float(x), float(y)

    corners = [at(p.cost, p.accuracy) for p in _front(points)]
    ends = [(*at(point.cost, point.low), at(point.cost, point.high)[1]) for point in points]
    bars = [Box(x - 1, low, x + 1, high) for x, low, high in ends]
    steps = [
        box
        for (x0, y0), (x1, y1) in pairwise(corners)
        for box in (Box(x0, y0 - 1, x1, y0 + 1), Box(x1 - 1, min(y0, y1), x1 + 1, max(y0, y1)))
    ]
    centres = [at(point.cost, point.accuracy) for point in points]
    return write_names(axes, [point.name for point in points], centres, bars + steps)


def curves(series: Sequence[Series], *, x_label: str, y_label: str, log_x: bool = False, log_y: bool = False) -> str:
    """Curves with their bands, and a legend below the axes.

    Raises:
        InputError: nothing to draw, lines of unequal lengths, or a value that a logarithmic axis cannot hold.
    """
    for one in series:
        _check(one, log_x=log_x, log_y=log_y)
    drawn = [one for one in series if any(map(math.isfinite, one.y))]
    if not drawn:
        raise InputError("There is nothing to draw: give at least one series with a finite value.")
    names = [shortened(one.name, WIDTH - 60, SIZE) for one in drawn]
    fitting = max(1, int((WIDTH - 10) // (max(width(name, SIZE) for name in names) + 52)))
    rows = math.ceil(len(drawn) / fitting)
    with style():
        figure, axes = sheet(HEIGHT + 18 * rows, x_label, y_label)
        ticks.x_axis(axes, [float(v) for one in drawn for v in one.x], log=log_x, margin=0.04, at_values=True)
        ticks.y_axis(axes, _heights(drawn), log=log_y, margin=0.06)
        handles = [_draw_series(axes, one, number) for number, one in enumerate(drawn)]
        # A legend would leave out names that begin with an underscore, so they come later.
        legend = figure.legend(
            handles, ["x" * len(name) for name in names], loc="outside lower center", frameon=False, fontsize=SIZE,
            ncols=math.ceil(len(names) / rows), handlelength=2.2, handletextpad=0.6, columnspacing=1.2,
            labelspacing=0.4, borderaxespad=0.2,
        )  # fmt: skip
        for text, name in zip(legend.get_texts(), names, strict=True):
            text.set_text(name)
        freeze(figure)
        return to_svg(figure, f"{y_label} by {x_label}")


def _heights(series: Sequence[Series]) -> list[float]:
    lines = (line for one in series for line in (one.y, one.low, one.high) if line is not None)
    return [float(value) for line in lines for value in line if math.isfinite(value)]


def _check(series: Series, *, log_x: bool, log_y: bool) -> None:
    lines = [line for line in (series.y, series.low, series.high) if line is not None]
    if any(len(line) != len(series.x) for line in lines) or len(lines) == 2:
        raise InputError(f"The series '{series.name}' needs x, y and both or neither of low and high, equally long.")
    if not all(map(math.isfinite, series.x)):
        raise InputError(f"The series '{series.name}' has an x that is not a finite number.")
    if (log_x and any(v <= 0 for v in series.x)) or (log_y and any(v <= 0 for line in lines for v in line)):
        raise InputError(f"The series '{series.name}' has values of 0 or less, which a logarithmic axis cannot hold.")


def _draw_series(axes: Any, series: Series, number: int) -> Any:
    colour = COLOURS[number % len(COLOURS)]
    if series.low is not None and series.high is not None:
        axes.fill_between(series.x, series.low, series.high, color=colour, alpha=0.14, linewidth=0)
    few = len(series.x) <= 30
    marker = MARKERS[number % len(MARKERS)] if few or number >= len(COLOURS) else ""
    return axes.plot(
        series.x, series.y, color=colour, linewidth=1.8, linestyle="--" if series.dashed else "-", marker=marker,
        markersize=5, markeredgewidth=0, markevery=1 if few else max(1, len(series.x) // 8), clip_on=False,
    )[0]  # fmt: skip

"""Where an axis ends, where it has ticks, and how they read: never so many that their texts meet."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

from hypermixer.report.labels import width

#: Of the axes, in points: what texts can count on beside the widest labels of the other axis.
_WIDE, _HIGH = 285, 190
_SIZE = 12
#: As wide as a digit, unlike a hyphen.
MINUS = "\u2212"
_UNITS = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))

Limits = tuple[float, float]
#: Between the middles of texts that stand at these places, in points.
Gaps = Callable[[Sequence[float]], list[float]]


def x_axis(axes: Any, values: Sequence[float], *, log: bool, margin: float, at_values: bool) -> None:
    """Limits and ticks that hold `values`, with a margin as a fraction of their span; at the values where they fit."""
    limits = _limits(values, log, margin)
    if log:
        axes.set_xscale("log")
    axes.set_xlim(limits)
    own = sorted(set(values)) if at_values else []

    def gaps(places: Sequence[float]) -> list[float]:
        wide = [width(text, _SIZE) for text in texts_of(places, log=log)]
        return [(a + b) / 2 + 7 for a, b in pairwise(wide)]

    candidates = () if len(own) == 1 else _candidates(own, limits, log)
    places = _first_that_fits(candidates, gaps, limits, log, _WIDE) or [values[0]]
    axes.set_xticks(places, texts_of(places, log=log))
    axes.set_xticks([], minor=True)


def y_axis(
    axes: Any,
    values: Sequence[float],
    *,
    log: bool,
    margin: float,
    unit: str = "",
    least: float = -math.inf,
    most: float = math.inf,
) -> None:
    """As `x_axis`, with a unit after each number, and no tick below `least` or above `most`."""
    limits = _limits(values, log, margin)
    if log:
        axes.set_yscale("log")
    axes.set_ylim(limits)
    candidates = ([p for p in places if least <= p <= most] for places in _candidates((), limits, log))

    def gaps(places: Sequence[float]) -> list[float]:
        return [2.0 * _SIZE] * (len(places) - 1)

    places = _first_that_fits(candidates, gaps, limits, log, _HIGH) or [values[0]]
    axes.set_yticks(places, [text + unit for text in texts_of(places, log=log)])
    axes.set_yticks([], minor=True)


def texts_of(places: Sequence[float], *, log: bool) -> list[str]:
    """The numbers, exact to nine digits; on a linear axis all in one unit (k, M, G, T, P) with as many decimals."""
    largest = max(map(abs, places))
    if 0 < largest < 1e-3:
        return [_scientific(place) for place in places]
    if log:
        return [_decimal(place, place) for place in places]
    digits = max(_decimals(place / _factor(largest)[0]) for place in places)
    return [_decimal(place, largest, digits) for place in places]


def _scientific(value: float) -> str:
    if not value:
        return "0"
    mantissa, _, power = f"{value:.9e}".partition("e")
    return f"{float(mantissa):g}e{int(power)}".replace("-", MINUS)


def _decimal(value: float, scale: float, decimals: int | None = None) -> str:
    if not value:
        return "0"
    factor, unit = _factor(scale)
    if decimals is None:
        if abs(value) < 1e-3:
            return _scientific(value)
        if _decimals(value / factor) > 1:
            factor, unit = 1.0, ""
    text = f"{value / factor:,.{_decimals(value / factor) if decimals is None else decimals}f}"
    return text.replace("-", MINUS) + unit


def _factor(scale: float) -> tuple[float, str]:
    return next(((factor, unit) for factor, unit in _UNITS if abs(scale) >= max(factor, 1e4)), (1.0, ""))


def _decimals(value: float) -> int:
    """After the point, so that a value of nine digits is whole."""
    return len(f"{value:.9g}".partition("e")[0].partition(".")[2]) if abs(value) >= 1e-4 else 0


def _limits(values: Sequence[float], log: bool, margin: float) -> Limits:
    ends = [math.log10(v) if log else v for v in (min(values), max(values))]
    span = ends[1] - ends[0]
    pad = margin * span if span > 1e-9 * abs(ends[1]) else 0.3 if log else abs(ends[1]) / 20 or 0.5
    low, high = ends[0] - pad, ends[1] + pad
    return (10**low, 10**high) if log else (low, high)


def _candidates(own: Sequence[float], limits: Limits, log: bool) -> Iterator[Sequence[float]]:
    """Places for ticks: some of `own` if they are few, then round ones, many first."""
    from matplotlib.ticker import MaxNLocator

    if len(own) <= 8:
        yield own
        yield own[::-2][::-1]
    if log:
        first, last = math.floor(math.log10(limits[0])), math.ceil(math.log10(limits[1]))
        decades = range(first, last + 1)
        for steps in ((1, 2, 5), (1, 3), (1,)):
            yield _inside([s * 10.0**d for d in decades for s in steps], limits)
        for every in range(2, len(decades)):
            yield _inside([10.0**d for d in decades if d % every == 0], limits)
    for count in range(6, 0, -1):
        yield _inside(MaxNLocator(count, steps=[1, 2, 2.5, 5, 10]).tick_values(*limits), limits)


def _inside(places: Sequence[float], limits: Limits) -> list[float]:
    return [float(place) for place in places if limits[0] <= place <= limits[1]]


def _first_that_fits(
    candidates: Iterable[Sequence[float]], gaps: Gaps, limits: Limits, log: bool, length: float
) -> Sequence[float] | None:
    """The first candidate of two ticks or more whose texts have the gaps they need on an axis of `length` points."""

    def at(place: float) -> float:
        return math.log10(place) if log else place

    scale = length / (at(limits[1]) - at(limits[0]))
    for places in candidates:
        if len(places) >= 2:
            between = [(at(b) - at(a)) * scale for a, b in pairwise(places)]
            if all(there >= needed for there, needed in zip(between, gaps(places), strict=True)):
                return places
    return None

"""Figures of ranks and bounds, each with the table of its numbers."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from hypermixer.errors import InputError, nearest
from hypermixer.expressivity.bounds import Bound, bounds, quoted
from hypermixer.expressivity.separation import SeparationRank, separation_rank
from hypermixer.expressivity.spec import PolyMixerSpec, degree, spec_of
from hypermixer.report.figures import Series, curves
from hypermixer.report.page import Entry, Figure, Page, Section, Table, Value

Watch = Callable[[int, int], None]
#: Of a network: kind, and the fields that are not the usual ones.
Names = dict[str, dict[str, Any]]
_THREE: Names = {"attention": {}, "static": {}, "hypermixing": {}}


def page(name: str, watch: Watch | None = None) -> Page:
    """A figure by name, or all of them, as a page.

    Raises:
        InputError: an unknown name.
    """
    if name != "all" and name not in FIGURES:
        raise InputError(f"Unknown figure '{name}': {nearest(name, [*FIGURES, 'all'])}")
    wanted = FIGURES if name == "all" else {name: FIGURES[name]}
    sections = []
    for number, make in enumerate(wanted.values(), 1):
        sections.append(make())
        if watch is not None:
            watch(number, len(wanted))
    return Page("Separation ranks of token mixers", _SUMMARY, tuple(sections))


_SUMMARY = (
    "Exact separation ranks of polynomial twins, modulo 2^31 - 1, with what is proved of them. They count dependencies"
    " between two halves of an input that a network can hold; they do not predict accuracy."
)


def _by(field: str, names: Names, values: dict[str, Sequence[int]], **fixed: Any) -> dict[str, list[SeparationRank]]:
    """Ranks of each network over the values of a field."""
    return {
        name: [separation_rank(spec_of(**{"kind": name, **fixed, **fields, field: value})) for value in values[name]]
        for name, fields in names.items()
    }


def _section(
    name: str, title: str, found: dict[str, list[SeparationRank]], field: str, label: str, note: str
) -> Section:
    series = [
        Series(kind, [float(getattr(one.spec, field)) for one in ranks], [float(one.rank) for one in ranks])
        for kind, ranks in found.items()
    ]
    svg = curves(series, x_label=label, y_label="separation rank", log_y=True)
    head = ("network", label, "rank", "lower bound", "upper bound")
    rows = tuple(
        (kind, getattr(one.spec, field), Value(one.told, one.rank), _whole(one.lower), _whole(one.upper))
        for kind, ranks in found.items()
        for one in ranks
    )
    return Section(title, (Figure(name, title, svg, note, _data(series)), Table("Ranks", head, rows)))


def _depth() -> Section:
    depths = {"attention": (1, 2, 3, 4), "static": (1, 2, 3, 4), "hypermixing": (1, 2, 3)}
    found = _by("depth", _THREE, depths, width=2, tokens=4)
    ahead = [a.spec.depth for a, b in zip(found["attention"], found["static"], strict=True) if a.rank > b.rank]
    note = f"Two coordinates, four tokens. Attention is ahead of static mixing from depth {min(ahead)} on."
    return _section("depth", "By depth", found, "depth", "layers", note)


def _tokens() -> Section:
    counts = (4, 6, 8, 12, 16)
    found = _by("tokens", _THREE, dict.fromkeys(_THREE, counts), width=2, depth=2)
    note = "Two coordinates, two layers. Only the rank of static mixing grows with the number of tokens."
    return _section("tokens", "By tokens", found, "tokens", "tokens", note)


#: Kind, depth, and the widths at which ranks are computed.
_LINES = (
    ("attention", 1, range(2, 9)), ("attention", 2, range(2, 8)), ("attention", 3, range(2, 4)),
    ("hypermixing", 1, range(2, 9)), ("hypermixing", 2, range(2, 4)),
)  # fmt: skip
_WIDTHS = (2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)


def _width() -> Section:
    series: list[Series] = []
    rows: list[tuple[Entry, ...]] = []
    points: list[tuple[float, float]] = []
    for kind, depth, computed in _LINES:
        name = f"{kind}, depth {depth}"
        counted = [bounds(_sized(kind, width, depth)).upper.value for width in _WIDTHS]
        series.append(Series(name, [float(w) for w in _WIDTHS], [math.log10(value) for value in counted], dashed=True))
        found = [separation_rank(_sized(kind, width, depth)) for width in computed]
        # A gap after each line's points: they belong to different networks.
        points += [(float(r.spec.width), math.log10(r.rank)) for r in found] + [(float(max(computed)), math.nan)]
        slope = math.log2(counted[-1] / counted[-2])
        tight = sum(one.rank == one.upper for one in found)
        exponent = _exponent(kind, depth)
        rows.append((name, f"{tight} of {len(found)}", Value(f"{slope:.2f}", slope), exponent))
    series.append(Series("exact ranks", [x for x, _ in points], [y for _, y in points]))
    svg = curves(series, x_label="width", y_label="log10 of the separation rank", log_x=True)
    head = ("network", "ranks that attain the bound", "slope from 2,048 to 4,096", "limit of the slope")
    note = (
        "Both axes logarithmic: a straight line is a power of the width, and its slope the exponent. Dashed: upper"
        " bounds, at any width; whole lines: exact ranks, where they were computed."
    )
    return Section(
        "By width", (Figure("width", "By width", svg, note, _data(series)), Table("Slopes", head, tuple(rows)))
    )


def _sized(kind: str, width: int, depth: int) -> PolyMixerSpec:
    # Twice as many tokens as coordinates on either side: more change nothing, few would.
    return spec_of(kind, width=width, depth=depth, tokens=4 * width if width < 16 else 2 * width + 2)


def _exponent(kind: str, depth: int) -> int:
    """The degree of the output in second moments, which is the limit of the slope."""
    return (degree(spec_of(kind, depth=depth)) - 1) // 2


def _real_sizes() -> Section:
    parts: list[Any] = []
    for width, tokens in ((512, 512), (1024, 1024)):
        depths = range(2, 8)
        static, attention, hyper = (
            [bounds(spec_of(kind, width=width, tokens=tokens, depth=depth)) for depth in depths]
            for kind in ("static", "attention", "hypermixing")
        )
        x, most = [float(depth) for depth in depths], [one.upper.log2 for one in static]
        series = [Series("static, at most", x, most, dashed=True)]
        for name, found in (("attention", attention), ("hypermixing", hyper)):
            least = [one.lower.log2 for one in found]
            # Only what is proved is shaded: where the least of one is above the most of the other.
            low = [min(a, b) for a, b in zip(least, most, strict=True)]
            series.append(Series(f"{name}, at least", x, least, low, least))
        title = f"Width {width}, {tokens} tokens"
        svg = curves(series, x_label="layers", y_label="log2 of the separation rank")
        note = "Shaded: proved gaps. Dashed: an upper bound for static mixing, whatever permutations are inserted."
        rows = [_real_row(depth, *found) for depth, *found in zip(depths, static, attention, hyper, strict=True)]
        head = (
            "layers", "static, at most", "attention, at least", "attention, at most", "hypermixing, at least",
            "hypermixing, at most", "gap proved: attention", "hypermixing", "attention, quoted",
        )  # fmt: skip
        theirs = [quoted(depth, width) for depth in depths]
        # A theorem whose lower bound is below one says nothing there.
        words = [f"{q.lower:.0f} to {q.upper:.0f}" if q.lower > 0 else f"at most {q.upper:.0f}" for q in theirs]
        body = tuple((*row, said) for row, said in zip(rows, words, strict=True))
        table_note = (
            "Logarithms to base 2. Where no gap is proved, the lower bound is too loose to tell; the order may be"
            " either. Quoted: theorems of arXiv 2006.12467 from memory, unchecked."
        )
        parts += [Figure(f"real-{width}", title, svg, note, _data(series)), Table(title, head, body, table_note)]
    return Section("Proved bounds at real sizes", tuple(parts))


def _real_row(depth: int, static: Any, attention: Any, hyper: Any) -> tuple[Entry, ...]:
    def log(bound: Bound) -> Value:
        return Value(f"{bound.log2:.1f}", bound.log2)

    proved = ["yes" if one.lower.value > static.upper.value else "no" for one in (attention, hyper)]
    least_and_most = [log(bound) for one in (attention, hyper) for bound in (one.lower, one.upper)]
    return (depth, log(static.upper), *least_and_most, *proved)


def _blocks() -> Section:
    found = {
        "attention, depth 4": separation_rank(spec_of("attention", depth=4), method="blocks"),
        "hypermixing, depth 3": separation_rank(spec_of("hypermixing", depth=3), method="blocks"),
        "static, depth 4": separation_rank(spec_of("static", depth=4), method="blocks"),
    }
    series = [
        Series(name, [b.degree / one.blocks[-1].degree for b in one.blocks], [float(b.rank) for b in one.blocks])
        for name, one in found.items()
    ]
    svg = curves(series, x_label="degree in the second half, as a part of the highest", y_label="rank of the part")
    rows = tuple(
        (name, len(one.blocks), sum(b.rank == b.upper for b in one.blocks), Value(one.told, one.rank))
        for name, one in found.items()
    )
    note = "A network's output falls apart by its degree in one half's input; the ranks of the parts add up to its own."
    head = ("network", "parts", "that attain their bound", "rank")
    return Section("By degree", (Figure("blocks", "By degree", svg, note, _data(series)), Table("Parts", head, rows)))


def _spectrum() -> Section:
    from hypermixer.expressivity.real_encoders import real_spectra

    series, rows = real_spectra()
    svg = curves(series, x_label="singular value, by size", y_label="log10, relative to the largest")
    note = (
        "Grids of 300 by 300 inputs in float64, normal weights. Dashed: polynomial twins, whose rank is known exactly."
    )
    head = ("network", "exact rank", "numpy's matrix_rank", "above 1e-3", "above 1e-6", "above 1e-12")
    table_note = "A numerical rank depends on where one stops to count, and says nothing of the exact one."
    figure = Figure("spectrum", "Spectra", svg, note, _data(series))
    return Section("Float spectra beside exact ranks", (figure, Table("Counts", head, rows, table_note)))


FIGURES: dict[str, Callable[[], Section]] = {
    "depth": _depth,
    "width": _width,
    "tokens": _tokens,
    "real-sizes": _real_sizes,
    "blocks": _blocks,
    "spectrum": _spectrum,
}


def _data(series: Sequence[Series]) -> dict[str, Any]:
    """Points of each curve, without its gaps."""
    return {one.name: [[float(x), float(y)] for x, y in zip(one.x, one.y, strict=True)] for one in series}


def _whole(value: int) -> Value:
    return Value(f"{value:,}", value)

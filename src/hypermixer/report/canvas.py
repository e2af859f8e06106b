"""The sheet that figures are drawn on: size, colours, frame, and the way from matplotlib to SVG text."""

import io
import textwrap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hypermixer.report.contents import printable
from hypermixer.report.svg import labelled

#: Width, and height without legend, in points.
WIDTH, HEIGHT = 400, 290
#: Of texts, in points: a page on a phone shows the figure at 0.9 of its size.
SIZE = 12
INK, GREY, GRID = "#24292f", "#6b7280", "#e3e5e8"
#: Okabe and Ito (2008), told apart by people of any colour vision; without their yellow, too pale for a line.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#404040")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
_SETTINGS: dict[Any, Any] = {
    "svg.hashsalt": "hypermixer", "svg.fonttype": "none", "font.family": ["sans-serif"], "font.size": SIZE,
    "font.sans-serif": ["DejaVu Sans"], "text.parse_math": False, "path.simplify": False,
    "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": GREY, "xtick.color": INK, "ytick.color": INK,
}  # fmt: skip
#: Letters of a line, of the width of the axes.
_LINE = 44


@contextmanager
def style() -> Iterator[None]:
    """Everything of a figure is made in here, its text included; a letter that the font lacks is no trouble."""
    import matplotlib

    with matplotlib.rc_context(_SETTINGS), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def sheet(height: float, x_label: str, y_label: str) -> tuple[Any, Any]:
    """A figure of one pixel a point and its axes, with the label of y above them, where it reads without turning."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH / 72, height / 72), dpi=72, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.set_xlabel(_folded(x_label), labelpad=6)
    figure.suptitle(_folded(y_label), x=0.012, ha="left", fontsize=SIZE)
    axes.grid(True, color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(length=0, pad=6)
    return figure, axes


def _folded(text: str) -> str:
    lines = textwrap.wrap(" ".join(printable(text).split()), _LINE, max_lines=3, placeholder=" …")
    return "\n".join(lines)


def freeze(figure: Any) -> None:
    """Lays the figure out and leaves it so: from here on, places in points are where they will be."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")


def to_svg(figure: Any, title: str) -> str:
    """The figure's SVG, with `title` as its name."""
    file = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(file, format="svg", transparent=True, metadata=nothing)
    return labelled(file.getvalue(), " ".join(printable(title).split()))

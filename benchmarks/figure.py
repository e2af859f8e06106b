"""The figure: times as fast as attention, over length, from the rows on disk. The same rows give the same bytes."""

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Document = dict[str, Any]
#: Greys and colours that keep a contrast of 3 to 1 or more on white and on a dark page: the figure has no background.
INK = "#7a7f87"
COLOURS = {"float32": "#2f81c7", "bfloat16": "#c9622c", "float16": "#8a6fc9", "float64": "#3c8f5a"}
STYLES = {"forward": "-", "forward+backward": "--"}
_MARK = re.compile(r"points:([0-9a-f]{16})")

Series = dict[tuple[int, str, str], list[tuple[int, float]]]


def series(documents: Sequence[Document]) -> Series:
    """(heads, dtype, pass) -> [(length, ratio)], of the tied layer, in order of length."""
    found: Series = {}
    for document in documents:
        for row in document["rows"]:
            if row["contender"] == "hypermixing" and row["tied"] and row["ratio_to_attention"]:
                key = (row["heads"], row["dtype"], row["pass"])
                found.setdefault(key, []).append((row["length"], row["ratio_to_attention"]["median"]))
    return {key: sorted(points) for key, points in sorted(found.items())}


def fingerprint(documents: Sequence[Document]) -> str:
    """Of the points that the figure shows; it stands in the figure's own file."""
    points = [[*key, *map(list, values)] for key, values in series(documents).items()]
    return hashlib.sha256(json.dumps(points).encode()).hexdigest()[:16]


def shown(path: Path) -> str | None:
    """The fingerprint inside a figure on disk; None where there is no figure, or one without."""
    match = _MARK.search(path.read_text()) if path.exists() else None
    return match[1] if match else None


def draw(documents: Sequence[Document], path: Path) -> None:
    """Writes the figure as SVG: one panel for each number of heads, a line for each dtype and pass."""
    import matplotlib
    from matplotlib.figure import Figure

    lines = series(documents)
    heads = sorted({key[0] for key in lines})
    settings: dict[Any, Any] = {
        "svg.hashsalt": "hypermixer", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9,
        "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": INK, "xtick.color": INK, "ytick.color": INK,
    }  # fmt: skip
    with matplotlib.rc_context(settings):
        figure = Figure(figsize=(9, 3.6), layout="constrained")
        panels = figure.subplots(1, len(heads), sharey=True, squeeze=False)[0]
        for panel, count in zip(panels, heads, strict=True):
            _panel(panel, count, lines)
        panels[0].set_ylabel("times as fast as attention")
        panels[-1].legend(frameon=False, labelcolor=INK, loc="upper left")
        note = f"points:{fingerprint(documents)}"
        figure.savefig(
            path, format="svg", transparent=True, metadata={"Date": None, "Creator": None, "Description": note}
        )


def _panel(panel: Any, heads: int, lines: Series) -> None:
    ticks = sorted({length for key, points in lines.items() if key[0] == heads for length, _ in points})
    for (count, dtype, pass_name), points in lines.items():
        if count == heads:
            lengths, ratios = zip(*points, strict=True)
            style = {"color": COLOURS[dtype], "linestyle": STYLES[pass_name], "marker": "o", "markersize": 3}
            panel.plot(lengths, ratios, label=f"{dtype}, {pass_name}", **style)
    panel.axhline(1, color=INK, linewidth=0.8)
    panel.set_xscale("log", base=2)
    panel.set_yscale("log")
    panel.set_xticks(ticks, [f"{n // 1024}k" if n >= 1024 and n % 1024 == 0 else str(n) for n in ticks])
    panel.set_title(f"{heads} head{'s' if heads > 1 else ''}", color=INK)
    panel.set_xlabel("tokens")
    panel.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    panel.grid(True, color=INK, alpha=0.25, linewidth=0.5)
    panel.spines[["top", "right"]].set_visible(False)

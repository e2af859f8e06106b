"""Names beside points: how wide a text is, and places where no two names meet."""

import math
import unicodedata
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from hypermixer.report.canvas import GREY, INK, SIZE, WIDTH
from hypermixer.report.contents import printable

#: Around a point, upper right first; a name is looked for at these distances, then anywhere.
_ANGLES = (45, 0, 315, 135, 180, 225, 90, 270, 22, 338, 158, 202)
_DISTANCES = (8, 13, 20, 30, 44, 62, 84)
#: How far a name goes out of its way rather than cover a line, or stand nearer to another point than to its own.
_CROSSING, _DOUBT = 12.0, 30.0
#: Height of a name, half the width of a point with some air, and the most that a name is wide, in points.
_LINE, _POINT, _NAME = 16, 6, 0.5 * WIDTH
#: From this distance on, a line joins a name and its point.
_LEADER = 16


@dataclass(frozen=True)
class Box:
    """A rectangle, in points, y upwards."""

    left: float
    bottom: float
    right: float
    top: float

    def meets(self, other: "Box") -> bool:
        """Whether the two share an area."""
        return (
            self.left < other.right and other.left < self.right and self.bottom < other.top and other.bottom < self.top
        )

    def nearest(self, point: tuple[float, float]) -> tuple[float, float]:
        """Where the box is nearest to a point."""
        return min(max(point[0], self.left), self.right), min(max(point[1], self.bottom), self.top)

    def within(self, other: "Box") -> bool:
        """Whether it leaves `other` nowhere."""
        return (
            other.left <= self.left
            and self.right <= other.right
            and other.bottom <= self.bottom
            and self.top <= other.top
        )


def width(text: str, size: float) -> float:
    """Of one line in points, in DejaVu Sans, as wide as any usual sans-serif; East Asian letters are square."""
    from matplotlib.backends.backend_agg import RendererAgg
    from matplotlib.font_manager import FontProperties

    square = [letter for letter in text if unicodedata.east_asian_width(letter) in "WF"]
    rest = "".join(letter for letter in text if unicodedata.east_asian_width(letter) not in "WF")
    with warnings.catch_warnings():
        # The reader's browser has other fonts, and letters that this one lacks.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        properties = FontProperties(family="DejaVu Sans", size=size)
        extent, _, _ = RendererAgg(1, 1, 72).get_text_width_height_descent(rest, properties, ismath=False)
    return extent + size * len(square)


def shortened(text: str, most: float, size: float) -> str:
    """`text` on one line, cut to `most` points of width with an ellipsis where it is longer."""
    line = " ".join(printable(text).split())
    if width(line, size) <= most:
        return line
    keep = next(n for n in range(min(len(line), 200), -1, -1) if not n or width(line[:n] + "…", size) <= most)
    return line[:keep].rstrip() + "…"


def write_names(axes: Any, names: Sequence[str], points: Sequence[tuple[float, float]], lines: Sequence[Box]) -> bool:
    """Write a name for each point, where it meets no other and no point, with a line to its point where that is far.

    Args:
        axes: of a figure whose layout is final.
        names: long ones are cut.
        points: in points from the lower left corner of the figure.
        lines: what names had better not cover.

    Returns:
        False where there is no room, and nothing is written.
    """
    from matplotlib.transforms import IdentityTransform

    shown = [shortened(name, _NAME, SIZE) for name in names]
    sizes = [(width(name, SIZE) + 4, _LINE) for name in shown]
    area = Box(axes.bbox.x0, axes.bbox.y0 + 2, WIDTH - 2, axes.bbox.y1 + 4)
    solid = [Box(x - _POINT, y - _POINT, x + _POINT, y + _POINT) for x, y in points]
    boxes = spread(points, sizes, area=area, solid=solid, lines=lines)
    place = IdentityTransform()
    for name, box, (x, y) in zip(shown, boxes or (), points, strict=bool(boxes)):
        near = box.nearest((x, y))
        if math.dist((x, y), near) > _LEADER:
            axes.plot((x, near[0]), (y, near[1]), color=GREY, linewidth=0.7, transform=place, zorder=1)
        behind = {"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0}
        axes.text(box.left + 2, box.bottom + 4, name, transform=place, fontsize=SIZE, color=INK, zorder=5, bbox=behind)
    return boxes is not None


def spread(
    points: Sequence[tuple[float, float]],
    sizes: Sequence[tuple[float, float]],
    *,
    area: Box,
    solid: Sequence[Box],
    lines: Sequence[Box],
) -> list[Box] | None:
    """A place for each point's name.

    Args:
        points: where they stand.
        sizes: width and height of their names.
        area: that no name may leave.
        solid: what no name may cover.
        lines: what names had better not cover.

    Returns:
        Boxes that meet neither each other nor what is solid; None where there is no room.
    """
    names: dict[int, Box] = {}
    strokes = list(lines)
    # From the most crowded on, as they have the fewest places.
    for index in sorted(range(len(points)), key=lambda i: _nearest(points, i)):
        others = [point for point in points if point != points[index]]
        taken = [*solid, *names.values()]
        best: tuple[float, Box] | None = None
        for distance, place in _places(points[index], sizes[index], area):
            if best and distance >= best[0]:
                continue
            if place.within(area) and not any(place.meets(other) for other in taken):
                cost = distance + _doubts(place, points[index], others, names.values(), strokes)
                best = (cost, place) if best is None or cost < best[0] else best
        if best is None:
            return None
        names[index] = best[1]
        strokes += _dots(points[index], best[1])
    return [names[index] for index in range(len(points))]


def _doubts(
    place: Box,
    point: tuple[float, float],
    others: Sequence[tuple[float, float]],
    names: Iterable[Box],
    strokes: Sequence[Box],
) -> float:
    """What a name at `place` would cover, and whether a reader could take it for another point's."""
    own = math.dist(point, place.nearest(point))
    nearer = sum(math.dist(other, place.nearest(other)) < own + _POINT for other in others)
    line = _dots(point, place)
    passed = [Box(x - _POINT, y - _POINT, x + _POINT, y + _POINT) for x, y in others]
    crossed = sum(any(dot.meets(box) for dot in line) for box in (*passed, *names))
    return _CROSSING * (sum(place.meets(stroke) for stroke in strokes) + crossed) + _DOUBT * min(nearer, 2)


def _dots(point: tuple[float, float], place: Box) -> list[Box]:
    """The line from a point to its name, as small boxes; none where the name is so near that it has no line."""
    near = place.nearest(point)
    length = math.dist(point, near)
    if length <= _LEADER:
        return []
    count = math.ceil(length / 4)
    along = [(i / count, 1 - i / count) for i in range(2, count)]
    dots = [(a * near[0] + b * point[0], a * near[1] + b * point[1]) for a, b in along]
    return [Box(x - 0.5, y - 0.5, x + 0.5, y + 0.5) for x, y in dots]


def _nearest(points: Sequence[tuple[float, float]], index: int) -> float:
    others = (math.dist(points[index], other) for i, other in enumerate(points) if i != index)
    return min(others, default=0.0)


def _places(point: tuple[float, float], size: tuple[float, float], area: Box) -> Iterator[tuple[float, Box]]:
    (x, y), (wide, high) = point, size
    for distance in _DISTANCES:
        for angle in _ANGLES:
            cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
            left = x + distance * cos - (wide / 2) * (1 - _sign(cos))
            bottom = y + distance * sin - (high / 2) * (1 - _sign(sin))
            yield float(distance), Box(left, bottom, left + wide, bottom + high)
    rows, columns = int((area.top - area.bottom) // high), 12
    for row in range(rows):
        bottom = area.bottom + row * high
        for column in range(columns + 1):
            left = area.left + (area.right - area.left - wide) * column / columns
            away = math.dist((x, y), (min(max(x, left), left + wide), bottom + high / 2))
            yield _DISTANCES[-1] + away, Box(left, bottom, left + wide, bottom + high)


def _sign(value: float) -> int:
    return 0 if abs(value) < 0.01 else 1 if value > 0 else -1

"""The figure is its rows: same rows, same bytes; other rows, another fingerprint; readable on light and dark."""

import copy
import re
from pathlib import Path
from typing import Any

import pytest

from benchmarks import figure

Document = dict[str, Any]


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("page", ["#ffffff", "#0d1117"])
@pytest.mark.parametrize("colour", [figure.INK, *figure.COLOURS.values()])
def test_every_colour_stands_out_from_light_and_dark_pages(colour: str, page: str) -> None:
    low, high = sorted((luminance(colour), luminance(page)))
    assert (high + 0.05) / (low + 0.05) >= 3


def test_points_are_the_tied_rows(document: Document) -> None:
    lines = figure.series([document])
    assert set(lines) == {(h, "float32", p) for h in (1, 3) for p in ("forward", "forward+backward")}
    for (heads, _, name), points in lines.items():
        wanted = ("hypermixing", heads, True, name)
        rows = [r for r in document["rows"] if (r["contender"], r["heads"], r["tied"], r["pass"]) == wanted]
        expected = [(row["length"], row["ratio_to_attention"]["median"]) for row in rows]
        assert points == sorted(expected)


def test_the_fingerprint_follows_the_points_and_nothing_else(document: Document) -> None:
    other = copy.deepcopy(document)
    other["rows"].reverse()
    assert figure.fingerprint([other]) == figure.fingerprint([document])
    row = next(r for r in other["rows"] if r["contender"] == "hypermixing" and r["tied"])
    row["ratio_to_attention"]["median"] *= 1.01
    assert figure.fingerprint([other]) != figure.fingerprint([document])


def test_the_same_rows_give_the_same_bytes(document: Document, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    paths = [tmp_path / "a.svg", tmp_path / "b.svg"]
    for path in paths:
        figure.draw([document], path)
    first = paths[0].read_text()
    assert paths[1].read_text() == first
    assert figure.shown(paths[0]) == figure.fingerprint([document])
    assert not re.search(r"<dc:date>|\b20\d\d-\d\d-\d\d", first)
    assert all(words in first for words in ("1 head", "3 heads", "float32, forward+backward", "times as fast"))


def test_a_figure_that_is_not_there_shows_nothing(tmp_path: Path) -> None:
    assert figure.shown(tmp_path / "absent.svg") is None


def test_published_figures_are_those_of_the_rows() -> None:
    from benchmarks import readme

    for group in readme.machines():
        path = readme.RESULTS / f"{readme.stem(group)}.svg"
        assert figure.shown(path) == figure.fingerprint(group), "run: python -m benchmarks readme"

"""Claims in places: what decides, and what is said of them all."""

import pytest

from hypermixer.costs.statistics import Interval
from hypermixer.studies.claims import FAILS, HOLDS, OPEN
from hypermixer.studies.figure_claims import Finding, decided, greater, in_percent, lacking, section, sentence


@pytest.mark.parametrize(
    ("low", "high", "word"), [(0.5, 0.7, HOLDS), (-0.7, -0.5, FAILS), (-0.5, 0.7, OPEN), (0, 0.5, OPEN), (0, 0, OPEN)]
)
def test_an_interval_decides_where_the_mark_lies_outside(low, high, word):
    assert decided(Interval((low + high) / 2, low, high)) == word
    assert decided(Interval((low + high) / 2 + 1, low + 1, high + 1), than=1) == word


def test_a_row_has_both_units():
    found = greater("it is so", "here", in_percent(Interval(0.02, 0.01, 0.03)), 1.5, "points", "%")
    (row,) = section("why", [found]).body[1].rows  # pyright: ignore[reportAttributeAccessIssue]
    assert [getattr(entry, "text", entry) for entry in row] == [
        "it is so", "here", HOLDS, "+2.0 points", "+1.0 to +3.0", "+1.5 %"
    ]  # fmt: skip


def test_a_sentence_for_each_claim():
    found = [Finding("a", "x", HOLDS), Finding("a", "y", OPEN), Finding("a", "z", HOLDS), lacking("a", "w", "no runs"),
             Finding("b", "x", FAILS), lacking("c", "x", "no runs")]  # fmt: skip
    assert sentence(found) == (
        "That a holds for x, z; cannot be decided for y; lacks runs for w. That b does not hold for x."
    )

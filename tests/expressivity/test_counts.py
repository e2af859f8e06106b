"""Counts of monomials and sums of the smaller of two, against plain counting."""

from itertools import combinations_with_replacement

import pytest

from hypermixer.expressivity.counts import monomials, smaller, smaller_of_monomials

#: More than a float holds exactly.
HUGE = 2**200


def test_monomials_are_multisets() -> None:
    for variables in range(5):
        for degree in range(6):
            assert monomials(variables, degree) == len([*combinations_with_replacement(range(variables), degree)])


def plain(n: int, m: int, degree: int, times: int) -> int:
    return sum(min(monomials(n, s), times * monomials(m, degree - s)) for s in range(degree + 1))


@pytest.mark.parametrize("times", [1, 2, 3, 7, 1000])
def test_the_two_binomials_are_the_plain_sum(times: int) -> None:
    for n in range(1, 8):
        for m in range(1, 8):
            for degree in range(14):
                assert smaller_of_monomials(n, m, degree, times=times) == plain(n, m, degree, times)
                by_calls = smaller(lambda s: monomials(n, s), lambda s: times * monomials(m, s), degree)  # noqa: B023
                assert by_calls == plain(n, m, degree, times)


@pytest.mark.parametrize("n, m", [(1, 1), (1, 300), (300, 1), (90, 91), (1000, 2)])
def test_sides_of_very_different_size(n: int, m: int) -> None:
    for degree in (0, 1, 2, 5, 40):
        assert smaller_of_monomials(n, m, degree) == plain(n, m, degree, 1)


def test_the_two_sides_may_be_exchanged() -> None:
    assert all(
        smaller_of_monomials(n, m, degree) == smaller_of_monomials(m, n, degree)
        for n in range(1, 6)
        for m in range(1, 6)
        for degree in range(20)
    )


def test_huge_degrees_stay_exact() -> None:
    """Of one variable on either side there are degree + 1 terms; of one and two, the same, since one is smaller."""
    assert smaller_of_monomials(1, 1, HUGE) == HUGE + 1
    assert smaller_of_monomials(1, 2, HUGE) == HUGE + 1
    # Two and two: 1 + 2 + ... up to the middle and down again.
    half = HUGE // 2
    assert smaller_of_monomials(2, 2, HUGE) == half * (half + 1) + half + 1

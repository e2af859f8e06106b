"""Exact counts that bounds are made of: dimensions of spaces of polynomials, as integers of any size."""

import math
from collections.abc import Callable
from math import comb

#: Up to this degree the logarithms of neighbouring counts differ by more than float64 rounds them.
_TOLD_APART = 10**6


def monomials(variables: int, degree: int) -> int:
    """Of exactly this degree: C(n + a - 1, a)."""
    if variables == 0:
        return int(degree == 0)
    return comb(variables + degree - 1, degree)


def smaller(a: Callable[[int], int], b: Callable[[int], int], degree: int) -> int:
    """Sum over s = 0..degree of min(a(s), b(degree - s))."""
    return sum(min(a(s), b(degree - s)) for s in range(degree + 1))


def smaller_of_monomials(n: int, m: int, degree: int, *, times: int = 1) -> int:
    """Sum over s = 0..degree of min(monomials(n, s), times * monomials(m, degree - s)).

    The first grows with s and the second falls, so that they cross once, and the sums on either side are binomials:
    C(n + s - 1, n) below s, times * C(m + degree - s, m) from there on.
    """
    s = _crossing(n, m, degree, times)
    below = comb(n + s - 1, n) if s else 0
    above = times * comb(m + degree - s, m) if s <= degree else 0
    return below + above


def _crossing(n: int, m: int, degree: int, times: int) -> int:
    """The first s at which monomials(n, s) > times * monomials(m, degree - s)."""

    def is_past(s: int) -> bool:
        return monomials(n, s) > times * monomials(m, degree - s)

    def seems_past(s: int) -> bool:
        return _logarithm(n, s) > math.log(times) + _logarithm(m, degree - s)

    # Binomials of great numbers take long: logarithms lead to the neighbourhood where they tell neighbours apart.
    search = seems_past if degree <= _TOLD_APART else is_past
    low, high = 0, degree + 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if search(middle) else (middle + 1, high)
    while low > 0 and is_past(low - 1):
        low -= 1
    while low <= degree and not is_past(low):
        low += 1
    return low


def _logarithm(variables: int, degree: int) -> float:
    return math.lgamma(variables + degree) - math.lgamma(degree + 1) - math.lgamma(variables)

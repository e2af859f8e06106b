"""Exact counts that bounds are made of: dimensions of spaces of polynomials, as integers of any size."""

from collections.abc import Callable
from math import comb


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
    low, high = 0, degree + 1  # the first s at which the second is smaller
    while low < high:
        s = (low + high) // 2
        if monomials(n, s) > times * monomials(m, degree - s):
            high = s
        else:
            low = s + 1
    below = comb(n + low - 1, n) if low else 0
    above = times * comb(m + degree - low, m) if low <= degree else 0
    return below + above

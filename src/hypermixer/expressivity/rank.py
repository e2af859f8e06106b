"""The exact rank of a matrix of integers modulo a prime."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hypermixer.errors import InputError
from hypermixer.expressivity.field import PRIME, Elements, Field

Indices = NDArray[np.intp]
#: Columns that are eliminated together: wide enough for BLAS, narrow enough that finding their pivots costs little.
_PANEL = 256
#: Columns that are eliminated one by one.
_NARROW = 8


def rank_mod(matrix: ArrayLike, p: int = PRIME) -> int:
    """The rank of a matrix of integers modulo p: exact, and at most the rank over the rational numbers.

    Args:
        matrix: [m, n], integers of any size and sign.
        p: a prime below 2^31.

    Raises:
        InputError: something else than a matrix of integers, or p is not such a prime.
    """
    field = Field(p)
    rest = field.elements(matrix)
    if rest.ndim != 2:
        raise InputError(f"A rank is that of a matrix, and this has {rest.ndim} dimensions.")
    return rank(field, rest)


def rank(field: Field, matrix: Elements) -> int:
    """The same of elements of a field; `matrix` [m, n] stays as it is."""
    found, rest = 0, matrix
    while rest.size:
        panel = rest[:, :_PANEL]
        rows, columns = _pivots(field, panel)
        found += len(rows)
        others = _others(len(rest), rows)
        rest = _eliminated(field, panel, rest[:, _PANEL:], rows, columns, others)
    return found


def _pivots(field: Field, a: Elements) -> tuple[list[int], list[int]]:
    """Rows and columns of a largest minor that is not zero, in an order in which all its leading minors are not."""
    columns = a.shape[1]
    if columns <= _NARROW:
        return _pivots_one_by_one(field, a)
    half = columns // 2
    rows, found = _pivots(field, a[:, :half])
    others = _others(len(a), rows)
    if not len(others):
        return rows, found
    more, further = _pivots(field, _eliminated(field, a[:, :half], a[:, half:], rows, found, others))
    return rows + [int(others[row]) for row in more], found + [half + column for column in further]


def _pivots_one_by_one(field: Field, a: Elements) -> tuple[list[int], list[int]]:
    a, rows, columns = a.copy(), list[int](), list[int]()
    free = np.ones(len(a), bool)
    for column in range(a.shape[1]):
        candidates = np.flatnonzero(free & (a[:, column] != 0))
        if not len(candidates):
            continue
        row = int(candidates[0])
        free[row] = False
        rows.append(row)
        columns.append(column)
        inverse = np.uint64(pow(int(a[row, column]), -1, field.p))
        others = candidates[1:]
        factors = field.reduced(a[others, column] * inverse)
        a[others] = field.minus(a[others], field.reduced(factors[:, None] * a[row]))
    return rows, columns


def _eliminated(
    field: Field, left: Elements, right: Elements, rows: list[int], columns: list[int], others: Indices
) -> Elements:
    """Other rows of the right part, once the pivots' columns of the left part are zero there."""
    if not rows or not right.shape[1]:
        return right[others]
    factors = field.product(left[others][:, columns], field.inverse(left[rows][:, columns]))
    return field.minus(right[others], field.product(factors, right[rows]))


def _others(count: int, rows: list[int]) -> Indices:
    free = np.ones(count, bool)
    free[rows] = False
    return np.flatnonzero(free)

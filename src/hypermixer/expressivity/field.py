"""Exact arithmetic modulo a prime below 2^31: what polynomials with integer weights are evaluated in.

Elements are uint64 in [0, p). Sums of four products of elements fit into 64 bits, large matrix products into float64
BLAS: factors are cut in limbs of 16 bits, whose products summed over 2^20 terms stay below 2^53.
"""

from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hypermixer.errors import InputError

#: 2^31 - 1, a Mersenne prime: remainders need no division.
PRIME = 2**31 - 1
#: For a second opinion: the largest prime below it.
SECOND_PRIME = 2**31 - 19

Elements = NDArray[np.uint64]
#: Products of two elements that are summed before a remainder is taken.
_PRODUCTS = 4
#: Terms of a sum of a limb product, all of them together below 2^53.
_MOST_TERMS = 2**20
#: Rows of a matrix that is inverted row by row.
_FEW = 32


class Field:
    """The integers modulo a prime.

    Args:
        p: the prime, below 2^31.

    Raises:
        InputError: not a prime, or not below 2^31.
    """

    def __init__(self, p: int = PRIME) -> None:
        if not isinstance(p, int | np.integer) or not 2 <= p < 2**31:
            raise InputError(f"The modulus must be a prime from 2 to {2**31 - 1}, got {p}.")
        if (factor := _least_factor(p)) != p:
            raise InputError(f"The modulus {p} is not a prime: it is {factor} times {p // factor}.")
        self.p = int(p)

    def elements(self, values: ArrayLike) -> Elements:
        """Integers of any sign as elements.

        Raises:
            InputError: numbers that are not integers.
        """
        try:
            array = np.asarray(values)
        except (ValueError, TypeError, RuntimeError) as error:  # rows of unequal length, tensors that are in a graph
            raise InputError(f"These numbers make no array ({error}).") from None
        if array.size == 0:
            return np.zeros(array.shape, np.uint64)
        if array.dtype.kind == "f" and not isinstance(values, np.ndarray):
            array = np.asarray(values, dtype=object)  # integers of both signs, some beyond 64 bits
        if array.dtype.kind in "iu":
            array = array.astype(np.int64 if array.dtype.kind == "i" else np.uint64)
        elif array.dtype.kind != "O" or not all(isinstance(value, int | np.integer) for value in array.flat):
            raise InputError("Exact arithmetic takes integers, and these numbers are not.")
        return (array % self.p).astype(np.uint64)

    def uniform(self, generator: np.random.Generator, *shape: int) -> Elements:
        """Uniform elements."""
        return generator.integers(0, self.p, shape, np.uint64)

    def reduced(self, x: Elements) -> Elements:
        """Remainders of any uint64, in place."""
        if self.p != PRIME:
            return np.remainder(x, np.uint64(self.p), out=x)
        prime, bits = np.uint64(PRIME), np.uint64(31)
        for _ in range(2):  # 2^31 is 1: the upper bits are added to the lower ones
            upper = x >> bits
            x &= prime
            x += upper
        upper = x - prime  # wraps around where x is below p already
        return np.minimum(x, upper, out=x)

    def sum_of_products(self, pairs: Iterable[tuple[Elements, Elements]]) -> Elements:
        """Sum of a b over pairs of arrays whose shapes broadcast to one that is the same for all."""
        total: Elements | None = None
        for count, (a, b) in enumerate(pairs):
            if total is None:
                total = a * b
                continue
            if count % _PRODUCTS == 0:  # 4 (p - 1)^2 + p is below 2^64: a remainder and four more fit
                self.reduced(total)
            total += a * b
        assert total is not None
        return self.reduced(total)

    def power(self, x: Elements, exponent: int) -> Elements:
        """x to the power of a positive integer, element by element."""
        result: Elements | None = None
        while True:
            if exponent & 1:
                result = x.copy() if result is None else self.reduced(result * x)
            exponent >>= 1
            if not exponent:
                assert result is not None
                return result
            x = self.reduced(x * x)

    def product(self, a: Elements, b: Elements) -> Elements:
        """The matrix product of a [m, k] and b [k, n], k below 2^20."""
        if a.shape[1] > _MOST_TERMS:
            raise InputError(f"A product over {a.shape[1]:,} terms is too long to be exact.")
        (a1, a0), (b1, b0) = _limbs(a), _limbs(b)
        middle = self._element(a1 @ b0 + a0 @ b1)
        middle += self._element(a1 @ b1) << np.uint64(16)  # below 2^47: no remainder yet
        self.reduced(middle)
        middle <<= np.uint64(16)
        middle += self._element(a0 @ b0)
        return self.reduced(middle)

    def minus(self, a: Elements, b: Elements) -> Elements:
        """a - b, element by element."""
        return self.reduced(a + (np.uint64(self.p) - b))

    def inverse(self, a: Elements) -> Elements:
        """The inverse of a square matrix whose leading minors are not zero, by halves."""
        n = len(a)
        if n <= _FEW:
            return self._inverse_of_few(a)
        h = n // 2
        first = self.inverse(a[:h, :h])
        left, right = self.product(a[h:, :h], first), self.product(first, a[:h, h:])
        rest = self.inverse(self.minus(a[h:, h:], self.product(a[h:, :h], right)))
        lower = self.product(rest, left)
        result = np.empty_like(a)
        result[h:, h:] = rest
        result[h:, :h] = self._negative(lower)
        result[:h, h:] = self._negative(self.product(right, rest))
        result[:h, :h] = self.reduced(first + self.product(right, lower))
        return result

    def _inverse_of_few(self, a: Elements) -> Elements:
        """The same, row by row."""
        n = len(a)
        both = np.concatenate([a, np.eye(n, dtype=np.uint64)], axis=1)
        for row in range(n):
            both[row] = self.reduced(both[row] * np.uint64(pow(int(both[row, row]), -1, self.p)))
            factors = self.minus(np.zeros(n, np.uint64), both[:, row])
            factors[row] = 0
            both = self.reduced(both + self.reduced(factors[:, None] * both[row]))
        return both[:, n:]

    def _negative(self, a: Elements) -> Elements:
        return self.minus(np.zeros_like(a), a)

    def _element(self, x: NDArray[np.float64]) -> Elements:
        """Of integers below 2^53 that stand in float64."""
        return self.reduced(x.astype(np.uint64))


def _limbs(a: Elements) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The upper 15 and the lower 16 bits."""
    return (a >> np.uint64(16)).astype(np.float64), (a & np.uint64(0xFFFF)).astype(np.float64)


@lru_cache
def _least_factor(p: int) -> int:
    """The least prime factor of a number below 2^31."""
    if p % 2 == 0:
        return 2
    return next((d for d in range(3, int(p**0.5) + 1, 2) if p % d == 0), p)

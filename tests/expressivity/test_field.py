"""Arithmetic modulo primes, against Python's own integers."""

import numpy as np
import pytest
from numpy.typing import NDArray

from hypermixer.errors import InputError
from hypermixer.expressivity.field import PRIME, SECOND_PRIME, Elements, Field

PRIMES = [PRIME, SECOND_PRIME, 2, 3, 7, 65537]
EVERY = pytest.mark.parametrize("p", PRIMES)
MOST = 2**64 - 1


def whole(x: Elements) -> NDArray[np.object_]:
    """As integers of any size."""
    return x.astype(object)


def drawn(field: Field, *shape: int, seed: int = 0) -> Elements:
    """Elements, among them the smallest and the largest."""
    x = field.uniform(np.random.default_rng(seed), *shape)
    if x.size > 3:
        x.flat[1], x.flat[x.size // 2] = field.p - 1, 0
    return x


def same(field: Field, found: Elements, wanted: NDArray[np.object_]) -> bool:
    return found.dtype == np.uint64 and found.shape == wanted.shape and bool((whole(found) == wanted % field.p).all())


@EVERY
def test_elements_are_remainders_of_any_integers(p: int) -> None:
    values = [0, 1, -1, p, -p, p - 1, 2**63 - 1, -(2**63), 2**64, 10**40, -(10**40)]
    assert Field(p).elements(values).tolist() == [value % p for value in values]
    assert int(Field(p).elements(-5)) == -5 % p


def test_integers_on_both_sides_of_what_a_word_holds() -> None:
    """NumPy makes floating-point numbers of such a list."""
    assert Field().elements([2**63, 1, -1]).tolist() == [2**63 % PRIME, 1, PRIME - 1]


@EVERY
@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64])
def test_every_integer_dtype_is_taken(dtype: type[np.integer], p: int) -> None:
    limits = np.iinfo(dtype)
    values = [limits.min, 0, 1, 7, limits.max]
    found = Field(p).elements(np.array(values, dtype))
    assert found.dtype == np.uint64 and found.tolist() == [value % p for value in values]


def test_what_is_given_stays_as_it_is() -> None:
    given = np.array([-1, 2**40], np.int64)
    Field(7).elements(given)
    assert given.tolist() == [-1, 2**40]


@pytest.mark.parametrize("values", [[0.5], [1.0], [True], ["1"], [[1, 2], [None, 1]], [1j], [float("nan")]])
def test_what_is_no_integer_is_refused(values: list) -> None:
    with pytest.raises(InputError, match="integers"):
        Field().elements(values)


def test_nothing_has_no_elements_and_keeps_its_shape() -> None:
    for shape in ((0,), (0, 3), (2, 0)):
        found = Field().elements(np.zeros(shape))
        assert found.shape == shape and found.dtype == np.uint64


@pytest.mark.parametrize("p", [2, 3, 5, 7, 46337, 65537, 2**31 - 61, SECOND_PRIME, PRIME])
def test_primes_are_taken(p: int) -> None:
    assert Field(p).p == p


@pytest.mark.parametrize("p", [-(2**31 - 1), -7, -1, 0, 1, 2**31, 2**31 + 11, 2**61 - 1])
def test_moduli_out_of_range_are_refused(p: int) -> None:
    with pytest.raises(InputError, match=str(p)):
        Field(p)


@pytest.mark.parametrize(
    "p, factor",
    [(4, 2), (9, 3), (25, 5), (561, 3), (65537 * 32749, 32749), (46337**2, 46337), (2**31 - 2, 2), (2**31 - 3, 5)],
)
def test_composite_moduli_are_refused_with_a_factor(p: int, factor: int) -> None:
    with pytest.raises(InputError, match=rf"{p}\b.* {factor} times {p // factor}\b"):
        Field(p)


@EVERY
def test_remainders_of_any_word(p: int) -> None:
    edges = [0, 1, p - 1, p, p + 1, 2 * p, 2**31 - 1, 2**31, 2**32, 2**62, 2**63, p * p, MOST - 1, MOST]
    multiples = [MOST // p * p, MOST // p * p - 1]
    more = np.random.default_rng(0).integers(0, MOST, 1000, np.uint64, endpoint=True)
    x = np.concatenate([np.array(edges + multiples, np.uint64), more])
    wanted = whole(x)
    found = Field(p).reduced(x)
    assert same(Field(p), found, wanted)
    assert np.shares_memory(found, x)


@EVERY
@pytest.mark.parametrize("terms", range(1, 12))
def test_sums_of_the_largest_products_do_not_overflow(terms: int, p: int) -> None:
    """Also where a remainder of p - 1 stands before the next four."""
    largest = np.full((2, 3), p - 1, np.uint64)
    found = Field(p).sum_of_products((largest, largest) for _ in range(terms))
    assert found.tolist() == [[terms * (p - 1) ** 2 % p] * 3] * 2


@EVERY
@pytest.mark.parametrize("terms", [1, 4, 5, 8, 9, 11])
def test_sums_of_products_broadcast(terms: int, p: int) -> None:
    field = Field(p)
    pairs = [(drawn(field, 3, 1, seed=i), drawn(field, 5, seed=i + 99)) for i in range(terms)]
    kept = [(a.copy(), b.copy()) for a, b in pairs]
    wanted = np.sum([whole(a) * whole(b) for a, b in pairs], axis=0)
    assert same(field, field.sum_of_products(pairs), wanted)
    assert all((a == c).all() and (b == d).all() for (a, b), (c, d) in zip(pairs, kept, strict=True))


@EVERY
@pytest.mark.parametrize("exponent", [1, 2, 3, 4, 5, 6, 7, 30, 31, 65536, 2**31])
def test_powers(exponent: int, p: int) -> None:
    x = drawn(Field(p), 17)
    kept = x.copy()
    found = Field(p).power(x, exponent)
    assert found.tolist() == [pow(value, exponent, p) for value in kept.tolist()]
    found[:] = 0
    assert (x == kept).all(), "the power is the base itself"


@EVERY
@pytest.mark.parametrize(
    "rows, inner, columns", [(3, 0, 2), (1, 1, 1), (5, 257, 3), (0, 4, 2), (2, 7, 0), (13, 31, 17)]
)
def test_matrix_products(rows: int, inner: int, columns: int, p: int) -> None:
    field = Field(p)
    a, b = drawn(field, rows, inner), drawn(field, inner, columns, seed=1)
    wanted = np.zeros((rows, columns), object) + (whole(a) @ whole(b) if inner else 0)
    assert same(field, field.product(a, b), wanted)


@pytest.mark.parametrize("p", [PRIME, SECOND_PRIME, 65537])
@pytest.mark.parametrize("value", [-1, 0x7FFEFFFF, 0xFFFF])
def test_the_longest_product_is_exact(value: int, p: int) -> None:
    """With all bits set in both limbs, or in one."""
    field, terms = Field(p), 2**20
    value %= p
    a = np.full((1, terms), value, np.uint64)
    assert int(field.product(a, a.T)[0, 0]) == terms * value**2 % p


def test_longer_products_are_refused() -> None:
    a = np.zeros((1, 2**20 + 1), np.uint64)
    with pytest.raises(InputError, match="1,048,577"):
        Field().product(a, a.T)


@EVERY
def test_differences(p: int) -> None:
    field = Field(p)
    a, b = drawn(field, 50), drawn(field, 50, seed=1)
    assert same(field, field.minus(a, b), whole(a) - whole(b))
    assert not field.minus(a, a).any()


@EVERY
@pytest.mark.parametrize("n", [1, 2, 3, 31, 32, 33, 67, 130])
def test_inverses(n: int, p: int) -> None:
    """Of a product of triangular matrices, whose leading minors are none of them zero."""
    field, generator = Field(p), np.random.default_rng(n)
    lower, upper = np.tril(field.uniform(generator, n, n), -1), np.triu(field.uniform(generator, n, n), 1)
    lower[np.diag_indices(n)], upper[np.diag_indices(n)] = 1, generator.integers(1, p, n, np.uint64)
    a = field.product(lower, upper)
    kept = a.copy()
    inverse = field.inverse(a)
    one = np.eye(n, dtype=np.uint64)
    assert (a == kept).all()
    assert (field.product(inverse, a) == one).all() and (field.product(a, inverse) == one).all()


def test_a_singular_matrix_has_no_inverse() -> None:
    with pytest.raises(ValueError):
        Field(7).inverse(np.array([[1, 2], [4, 1]], np.uint64))


@EVERY
def test_uniform_elements_are_elements(p: int) -> None:
    x = Field(p).uniform(np.random.default_rng(0), 400, 3)
    assert x.shape == (400, 3) and x.dtype == np.uint64
    assert x.max() < p and (x.max() == p - 1 if p < 8 else x.max() > 0.9 * p)
    assert len(np.unique(x)) == p if p < 8 else len(np.unique(x)) > 1000

"""Ranks, against elimination in Python's integers, and of matrices whose rank is known."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import ArrayLike

from hypermixer.errors import InputError
from hypermixer.expressivity.field import PRIME, SECOND_PRIME, Elements, Field
from hypermixer.expressivity.rank import rank, rank_mod


def plain_rank(matrix: ArrayLike, p: int) -> int:
    """Gauss, row by row, modulo p; over the rational numbers for p = 0."""
    rows: list[list[Any]] = [
        [value % p if p else Fraction(value) for value in row] for row in np.asarray(matrix).tolist()
    ]
    found = 0
    for column in range(len(rows[0]) if rows else 0):
        pivot = next((i for i in range(found, len(rows)) if rows[i][column]), None)
        if pivot is None:
            continue
        rows[found], rows[pivot] = rows[pivot], rows[found]
        first = rows[found]
        inverse = pow(first[column], -1, p) if p else 1 / first[column]
        for i in range(found + 1, len(rows)):
            if rows[i][column]:
                factor = rows[i][column] * inverse
                rows[i] = [(a - factor * b) % p if p else a - factor * b for a, b in zip(rows[i], first, strict=True)]
        found += 1
    return found


def of_rank(field: Field, rows: int, columns: int, r: int, seed: int = 0) -> Elements:
    """A matrix of exactly this rank: the identity stands in both of its factors, at places that are drawn."""
    generator = np.random.default_rng(seed)
    left, right = field.uniform(generator, rows, r), field.uniform(generator, r, columns)
    one = np.eye(r, dtype=np.uint64)
    left[generator.permutation(rows)[:r]] = one
    right[:, generator.permutation(columns)[:r]] = one
    return field.product(left, right)


@pytest.mark.parametrize("p", [2, 3, 7, 65537, SECOND_PRIME, PRIME])
@pytest.mark.parametrize(
    "rows, columns, r",
    [(1, 1, 0), (1, 1, 1), (1, 300, 1), (300, 1, 1), (257, 300, 131), (300, 257, 256), (257, 257, 257), (513, 40, 39)],
)
def test_known_ranks(rows: int, columns: int, r: int, p: int) -> None:
    field = Field(p)
    matrix = of_rank(field, rows, columns, r)
    kept = matrix.copy()
    assert rank(field, matrix) == r
    assert (matrix == kept).all()


def test_more_columns_than_a_few_panels() -> None:
    field = Field()
    assert rank(field, of_rank(field, 530, 800, 517)) == 517
    assert rank(field, of_rank(field, 800, 530, 517)) == 517


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0)])
def test_nothing_has_rank_zero(shape: tuple[int, int]) -> None:
    assert rank_mod(np.zeros(shape, int)) == 0
    assert rank_mod(np.zeros(shape)) == 0


@pytest.mark.parametrize("p", [2, 3, 7, 65537, PRIME])
@pytest.mark.parametrize(
    "rows, columns", [(1, 9), (9, 1), (7, 8), (8, 9), (9, 7), (16, 17), (23, 5), (3, 60), (40, 40), (21, 65)]
)
def test_it_is_what_plain_elimination_finds(rows: int, columns: int, p: int) -> None:
    """Entries of few values: over small primes such matrices are often singular, and pivots are missing anywhere."""
    for seed in range(6):
        generator = np.random.default_rng([seed, rows, columns])
        matrix = generator.integers(-2, 3, (rows, columns)) * (generator.random((rows, columns)) < 0.4)
        assert rank_mod(matrix, p) == plain_rank(matrix, p)


@pytest.mark.parametrize("p", [2, 7, PRIME])
def test_zero_and_repeated_lines_add_nothing(p: int) -> None:
    """Such that whole panels hold no pivot, or some of their columns do not."""
    field, generator = Field(p), np.random.default_rng(1)
    core = of_rank(field, 45, 70, 33)
    wide = np.concatenate([np.zeros((45, 260), np.uint64), core, core[:, ::-1], core[:, :1]], axis=1)
    tall = np.concatenate([wide, np.zeros((3, wide.shape[1]), np.uint64), wide[:11], wide])
    for matrix in (core, wide, tall, tall.T):
        assert rank(field, np.ascontiguousarray(matrix)) == 33
        shuffled = matrix[generator.permutation(len(matrix))][:, generator.permutation(matrix.shape[1])]
        assert rank(field, shuffled) == 33


@pytest.mark.parametrize("p", [3, PRIME])
def test_rows_in_any_order_have_the_same_rank(p: int) -> None:
    """Of a matrix with zeros on its diagonal, and of permutations."""
    n = 270
    matrix = np.triu(np.random.default_rng(0).integers(0, p, (n, n)), 1)
    matrix[np.arange(n - 1), np.arange(1, n)] = 1
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(n)
        assert rank_mod(matrix[order], p) == n - 1
        assert rank_mod(np.eye(n, dtype=int)[order], p) == n


def test_the_rank_over_the_rational_numbers_is_never_smaller() -> None:
    singular_mod_7 = [[1, 2, 3], [4, 5, 6], [7, 8, 16]]  # its determinant is -21
    assert [rank_mod(singular_mod_7, p) for p in (2, 3, 5, 7, 11, PRIME)] == [3, 2, 3, 2, 3, 3]
    assert plain_rank(singular_mod_7, 0) == 3
    assert rank_mod([[7, 14], [21, 7]], 7) == 0
    generator = np.random.default_rng(0)
    for _ in range(40):
        matrix = generator.integers(-3, 4, (5, 6))
        assert all(rank_mod(matrix, p) <= plain_rank(matrix, 0) for p in (2, 3, 7, PRIME))
        assert rank_mod(matrix, PRIME) == plain_rank(matrix, 0)


def test_integers_of_any_size_and_sign() -> None:
    assert rank_mod([[10**30, -1], [-(10**60), 10**30]]) == 1
    assert rank_mod([[PRIME, 1], [2 * PRIME, 2]]) == 1
    assert rank_mod([[-1, 1], [1, 1]]) == 2
    assert rank_mod(np.array([[2**63, 1], [2**64 - 1, 7]], np.uint64)) == 2


@pytest.mark.parametrize("matrix", [[1, 2], 3, [[[1]]], []])
def test_only_a_matrix_has_a_rank(matrix: ArrayLike) -> None:
    with pytest.raises(InputError, match="matrix"):
        rank_mod(matrix)


@pytest.mark.parametrize(
    "matrix", [[[1, 2], [3]], [[1], 2], [[[1, 2]], [[3]]], [[1, 2], None, [3, 4]]], ids=["rows", "row", "depth", "none"]
)
def test_rows_of_unequal_length_are_refused(matrix: Any) -> None:
    with pytest.raises(InputError, match="These numbers make no array"):
        rank_mod(matrix)


def test_tensors_are_matrices_unless_they_are_in_a_graph() -> None:
    tensor = torch.tensor([[1, 2, 3], [2, 4, 6], [0, 0, -1]])
    assert rank_mod(tensor) == rank_mod(tensor.to(torch.int8)) == 2
    with pytest.raises(InputError, match="integers"):
        rank_mod(tensor.double())
    for inside in (tensor.double().requires_grad_(), tensor.double().requires_grad_() * 2):
        with pytest.raises(InputError, match="These numbers make no array"):
            rank_mod(inside)  # pyright: ignore[reportArgumentType] - that is the point


@pytest.mark.parametrize("matrix, p", [([[0.5]], PRIME), ([["a"]], PRIME), ([[1]], 6), ([[1]], 2**31), ([[1]], 1)])
def test_bad_requests_are_refused(matrix: ArrayLike, p: int) -> None:
    with pytest.raises(InputError):
        rank_mod(matrix, p)

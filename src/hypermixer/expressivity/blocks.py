"""Ranks beyond one grid: a homogeneous polynomial falls apart by its degree in the second side's input.

f(x_A, s x_B) is a polynomial in s whose coefficients are those parts. They have no monomial in common, so their ranks
add up to that of f; each is found from a grid of its own, interpolated from grids at as many values of s.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from hypermixer.expressivity.counts import monomials
from hypermixer.expressivity.field import Elements, Field
from hypermixer.expressivity.grid import Function, Watch, grid
from hypermixer.expressivity.rank import rank
from hypermixer.expressivity.spec import PolyMixerSpec, degree

#: Points are drawn at random: of a small field's, too many would coincide.
LEAST_PRIME = 2**16
#: Pairs of templates that are interpolated together.
_AT_ONCE = 2**20


@dataclass(frozen=True)
class Block:
    """The part of one degree.

    Attributes:
        degree: in the second side's input.
        upper: bound of its rank.
        templates: of either side.
        rank: 0 before it is computed.
    """

    degree: int
    upper: int
    templates: int
    rank: int = 0

    @property
    def saturated(self) -> bool:
        """Whether the rank could be larger: it is that of all templates, and below its bound."""
        return self.rank == self.templates < self.upper

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def block_plan(spec: PolyMixerSpec, count: int | None, margin: int) -> tuple[Block, ...]:
    """The blocks that are not zero, with as many templates as their bounds ask for, `count` at most."""
    blocks = []
    for of_second in range(degree(spec) + 1):
        upper = _upper(spec, of_second)
        if upper:
            blocks.append(Block(of_second, upper, upper + margin if count is None else min(count, upper + margin)))
    return tuple(blocks)


def _upper(spec: PolyMixerSpec, of_second: int) -> int:
    """Bound of the rank of the part of this degree in the second side's input; 0: there is none."""
    total, d = degree(spec), spec.width
    first, second = (d * len(side) for side in spec.sides)
    if spec.kind == "static":
        first, second = (min(size, d * spec.hidden) for size in (first, second))
    plain = min(monomials(second, of_second), monomials(first, total - of_second))
    if not spec.moments:
        return plain
    n, bound = d * (d + 1) // 2, 0
    for side in (0, 1) if spec.readout == "mean" else (int(spec.readout == "second"),):
        # A token of the side that is read stands alone, all others in pairs.
        others = of_second if side == 0 else total - of_second
        if others % 2 == 0:
            bound += min(monomials(n, others // 2), d * monomials(n, (total - 1 - others) // 2))
    return min(plain, bound)


def block_ranks(
    function: Function,
    spec: PolyMixerSpec,
    field: Field,
    plan: Sequence[Block],
    first: Elements,
    second: Elements,
    watch: Watch | None = None,
) -> tuple[Block, ...]:
    """The blocks with their ranks.

    Args:
        function: [N, D, P] -> [P].
        plan: from `block_plan`.
        first, second: templates, as many as the largest block has.
        watch: told of inputs evaluated and inputs in all.
    """
    size = len(first)
    points, weights = _interpolation(field, [block.degree for block in plan])
    values = np.empty((len(plan), size, size), np.uint64)
    for number, point in enumerate(points):
        told = None if watch is None else _after(watch, number, len(plan), size**2)
        values[number] = grid(function, spec, first, field.reduced(second * point), told)
    flat = values.reshape(len(plan), -1)
    for start in range(0, flat.shape[1], _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        flat[:, part] = field.product(weights, flat[:, part])
    return tuple(
        replace(block, rank=rank(field, matrix[: block.templates, : block.templates]))
        for block, matrix in zip(plan, values, strict=True)
    )


def _interpolation(field: Field, degrees: Sequence[int]) -> tuple[Elements, Elements]:
    """Points s, and the matrix that takes values there to the coefficients of s^degree."""
    generator = np.random.default_rng(len(degrees))
    while True:
        points = field.uniform(generator, len(degrees))
        powers = np.array([[pow(int(s), d, field.p) for d in degrees] for s in points], np.uint64)
        try:
            inverse = field.inverse(powers)
        except ValueError:  # not invertible: a leading minor is zero
            continue
        if (field.product(inverse, powers) == np.eye(len(degrees), dtype=np.uint64)).all():
            return points, inverse


def _after(watch: Watch, number: int, count: int, size: int) -> Watch:
    return lambda done, _: watch(number * size + done, count * size)

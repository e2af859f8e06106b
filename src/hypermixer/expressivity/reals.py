"""The same networks in float64, with normal weights: what a numerical rank makes of them."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from hypermixer.expressivity.forward import network
from hypermixer.expressivity.grid import grid, templates
from hypermixer.expressivity.spec import PolyMixerSpec

Floats = NDArray[np.float64]


class Reals:
    """The arithmetic of `Field` on float64; nothing is exact."""

    def uniform(self, generator: np.random.Generator, *shape: int) -> Floats:
        """Not uniform here: normal, as weights and embeddings are."""
        return generator.standard_normal(shape)

    def reduced(self, x: Floats) -> Floats:
        return x

    def sum_of_products(self, pairs: Iterable[tuple[Floats, Floats]]) -> Floats:
        return sum((a * b for a, b in pairs), start=np.zeros(()))

    def power(self, x: Floats, exponent: int) -> Floats:
        return x**exponent

    def product(self, a: Floats, b: Floats) -> Floats:
        return a @ b


def polynomial_spectrum(spec: PolyMixerSpec, count: int = 300, seed: int = 0) -> Floats:
    """Singular values of the grid of a spec with normal weights and templates, falling, the largest being 1."""
    field = Reals()
    net = network(spec, field, seed)  # pyright: ignore[reportArgumentType] - the same operations
    first, second = templates(spec, field, count, seed)  # pyright: ignore[reportArgumentType]
    values = np.linalg.svd(grid(net, spec, first, second), compute_uv=False)
    return values / values[0]

"""The grid matrix of a network: its output at every pair of a template of one side and one of the other."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from hypermixer.cores import cores
from hypermixer.expressivity.field import Elements, Field
from hypermixer.expressivity.forward import joined
from hypermixer.expressivity.spec import PolyMixerSpec

#: Inputs that are evaluated together, at most, and numbers that these may take: what they need stays near.
_AT_ONCE, _WORDS = 8192, 2**20
#: Called with inputs evaluated and inputs in all.
Watch = Callable[[int, int], None]
#: [N, D, P] -> [P].
Function = Callable[[Elements], Elements]


def templates(spec: PolyMixerSpec, field: Field, count: int, seed: int) -> tuple[Elements, Elements]:
    """Uniform inputs of either side: [count, |A|, D] and [count, |B|, D]."""
    generator = np.random.default_rng([seed, 1])
    first, second = (field.uniform(generator, count, len(side), spec.width) for side in spec.sides)
    return first, second


def inputs_at_once(words: int) -> int:
    """How many inputs a core evaluates together if one takes so many numbers."""
    return max(1, min(_AT_ONCE, _WORDS // words))


def grid(
    function: Function,
    spec: PolyMixerSpec,
    first: Elements,
    second: Elements,
    watch: Watch | None = None,
    *,
    words: int | None = None,
) -> Elements:
    """[r, |A|, D] and [s, |B|, D] -> [r, s], evaluated by all cores; an input takes `words`, or the spec's, there."""
    rows, columns = len(first), len(second)
    matrix = np.empty((rows, columns), first.dtype)
    at_once = inputs_at_once(words or spec.words)
    height, breadth = max(1, at_once // columns), min(columns, at_once)
    parts = [(i, j) for i in range(0, rows, height) for j in range(0, columns, breadth)]

    def evaluate(part: tuple[int, int]) -> int:
        down, across = (slice(start, start + size) for start, size in zip(part, (height, breadth), strict=True))
        block = matrix[down, across]
        block[:] = function(joined(spec, first[down], second[across])).reshape(block.shape)
        return block.size

    done = 0
    with ThreadPoolExecutor(cores()) as pool:
        for size in pool.map(evaluate, parts):
            done += size
            if watch is not None:
                watch(done, matrix.size)
    return matrix

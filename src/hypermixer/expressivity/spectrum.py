"""Singular values of a real encoder's grid: all of them, since no tolerance makes one honest rank of them.

With softmax, GELU or layer norms the separation rank is infinite in general, and what float64 calls a rank depends on
where one stops to count: see docs/expressivity.md.
"""

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hypermixer.errors import InputError
from hypermixer.expressivity.encoders import encoder_in, module_of, width_of
from hypermixer.expressivity.separation import require_memory
from hypermixer.expressivity.spec import PolyMixerSpec, whole_number
from hypermixer.mixers import Sequences, TokenMixer

#: Where to cut, relative to the largest singular value, when several answers are to be shown.
TOLERANCES = (1e-1, 1e-2, 1e-3, 1e-6, 1e-9, 1e-12)
#: Inputs that are evaluated together.
_AT_ONCE = 4096


@dataclass(frozen=True)
class Spectrum:
    """Singular values of a grid matrix.

    Attributes:
        values: falling, float64, as many as there are templates.
        templates: of either side.
        tokens, seed: of the inputs.
    """

    values: NDArray[np.float64]
    templates: int
    tokens: int
    seed: int

    def above(self, tolerances: tuple[float, ...] = TOLERANCES) -> dict[float, int]:
        """How many lie above each tolerance, relative to the largest: another "rank" for each."""
        return {tolerance: int((self.values > tolerance * self.values[0]).sum()) for tolerance in tolerances}

    def as_dict(self) -> dict[str, Any]:
        return {
            "values": self.values.tolist(), "templates": self.templates, "tokens": self.tokens, "seed": self.seed,
            "above": {f"{tolerance:g}": count for tolerance, count in self.above().items()},
        }  # fmt: skip


def epsilon_spectrum(
    module: Any, *, tokens: int, width: int | None = None, count: int = 300, seed: int = 0, readout: str = "first"
) -> Spectrum:
    """All singular values of the grid of an encoder or token mixer, evaluated in float64 without dropout.

    Args:
        module: an encoder of this library or a model that holds one, whose embeddings are replaced by normal vectors;
            a token mixer; or any module that takes [B, N, D] to [B, N, D].
        tokens: N, even: the two halves are the two sides.
        width: D; None: that of the encoder or mixer.
        count: templates of either side, M: the grid is [M, M].
        seed: of the templates.
        readout: the coordinate that is read, as of `PolyMixerSpec`.

    Raises:
        InputError: no width, or a number out of range.
    """
    count, seed = whole_number("count", count, 1), whole_number("seed", seed, 0)
    require_memory(8 * 3 * count**2, force=False, forcible=False)
    found = module_of(module)
    if found is None:
        raise InputError(f"A {type(module).__name__} is no module.")
    function, own = _function(copy.deepcopy(found).cpu().double().eval())
    width = width or own
    if width is None:
        raise InputError(f"The width of a {type(module).__name__} is not known: give width.")
    sides = PolyMixerSpec(kind="linear", depth=1, width=width, tokens=tokens, readout=readout).sides
    generator = torch.Generator().manual_seed(seed)
    first, second = (torch.randn(count, len(side), width, generator=generator, dtype=torch.float64) for side in sides)
    read = slice(None) if readout == "mean" else slice(*((t := sides[readout == "second"][0]), t + 1))
    rows, height = [], max(1, _AT_ONCE // count)
    with torch.no_grad():
        for start in range(0, count, height):
            part = first[start : start + height]
            x = torch.empty(len(part) * count, tokens, width, dtype=torch.float64)
            x[:, list(sides[0])] = part.repeat_interleave(count, 0)
            x[:, list(sides[1])] = second.repeat(len(part), 1, 1)
            rows.append(function(x)[:, read, 0].mean(1).view(len(part), count))
    return Spectrum(torch.linalg.svdvals(torch.cat(rows)).numpy(), count, int(tokens), seed)


def _function(module: nn.Module) -> tuple[Any, int | None]:
    """What takes [B, N, D] to [B, N, D], and D where the module tells it."""
    encoder = encoder_in(module)
    if encoder is not None:

        def blocks(x: Tensor) -> Tensor:
            sequences = Sequences.padded(x)
            for block in encoder.blocks:
                x = block(x, sequences)
            return encoder.norm(x)

        return blocks, width_of(encoder)
    if isinstance(module, TokenMixer):
        return lambda x: module(x, Sequences.padded(x)), module.d_model
    return module, getattr(module, "d_model", None)

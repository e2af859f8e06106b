"""The polynomial twin of an encoder of this library: its own weights, rounded, in a network of polynomials.

Softmax, layer norms and dropout are left out, each activation becomes a power, and each weight the nearest multiple of
2^-bits, which a field of odd characteristic holds exactly. What is found is the rank of that network, not of the one
it was made from: the caveat stands in every result.
"""

from dataclasses import asdict, dataclass
from typing import Any

from torch import nn

from hypermixer.encoder import Block, Encoder
from hypermixer.errors import InputError
from hypermixer.expressivity.counts import smaller_of_monomials
from hypermixer.expressivity.field import PRIME, Elements, Field
from hypermixer.expressivity.grid import Watch, grid, templates
from hypermixer.expressivity.rank import rank
from hypermixer.expressivity.separation import MARGIN, memory, require_memory
from hypermixer.expressivity.spec import PolyMixerSpec
from hypermixer.expressivity.twin_layers import Maker

CAVEAT = (
    "This is the rank of a polynomial network with the model's weights, rounded, without softmax, layer norms and"
    " dropout and with powers for activations. It is a lower bound for that network, and says nothing of the accuracy"
    " of the model."
)
#: Words of 8 bytes that a part of a grid may take.
_WORDS = 2**24


@dataclass(frozen=True)
class TwinRank:
    """The separation rank of a twin.

    Attributes:
        rank: exact, or a lower bound where `saturated`.
        saturated: whether the rank is that of all templates.
        templates: of either side.
        upper: for any polynomial of this degree.
        degree: of the twin's output in its input.
        prime, bits, seed: of the arithmetic, of rounding, of the templates.
        caveat: what the number is not.
    """

    rank: int
    saturated: bool
    templates: int
    upper: int
    degree: int
    prime: int
    bits: int
    seed: int
    caveat: str = CAVEAT

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class Twin:
    """A network of polynomials with the weights of an encoder; from `polynomial_twin`."""

    def __init__(self, encoder: Encoder, sides: PolyMixerSpec, field: Field, act_degree: int, bits: int) -> None:
        self.field, self.bits = field, bits
        self._sides, self._maker = sides, Maker(field, sides.tokens, act_degree, bits)
        self._steps = [self._maker.block(block) for block in encoder.blocks if isinstance(block, Block)]
        self.degree = self._maker.degree

    @property
    def upper(self) -> int:
        """Of any polynomial of this degree."""
        first, second = (self._sides.width * len(side) for side in self._sides.sides)
        return smaller_of_monomials(second, first, self.degree)

    def __call__(self, x: Elements) -> Elements:
        """What comes out of the embeddings [N, D, P] -> one coordinate of the output [P]."""
        for step in self._steps:
            x = step(x)
        if self._sides.readout == "mean":
            return self.field.reduced(x[:, 0].sum(0))
        return x[self._sides.sides[self._sides.readout == "second"][0], 0]

    def separation_rank(
        self, count: int | None = None, *, seed: int = 0, force: bool = False, watch: Watch | None = None
    ) -> TwinRank:
        """The rank of the twin at `count` templates of either side; None: a few beyond its bound, 256 at most.

        Raises:
            InputError: a count below 1, or too much memory that nobody insists on.
        """
        if count is not None and count < 1:
            raise InputError(f"templates must be at least 1, got {count}.")
        count = min(self.upper + MARGIN, 256) if count is None else count
        require_memory(memory(count, 1), force)
        first, second = templates(self._sides, self.field, count, seed)
        at_once = max(1, _WORDS // self._maker.words)
        found = rank(self.field, grid(self, self._sides, first, second, watch, at_once=at_once))
        return TwinRank(
            found, found == count < self.upper, count, self.upper, self.degree, self.field.p, self.bits, seed
        )


def polynomial_twin(
    model: nn.Module,
    *,
    tokens: int,
    act_degree: int = 2,
    bits: int = 30,
    prime: int = PRIME,
    readout: str = "first",
) -> Twin:
    """The polynomial twin of an encoder, or of the encoder in a model.

    Args:
        model: an `Encoder`, or a model of this library that holds one.
        tokens: of its input, N, even: the two halves are the two sides.
        act_degree: of the power that stands for an activation, k.
        bits: weights become multiples of 2^-bits.
        prime: modulus.
        readout: as of `PolyMixerSpec`.

    Raises:
        InputError: no encoder in there, a mixer without a polynomial twin, or a number out of range.
    """
    encoder = next((module for module in model.modules() if isinstance(module, Encoder)), None)
    if encoder is None:
        raise InputError(f"There is no encoder of this library in a {type(model).__name__}.")
    if not 0 <= bits <= 40:
        raise InputError(f"bits must be from 0 to 40, got {bits}.")
    if act_degree < 1:
        raise InputError(f"act_degree must be at least 1, got {act_degree}.")
    if prime == 2:
        raise InputError("A twin needs an odd prime: its weights are halves of halves.")
    width = next(iter(encoder.embeddings.parameters())).shape[-1]
    sides = PolyMixerSpec(kind="linear", depth=1, width=width, tokens=tokens, readout=readout)
    return Twin(encoder, sides, Field(prime), act_degree, bits)

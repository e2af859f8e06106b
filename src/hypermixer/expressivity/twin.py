"""The polynomial twin of an encoder of this library: its own weights, rounded, in a network of polynomials.

Softmax, layer norms and dropout are left out, each activation becomes a power, and each weight the nearest multiple of
2^-bits, which a field of odd characteristic holds exactly. What is found is the rank of that network, not of the one
it was made from: the caveat stands in every result.
"""

from dataclasses import asdict, dataclass
from typing import Any

from hypermixer.encoder import Block, Encoder
from hypermixer.errors import InputError
from hypermixer.expressivity.counts import smaller_of_monomials
from hypermixer.expressivity.encoders import encoder_in, width_of
from hypermixer.expressivity.field import PRIME, Elements, Field
from hypermixer.expressivity.grid import Watch, grid, templates
from hypermixer.expressivity.rank import rank
from hypermixer.expressivity.separation import MARGIN, check_bound, memory, require_memory
from hypermixer.expressivity.spec import PolyMixerSpec, whole_number
from hypermixer.expressivity.twin_layers import Maker

CAVEAT = (
    "This is the rank of a polynomial network with the model's weights, rounded, without softmax and its scale, layer"
    " norms and dropout, and with powers for activations. It is a lower bound for that network, and says nothing of the"
    " accuracy of the model."
)


#: More than any weight has.
_MOST_BITS = 500


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
        self._sides, self._maker = sides, Maker(field, sides.tokens, sides.width, act_degree, bits)
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
        count = min(self.upper + MARGIN, 256) if count is None else whole_number("templates", count, 1)
        seed, words = whole_number("seed", seed, 0), self._maker.words
        require_memory(memory(count, 1, self._sides, words), force)
        first, second = templates(self._sides, self.field, count, seed)
        found = rank(self.field, grid(self, self._sides, first, second, watch, words=words))
        check_bound(found, self.upper)
        return TwinRank(
            found, found == count < self.upper, count, self.upper, self.degree, self.field.p, self.bits, seed
        )


def polynomial_twin(
    model: Any,
    *,
    tokens: int,
    act_degree: int = 2,
    bits: int = 30,
    prime: int = PRIME,
    readout: str = "first",
) -> Twin:
    """The polynomial twin of an encoder, or of the encoder in a model.

    Args:
        model: an `Encoder`, a model of this library that holds one, or a `TextClassifier`.
        tokens: of its input, N, even: the two halves are the two sides.
        act_degree: of the power that stands for an activation, k.
        bits: weights become multiples of 2^-bits.
        prime: modulus.
        readout: as of `PolyMixerSpec`.

    Raises:
        InputError: no encoder in there, a mixer without a polynomial twin, or a number out of range.
    """
    encoder = encoder_in(model)
    if encoder is None:
        raise InputError(f"There is no encoder of this library in a {type(model).__name__}.")
    bits, act_degree = whole_number("bits", bits, 0), whole_number("act_degree", act_degree, 1)
    if bits > _MOST_BITS:
        raise InputError(f"bits must be at most {_MOST_BITS}, got {bits}.")
    if prime == 2:
        raise InputError("A twin needs an odd prime: its weights are halves of halves.")
    sides = PolyMixerSpec(kind="linear", depth=1, width=width_of(encoder), tokens=tokens, readout=readout)
    return Twin(encoder, sides, Field(prime), act_degree, bits)

"""Which exact form evaluates a HyperMixing call: decided by the shapes alone, in closed form.

`factored` moves the hypernetworks' second layer behind the sum over tokens: its cost per token no longer holds K, its
cost per sequence is 2 K R D/H. `direct` forms W1 and W2. Multiply-adds per sequence (H heads, R = D/H):

    direct    N (D R + R K) + 2 N K D/H            tied; untied adds M (D R + R K)
    factored  3 N D R + 2 K R D/H                  tied; untied adds M D R

Both evaluate the [K/H, D/H] hidden activations of the sequences in blocks that stay in cache.
"""

from dataclasses import asdict, dataclass
from typing import Literal

from hypermixer.errors import InputError, nearest

Form = Literal["direct", "factored"]
FORMS: tuple[Form, ...] = ("direct", "factored")


@dataclass(frozen=True)
class Constants:
    """The plan's fitted constants.

    Attributes:
        crossover: multiply-adds that `factored` may cost for each one that `direct` costs, and still be taken.
        block_bytes: what is evaluated at a time, in bytes: hidden activations [K/H, D/H] and, where they are formed,
            generated weights [N, K/H] and [M, K/H].
    """

    crossover: float = 1.0
    block_bytes: int = 8 * 2**20


CONSTANTS = Constants()


@dataclass(frozen=True)
class Shape:
    """Sizes of one call: B sequences, N keys, M queries, width D, K hidden over all heads, H heads."""

    batch: int
    keys: int
    queries: int
    width: int
    hidden: int
    heads: int
    tied: bool
    element_bytes: int = 4

    def multiply_adds(self, form: Form) -> int:
        """Multiply-adds of the matrix products of one sequence, hypernetworks included, biases left out."""
        r = self.width // self.heads
        networks = self.keys if self.tied else self.keys + self.queries
        per_sequence = networks * self.width * r
        if form == "direct":
            return per_sequence + networks * r * self.hidden + (self.keys + self.queries) * self.hidden * r
        return per_sequence + (self.keys + self.queries) * r * self.width + 2 * self.hidden * r * r


@dataclass(frozen=True)
class Plan:
    """How a call is evaluated: the form, and how many [K/H, D/H] hidden activations at a time."""

    form: Form
    block: int

    def as_dict(self) -> dict[str, str | int]:
        return asdict(self)


def plan(shape: Shape, form: str | None = None, constants: Constants = CONSTANTS) -> Plan:
    """The cheaper form for these sizes, or the given one.

    Raises:
        InputError: `form` is not one of `FORMS`.
    """
    if form is None:
        factored, direct = shape.multiply_adds("factored"), shape.multiply_adds("direct")
        form = "factored" if factored <= constants.crossover * direct else "direct"
    if form not in FORMS:
        raise InputError(f"Unknown form '{form}': {nearest(form, FORMS)}")
    rows = shape.width // shape.heads + (shape.keys + shape.queries if form == "direct" else 0)
    per_sequence = max(1, rows * (shape.hidden // shape.heads) * shape.element_bytes)
    return Plan("direct" if form == "direct" else "factored", max(1, constants.block_bytes // per_sequence))

"""Which exact form evaluates a HyperMixing call, and how much at a time: from the shapes alone, in closed form.

`factored` moves the hypernetworks' second layer behind the sum over tokens: its cost per token no longer holds K, its
cost per sequence is 2 K R D/H. `direct` forms W1 and W2. Multiply-adds per sequence (H heads, R = D/H):

    direct    N (D R + R K) + 2 N K D/H            tied; untied adds M (D R + R K)
    factored  3 N D R + 2 K R D/H                  tied; untied adds M D R

Both work on a part at a time that stays in cache: whole sequences for `direct`, any tokens for `factored`.
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
        crossover: multiply-adds that `factored` may cost for each one that `direct` costs, and still be taken; below 1,
            because the MLP on the state reads and writes more memory for each of them.
        block_bytes: hidden activations [K/H, D/H] that are evaluated at a time.
        chunk_bytes: tokens [N, D], or weights [N, K] generated from them, that are worked on at a time.
        each_head: whether a chunk holds the columns of one head only.
    """

    crossover: float = 0.85
    block_bytes: int = 8 * 2**20
    chunk_bytes: int = 2 * 2**20
    each_head: bool = False


#: The compiled kernels hold one hidden activation at a time. A GPU has no cache to stay in: its blocks bound memory.
CONSTANTS = {
    "native": Constants(crossover=1.0, block_bytes=0, chunk_bytes=2**17, each_head=True),
    "cpu": Constants(),
    "cuda": Constants(block_bytes=2**30, chunk_bytes=2**40),
}


def constants_for(kind: str) -> Constants:
    """Those of the compiled kernels or of a kind of device; of a GPU where none are known."""
    return CONSTANTS.get(kind, CONSTANTS["cuda"])


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

    def multiply_adds_backward(self, form: Form) -> int:
        """Likewise for the backward pass of one sequence, with what it evaluates again."""
        r = self.width // self.heads
        networks = self.keys if self.tied else self.keys + self.queries
        per_sequence = 2 * networks * self.width * r
        if form == "direct":
            products = 3 * networks * r * self.hidden
            return per_sequence + products + (3 * self.keys + 2 * self.queries) * self.hidden * r
        return per_sequence + 2 * (self.keys + self.queries) * r * self.width + 5 * self.hidden * r * r


@dataclass(frozen=True)
class Plan:
    """How a call is evaluated.

    Attributes:
        form: which one.
        block: [K/H, D/H] hidden activations at a time.
        chunk: tokens at a time.
    """

    form: Form
    block: int
    chunk: int

    def as_dict(self) -> dict[str, str | int]:
        return asdict(self)


def plan(shape: Shape, form: str | None = None, constants: Constants = CONSTANTS["cpu"]) -> Plan:
    """The cheaper form for these sizes, or the given one.

    Raises:
        InputError: `form` is not one of `FORMS`.
    """
    if form is None:
        factored, direct = shape.multiply_adds("factored"), shape.multiply_adds("direct")
        form = "factored" if factored <= constants.crossover * direct else "direct"
    if form not in FORMS:
        raise InputError(f"Unknown form '{form}': {nearest(form, FORMS)}")
    hidden_bytes = shape.width * shape.hidden // shape.heads**2 * shape.element_bytes
    token_bytes = (max(shape.width, shape.hidden) if form == "direct" else shape.width) * shape.element_bytes
    token_bytes //= shape.heads if constants.each_head else 1
    block, chunk = constants.block_bytes // hidden_bytes, constants.chunk_bytes // token_bytes
    return Plan("direct" if form == "direct" else "factored", max(1, block), max(1, chunk))

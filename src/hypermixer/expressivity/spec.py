"""The polynomial twin of a token mixer: no softmax, no normalisation, a power in place of each activation.

One layer on tokens X [N, D], with a channel matrix C [D, D], powers element by element:

    attention     Y = sum over heads of ((X Wq') (X Wk')') (X Wv') Wo'
    hypermixing   Y = H1 (H2' X)^k C     H1 = X A, H2 = X B [N, T]; of degree m: H1 = (X A1)^m A2, A1 [D, T]
    static        Y = W2 (W1 X)^k C      W1 [T, N], W2 [N, T]
    gmlp          Y = ((X U) * (W (X V))) C
    linear        Y = W X C

and then (...)^q for a channel MLP of degree q, + X with residual connections. Only the degrees matter to what follows,
and which tokens a product may take its factors from.
"""

import dataclasses
import operator
from dataclasses import dataclass
from typing import Any

from hypermixer.errors import InputError, nearest
from hypermixer.options import checked, option

KINDS = ("attention", "hypermixing", "static", "gmlp", "linear")
PERMUTATIONS = ("none", "tokens", "coordinates", "shift")
READOUTS = ("first", "second", "mean")
POSITIONS = ("none", "input", "hypernet")
#: How a rank is computed: from one grid, or from one for each degree.
METHODS = ("auto", "whole", "blocks")
#: Positions of the tokens on either side.
Partition = tuple[tuple[int, ...], tuple[int, ...]]
#: Fields that mean nothing elsewhere.
_ONLY = {
    "token_hidden": ("hypermixing", "static"),
    "act_degree": ("hypermixing", "static"),
    "hypernet_degree": ("hypermixing",),
    "heads": ("attention", "hypermixing"),
    "tied": ("hypermixing",),
}


@dataclass(frozen=True, kw_only=True)
class PolyMixerSpec:
    """A network of polynomial token mixers, and how its input is cut in two.

    Raises:
        InputError: a value out of range, a field that this kind has no use for, heads that do not divide the width or
            the hidden size, or sides that are empty, overlap or do not hold all tokens.
    """

    kind: str = option("attention", "The token mixer.", choices=KINDS)
    depth: int = option(2, "Layers, L.", least=1)
    width: int = option(2, "Coordinates of a token, D.", least=1)
    tokens: int = option(4, "Tokens, N.", least=2)
    token_hidden: int | None = option(
        None, "Hidden rows of token mixing over all heads, T; none: N (static) or D + 2 H (hypermixing).", least=1
    )
    act_degree: int = option(2, "Degree of the activation between the token-mixing layers, k.", least=1)
    hypernet_degree: int = option(1, "Degree of the hypernetworks, m; 1: linear.", least=1)
    heads: int = option(1, "Heads, H.", least=1)
    residual: bool = option(False, "Add each layer's input to its output.")
    channel_degree: int = option(1, "Degree of a channel MLP after each mixing, q; 1: a matrix.", least=1)
    permutation: str = option(
        "none",
        "Between layers: a fixed permutation of tokens or of all coordinates, or channels shifted by a token.",
        choices=PERMUTATIONS,
    )
    tied: bool = option(False, "Hypermixing with one hypernetwork for both weights.")
    readout: str = option(
        "first", "One coordinate: of a token of the first side, of the second, or mean.", choices=READOUTS
    )
    positions: str = option(
        "none",
        "Position codes on the input, or on that of the hypernetworks only.",
        choices=POSITIONS,
    )
    partition: Partition | None = None

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if field.metadata:
                value = checked(getattr(self, field.name), _kind_of(field.name), field.metadata, field.name)
                object.__setattr__(self, field.name, value)
                used = _ONLY.get(field.name, KINDS)
                if self.kind not in used and value != field.default:
                    raise InputError(f"{field.name}={value} has no use in kind '{self.kind}': only {_either(used)}.")
        if self.positions == "hypernet" and self.kind != "hypermixing":
            raise InputError(f"positions='hypernet' has no use in kind '{self.kind}': only hypermixing.")
        for name, value in (("width", self.width), ("token_hidden", self.hidden)):
            if value % self.heads:
                raise InputError(f"heads={self.heads} do not divide {name}={value}.")
        object.__setattr__(self, "partition", self._sides())

    @property
    def sides(self) -> Partition:
        """Positions of the tokens on the first side, and on the second."""
        assert self.partition is not None
        return self.partition

    @property
    def hidden(self) -> int:
        """T over all heads."""
        if self.token_hidden is not None:
            return self.token_hidden
        return self.tokens if self.kind == "static" else self.width + 2 * self.heads

    @property
    def moments(self) -> bool:
        """Whether tokens reach each other by their second moment, sum of x x', alone: the second-moment lemma."""
        mixing = self.kind == "attention" or (self.kind == "hypermixing" and self.hypernet_degree == 1)
        # A permutation would put another token in the place that is read, perhaps one of the other side.
        moved = self.permutation != "none" and self.depth > 1
        return mixing and self.channel_degree == 1 and self.positions != "hypernet" and not moved

    @property
    def words(self) -> int:
        """Numbers that one input takes in the widest step of evaluation, about."""
        n, d, t, h = self.tokens, self.width, self.hidden, self.heads
        own = {
            "attention": 4 * n * d + 2 * (d // h) ** 2,
            "hypermixing": 3 * n * d + (3 * n + 2 * (d // h)) * (t // h),
            "static": 2 * n * d + 3 * t * d,
            "gmlp": 6 * n * d,
            "linear": 4 * n * d,
        }
        return own[self.kind]

    @property
    def homogeneous(self) -> bool:
        """Whether every term of the output has the same degree in the input."""
        return not self.residual and self.positions == "none"

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return dataclasses.asdict(self)

    def _sides(self) -> Partition:
        if self.partition is None:
            if self.tokens % 2:
                raise InputError(f"tokens={self.tokens} have no two equal halves: give an even number or a partition.")
            half = self.tokens // 2
            return tuple(range(half)), tuple(range(half, self.tokens))
        try:
            sides = [[whole_number("A token of the partition", token, 0) for token in side] for side in self.partition]
        except TypeError:
            raise InputError(f"A partition is two lists of tokens, got {self.partition!r}.") from None
        if len(sides) != 2:
            raise InputError(f"A partition has two sides, and this one has {len(sides)}.")
        first, second = map(tuple, sides)
        if not first or not second:
            raise InputError("A side of the partition is empty.")
        for token in (*first, *second):
            if token >= self.tokens:
                raise InputError(f"The partition names token {token}; tokens are 0 to {self.tokens - 1}.")
        twice = [token for token in range(self.tokens) if (first + second).count(token) > 1]
        if twice:
            raise InputError(f"The partition names token {twice[0]} twice.")
        lacking = sorted({*range(self.tokens)} - {*first, *second})
        if lacking:
            raise InputError(f"Token {lacking[0]} is on neither side of the partition.")
        return first, second


def degree(spec: PolyMixerSpec) -> int:
    """The degree of the output in the input, when no weight is zero."""
    return layer_degree(spec) ** spec.depth


def layer_degree(spec: PolyMixerSpec) -> int:
    """Of one layer: attention 3, hypermixing m + k (m + 1), static k, gmlp 2, linear 1, each times q."""
    k, m = spec.act_degree, spec.hypernet_degree
    own = {"attention": 3, "hypermixing": m + k * (m + 1), "static": k, "gmlp": 2, "linear": 1}
    return own[spec.kind] * spec.channel_degree


def has_use(field: str, kind: str) -> bool:
    """Whether a field means anything in a kind of mixer."""
    return kind in _ONLY.get(field, KINDS)


def whole_number(name: str, value: Any, least: int) -> int:
    """A whole number of any integer type, as Python's own.

    Raises:
        InputError: something else, or less than `least`.
    """
    try:
        if isinstance(value, bool):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise InputError(f"{name} must be a whole number, got {value!r}.") from None
    if number < least:
        raise InputError(f"{name} must be at least {least}, got {number}.")
    return number


def total_degree(spec: PolyMixerSpec) -> int:
    """The degree of the output in the input and all weights together."""
    k, m = spec.act_degree, spec.hypernet_degree
    network = m + 1 if m > 1 else 1
    weights = {"attention": 4, "hypermixing": network * (k + 1) + 1, "static": k + 2, "gmlp": 4, "linear": 2}
    total = 1
    for _ in range(spec.depth):
        total = layer_degree(spec) * total + weights[spec.kind] * spec.channel_degree
    return total


def parse_partition(text: str) -> Partition:
    """`0,2/1,3`: the tokens of the first side, and of the second.

    Raises:
        InputError: something else.
    """
    sides = text.split("/")
    if len(sides) != 2:
        raise InputError(f"partition '{text}': must be two lists of tokens, as in 0,2/1,3.")
    try:
        first, second = (tuple(int(token) for token in side.split(",") if token.strip()) for side in sides)
    except ValueError:
        raise InputError(f"partition '{text}': must be two lists of tokens, as in 0,2/1,3.") from None
    return first, second


def spec_of(kind: str, **fields: Any) -> PolyMixerSpec:
    """A spec from plain values, such as those of JSON or a command line.

    Raises:
        InputError: as `PolyMixerSpec`, and an unknown field.
    """
    known = [field.name for field in dataclasses.fields(PolyMixerSpec)]
    for name in fields:
        if name not in known:
            raise InputError(f"Unknown field '{name}': {nearest(name, known)}")
    return PolyMixerSpec(kind=kind, **fields)


def _kind_of(name: str) -> Any:
    return {
        "kind": str, "permutation": str, "readout": str, "positions": str, "residual": bool, "tied": bool,
        "token_hidden": int | None,
    }.get(name, int)  # fmt: skip


def _either(names: tuple[str, ...]) -> str:
    return " and ".join(names)

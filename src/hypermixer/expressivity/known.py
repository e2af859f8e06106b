"""Ranks and bounds that are known, and the check that this program finds them again.

The ranks were computed by two independent programs modulo 2^31 - 1 before this one was written.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hypermixer.expressivity.bounds import bounds
from hypermixer.expressivity.field import PRIME
from hypermixer.expressivity.separation import separation_rank
from hypermixer.expressivity.spec import PolyMixerSpec, spec_of


@dataclass(frozen=True)
class Known:
    """One value.

    Attributes:
        spec: of the network.
        rank: of it; None where only bounds are known.
        lower, upper: base-2 logarithms of the bounds, to one digit.
        slow: whether it takes more than a few seconds.
    """

    spec: PolyMixerSpec
    rank: int | None = None
    lower: float | None = None
    upper: float | None = None
    slow: bool = False


@dataclass(frozen=True)
class Checked:
    """A known value beside what was found now."""

    known: Known
    wanted: str
    found: str

    @property
    def same(self) -> bool:
        return self.wanted == self.found


def known() -> list[Known]:
    """All of them, the table of kinds by depth first."""
    return [*_by_depth(), *_by_size(), *_variants(), *_real_sizes()]


def verify(*, slow: bool = True, prime: int = PRIME, seed: int = 0) -> Iterator[Checked]:
    """Every known value with what is found now, one after the other.

    Args:
        slow: also those that take more than a few seconds.
        prime: modulus.
        seed: of weights and templates.
    """
    for one in known():
        if one.slow and not slow:
            continue
        if one.rank is not None:
            found = separation_rank(one.spec, prime=prime, seed=seed)
            yield Checked(one, f"{one.rank:,}", found.told)
            continue
        found = bounds(one.spec)
        pairs = [(one.lower, found.lower.log2), (one.upper, found.upper.log2)]
        yield Checked(one, _logarithms(a for a, _ in pairs), _logarithms(None if a is None else b for a, b in pairs))


def _logarithms(values: Any) -> str:
    return " to ".join("?" if value is None else f"2^{value:.1f}" for value in values)


def _ranks(kind: str, over: str, ranks: dict[int, int], **fields: Any) -> list[Known]:
    """Of one kind, by one field."""
    specs = {value: spec_of(kind, **{**fields, over: value}) for value in ranks}
    return [Known(specs[value], rank, slow=rank > 1000) for value, rank in ranks.items()]


def _by_depth() -> list[Known]:
    small: dict[str, Any] = {"width": 2, "tokens": 4}
    wide: dict[str, Any] = {"width": 3, "tokens": 6}
    return [
        *_ranks("attention", "depth", {1: 3, 2: 18, 3: 232, 4: 4538}, **small),
        *_ranks("static", "depth", {1: 6, 2: 20, 3: 105, 4: 825}, **small),
        *_ranks("hypermixing", "depth", {1: 6, 2: 190, 3: 15691}, **small),
        *_ranks("attention", "depth", {1: 4, 2: 49, 3: 3102}, **wide),
        *_ranks("static", "depth", {1: 11, 2: 65, 3: 935}, **wide),
        *_ranks("hypermixing", "depth", {1: 10, 2: 2310}, **wide),
    ]


def _by_size() -> list[Known]:
    """By width and by tokens."""
    return [
        *_ranks("attention", "width", {2: 18, 3: 49, 4: 110, 5: 216, 6: 385, 7: 638}, tokens=16),
        *_ranks("static", "width", {2: 54, 3: 104, 4: 170, 5: 252, 6: 350, 7: 464}, tokens=8),
        *_ranks("attention", "width", {d: d + 1 for d in range(2, 8)}, depth=1, tokens=8),
        *_ranks("static", "width", {d: 4 * d + 2 for d in range(2, 8)}, depth=1, tokens=8),
        *_ranks("hypermixing", "width", {2: 6, 3: 10, 4: 15, 5: 21, 6: 28, 7: 36, 8: 45}, depth=1, tokens=16),
        *_ranks("static", "width", {2: 660, 3: 2275}, depth=3, tokens=8),
        *_ranks("attention", "tokens", {4: 18, 6: 18, 8: 18, 12: 18}),
        *_ranks("static", "tokens", {4: 20, 6: 35, 8: 54, 12: 104, 16: 170}),
    ]


def _variants() -> list[Known]:
    """What leaves the rank as it is, and what does not."""
    wide: dict[str, Any] = {"width": 4, "tokens": 8}
    found = [
        *_ranks("attention", "heads", {1: 110, 2: 107, 4: 85}, **wide),
        *_ranks("attention", "heads", {1: 5, 2: 5, 4: 5}, depth=1, **wide),
        *_ranks("hypermixing", "token_hidden", {1: 108, 2: 190}),
        *_ranks("hypermixing", "token_hidden", {1: 49, 2: 190}, tied=True),
        *_ranks("hypermixing", "depth", {2: 49}, width=3, tokens=6, act_degree=1),
        *_ranks("hypermixing", "depth", {3: 232}, act_degree=1),
        *_ranks("hypermixing", "act_degree", {3: 11}, depth=1),
        *_ranks("hypermixing", "hypernet_degree", {2: 8}, depth=1),
        *_ranks("gmlp", "depth", {1: 3, 2: 14, 3: 90}),
        *_ranks("static", "depth", {1: 4, 2: 9, 3: 25}, token_hidden=1),
        *_ranks("linear", "depth", {1: 3, 2: 20, 3: 105}, channel_degree=2),
        *_ranks("static", "act_degree", {1: 2, 3: 140}),
        *_ranks("linear", "depth", {2: 2}),
        *_ranks("attention", "tokens", {2: 70}, width=4),
    ]
    for hidden, ranks in ((1, {1: 4, 2: 9, 3: 25}), (2, {1: 6, 2: 20, 3: 105}), (8, {1: 6, 2: 20, 3: 105})):
        found += _ranks("static", "depth", ranks, token_hidden=hidden, permutation="coordinates")
    found += [Known(spec_of("attention", depth=depth, residual=True), rank) for depth, rank in ((1, 3), (3, 232))]
    found.append(Known(spec_of("attention", depth=2, width=3, tokens=6, residual=True), 49))
    for kind, rank in (("attention", 18), ("static", 20), ("hypermixing", 190)):
        same: list[dict[str, Any]] = [
            {"residual": True}, {"positions": "input"}, {"readout": "second"}, {"partition": ((0, 2), (1, 3))},
        ]  # fmt: skip
        found += [Known(spec_of(kind, **fields), rank) for fields in same]
    for kind, depth, rank in (("attention", 2, 36), ("static", 2, 20), ("hypermixing", 1, 12)):
        found.append(Known(spec_of(kind, depth=depth, readout="mean"), rank))
    found.append(Known(spec_of("hypermixing", depth=1, positions="hypernet"), 7))
    return found


#: Width and tokens, depth: static upper; attention lower, upper; hypermixing lower, upper; logarithms to base 2.
REAL_SIZES: dict[tuple[int, int, int], tuple[float, float, float | None, float, float | None]] = {
    (512, 512, 2): (33.0, 19.0, 33.0, 21.4, 92.6),
    (512, 512, 3): (63.4, 53.6, 101.5, 80.4, 414.6),
    (512, 512, 4): (120.7, 124.8, 279.1, 251.2, 1736.8),
    (512, 512, 5): (227.8, 282.0, 757.1, 609.1, None),
    (512, 512, 6): (426.3, 579.3, 1986.5, 1121.5, None),
    (512, 512, 7): (792.0, 726.7, None, 1694.6, None),
    (768, 196, 5): (214.9, 316.0, 827.8, 342.3, None),
    (1024, 1024, 6): (490.3, 741.5, 2349.8, 1783.2, None),
    (1024, 1024, 7): (920.0, 1060.4, None, 2897.0, None),
}


def _real_sizes() -> list[Known]:
    found = []
    for (width, tokens, depth), (static, low, high, hyper_low, hyper_high) in REAL_SIZES.items():
        sizes: dict[str, Any] = {"width": width, "tokens": tokens, "depth": depth}
        found += [
            Known(spec_of("static", **sizes), upper=static),
            Known(spec_of("attention", **sizes), lower=low, upper=high),
            Known(spec_of("hypermixing", **sizes), lower=hyper_low, upper=hyper_high),
        ]
    return found

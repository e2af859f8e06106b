"""Bounds on the separation rank of polynomial twins, as exact integers, with what each rests on.

Letters: D width, n = D (D + 1) / 2, L depth, c = degree of the output in second moments; A the side of the token that
is read, B the other one. Derivations are in docs/expressivity.md.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

from hypermixer.expressivity.counts import monomials, smaller, smaller_of_monomials
from hypermixer.expressivity.spec import PolyMixerSpec, degree

Mark = Literal["proved", "quoted", "conjectured"]
#: Beyond so many terms small sides are no longer counted: the bound stays true, only larger than it need be.
_MOST_TERMS = 2000


@dataclass(frozen=True)
class Bound:
    """One bound.

    Attributes:
        value: exact.
        name: of the formula in docs/expressivity.md.
        mark: `proved` there, `quoted` from others, or `conjectured`.
        holds: when.
    """

    value: int
    name: str
    mark: Mark
    holds: str

    @property
    def log2(self) -> float:
        return math.log2(self.value)


@dataclass(frozen=True)
class Bounds:
    """What is known of the separation rank of a spec without computing it.

    Attributes:
        upper: for all weights.
        lower: for almost all real weights.
        expected: the rank of almost all weights wherever it was computed, a conjecture; None: not even that.
    """

    upper: Bound
    lower: Bound
    expected: Bound | None


def bounds(spec: PolyMixerSpec) -> Bounds:
    """Upper and lower bound of the separation rank of a spec."""
    upper = min((_polynomial(spec), *_moments(spec), *_third_moments(spec)), key=lambda bound: bound.value)
    lower = max((_TRIVIAL, *_attention_lower(spec), *_hypermixing_lower(spec)), key=lambda bound: bound.value)
    return Bounds(upper, lower, _expected(spec, upper))


# --- Upper bounds: for all weights ------------------------------------------------------------------------------------


def _polynomial(spec: PolyMixerSpec) -> Bound:
    """Of any polynomial of this degree: a term that is of degree s in B is at most of degree D - s in A."""
    first, second = (spec.width * len(side) for side in spec.sides)
    holds = "for all weights, whatever fixed linear map is inserted: permutations and shifts change nothing"
    if spec.kind == "static" and not spec.residual:
        first, second = (min(size, spec.width * spec.hidden) for size in (first, second))
    value = smaller_of_monomials(second, first, degree(spec))
    return Bound(value, "degree", "proved", holds)


def _moments(spec: PolyMixerSpec) -> list[Bound]:
    """Of a token that meets the others in their second moment alone."""
    moved = spec.permutation == "tokens"
    if not (spec.moments or (moved and replace(spec, permutation="none").moments)):
        return []
    c = (degree(spec) - 1) // 2
    values = [_of_moments(spec.width, c, read, other) for read, other in _read_sides(spec)]
    if moved and spec.readout != "mean":  # the token that is read may have come from either side
        values = [max(_of_moments(spec.width, c, read, other) for read, other in _both_sides(spec))]
    words = "for all weights; it depends neither on the number of tokens nor on heads or hidden rows"
    return [Bound(sum(values), "second moments", "proved", words)]


def _of_moments(d: int, c: int, read: int, other: int) -> int:
    n = d * (d + 1) // 2
    if min(read, other) > d or c > _MOST_TERMS:
        return smaller_of_monomials(n, n, c, times=d)
    # Few tokens do not fill the space of second moments.
    return smaller(
        lambda s: min(monomials(n, s), monomials(d * other, 2 * s)),
        lambda s: min(d * monomials(n, s), monomials(d * read, 2 * s + 1)),
        c,
    )


def _third_moments(spec: PolyMixerSpec) -> list[Bound]:
    """One hypermixing layer with hypernetworks of degree m: others are met in moments of order m + 1."""
    m = spec.hypernet_degree
    plain = spec.channel_degree == 1 and spec.positions != "hypernet"
    if spec.kind != "hypermixing" or m == 1 or spec.depth > 1 or spec.residual or not plain:
        return []
    of_tokens, own = monomials(spec.width, m + 1), monomials(spec.width, m)
    value = smaller_of_monomials(of_tokens, of_tokens, spec.act_degree, times=own)
    return [Bound(value * len(_read_sides(spec)), f"moments of order {m + 1}", "proved", "for all weights")]


def _read_sides(spec: PolyMixerSpec) -> list[tuple[int, int]]:
    """Sizes of A and B, for each side that holds a token that is read."""
    both = _both_sides(spec)
    return both if spec.readout == "mean" else [both[spec.readout == "second"]]


def _both_sides(spec: PolyMixerSpec) -> list[tuple[int, int]]:
    first, second = map(len, spec.sides)
    return [(first, second), (second, first)]


# --- Lower bounds: for almost all real weights ------------------------------------------------------------------------

_TRIVIAL = Bound(1, "not zero", "proved", "for almost all weights; no more is proved for this spec")
_ALMOST = "for almost all real weights"


def _attention_lower(spec: PolyMixerSpec) -> list[Bound]:
    """By walks in the complete graph; hypermixing with k = 1 contains this, if it has enough hidden rows."""
    if not spec.moments:
        return []
    width = spec.width // spec.heads
    if spec.kind == "hypermixing" and (spec.act_degree > 1 or spec.hidden // spec.heads < width):
        return []
    c = (degree(spec) - 1) // 2
    value = sum(_walks(width, c, read, other) for read, other in _read_sides(spec))
    return [Bound(value, "walks", "proved", f"{_ALMOST}{_on_one_head(spec)}")] if value > 1 else []


def _walks(d: int, c: int, read: int, other: int) -> int:
    """The largest of: all blocks in fewer coordinates, or those blocks that few tokens can tell apart."""
    fewer = min(d, read - 1, other)
    known = [_all_walks(fewer, c)] if fewer >= 1 else []
    blocks = range(max(1, c - read + 1), min(c, other) + 1)
    known.append(int(c < read) + d * sum(min(monomials(d, a - 1), monomials(d, c - a)) for a in blocks))
    return max(known)


def _all_walks(d: int, c: int) -> int:
    """1 + d sum over a = 1..c of min(C(d + a - 2, a - 1), C(d + c - a - 1, c - a))."""
    return 1 + d * smaller_of_monomials(d, d, c - 1)


def _hypermixing_lower(spec: PolyMixerSpec) -> list[Bound]:
    """By catalecticants of a power of a quadric."""
    if spec.kind != "hypermixing" or not spec.moments or spec.tied or spec.act_degree != 2 or spec.depth < 2:
        return []
    total, exponent = 0, 6 * 5 ** (spec.depth - 2)
    for sizes in _read_sides(spec):
        d = min(spec.width // spec.heads, *sizes)
        total += smaller_of_monomials(d - 1, d - 1, exponent) if d > 1 else 1
    return [Bound(total, "quadrics", "proved", f"{_ALMOST}{_on_one_head(spec)}")]


def _on_one_head(spec: PolyMixerSpec) -> str:
    return ", counted on one head" if spec.heads > 1 else ""


# --- Conjectured and quoted -------------------------------------------------------------------------------------------


def _expected(spec: PolyMixerSpec, upper: Bound) -> Bound | None:
    """The upper bound, for the specs that attained it wherever their rank was computed.

    These are attention, hypermixing and static mixing as they are by default, of any size: one head, squares, linear
    hypernetworks, as many hidden rows as usual, and sides of equal size; with or without residual connections.
    """
    first, second = map(len, spec.sides)
    usual = (
        spec.heads == spec.hypernet_degree == spec.channel_degree == 1 and spec.act_degree == 2
        and spec.token_hidden is None and spec.permutation == "none" and spec.positions != "hypernet"
    )  # fmt: skip
    if spec.kind not in ("attention", "hypermixing", "static") or not usual or first != second or first < 2:
        return None
    return replace(upper, mark="conjectured", holds="it was the rank of every such network that was computed")


@dataclass(frozen=True)
class Quoted:
    """What Levine et al. (arXiv 2006.12467) are remembered to state of attention; unchecked, for figures only.

    Attributes:
        lower, upper: base-2 logarithms of the separation rank.
        theorem: which.
    """

    lower: float
    upper: float
    theorem: str


def quoted(depth: int, width: int, heads: int = 1) -> Quoted:
    """Theorem 1 where the depth is below log_3 of the width, else Theorem 2; quoted from memory."""
    d, h, log2_of_3 = width, heads, math.log2(3)
    if depth < math.log(d, 3):
        a = -depth + 2 - math.log(2, 3)
        low = 3.0 ** (depth - 2) * (math.log(max(d - h, 1), 3) + a)
        return Quoted(low * log2_of_3, (3**depth - 1) / 2 * math.log(d + h, 3) * log2_of_3, "Theorem 1")
    b = -depth * (h / 2 + 1) - d * (1 + 0.5 * math.log(max(d - h, 1) / 2, 3))
    c = depth - 2 * d * math.log(d / (2 * math.sqrt(2 * math.e)), 3) + math.log(d, 3)
    return Quoted((d * depth / 2 + b) * log2_of_3, (2 * d * depth + c) * log2_of_3, "Theorem 2")

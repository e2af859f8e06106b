"""Bounds: numbers that were known before this program, closed forms, and what must hold between them."""

import itertools
import math
from math import comb
from typing import Any

import pytest

from hypermixer.expressivity.bounds import Bounds, bounds, quoted
from hypermixer.expressivity.counts import monomials
from hypermixer.expressivity.separation import separation_rank
from hypermixer.expressivity.spec import KINDS, PERMUTATIONS, READOUTS, PolyMixerSpec, degree, spec_of


def static_logarithm(spec: PolyMixerSpec) -> float:
    """A closed form above log2 of the degree bound of a balanced static mixer of even degree."""
    n, top = spec.width * len(spec.sides[0]), degree(spec)
    return 1 + top / 2 * math.log2(math.e * (1 + 2 * n / top))


def least_of_walks(d: int, c: int) -> int:
    """A closed form below the bound of walks."""
    return d * comb(d + (c - 1) // 2, d)


def of(kind: str, **fields: Any) -> Bounds:
    return bounds(spec_of(kind, **fields))


def sides(first: int, second: int) -> dict[str, Any]:
    """Fields of a spec with sides of these sizes."""
    tokens = first + second
    return {"tokens": tokens, "partition": (tuple(range(first)), tuple(range(first, tokens)))}


def of_moments(d: int, c: int, times: int = 1) -> int:
    """Second moments: the minimum over where the sum is cut."""
    n = d * (d + 1) // 2
    return times * min(comb(n + s, n) + d * comb(n + c - s - 1, n) for s in range(c))


# --- Tables 5.1 to 5.3 of the research notes ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind, width, tokens, values",
    [
        ("attention", 2, 4, [3, 18, 232, 4538]),
        ("static", 2, 4, [6, 20, 105, 825]),
        ("hypermixing", 2, 4, [6, 190, 15691]),
        ("attention", 3, 6, [4, 49, 3102, 679581]),
        ("static", 3, 6, [11, 65, 935, 35750]),
        ("hypermixing", 3, 6, [10, 2310, 7161084]),
        ("gmlp", 2, 4, [6, 20, 105]),
        ("linear", 2, 4, [2, 2, 2]),
    ],
)
def test_upper_bounds_by_depth(kind: str, width: int, tokens: int, values: list[int]) -> None:
    found = [of(kind, width=width, tokens=tokens, depth=depth).upper for depth in range(1, len(values) + 1)]
    assert [bound.value for bound in found] == values
    assert all(bound.mark == "proved" for bound in found)


def test_upper_bounds_by_width_and_tokens() -> None:
    widths = range(2, 8)
    assert [of("attention", width=d, tokens=16).upper.value for d in widths] == [18, 49, 110, 216, 385, 638]
    assert [of("static", width=d, tokens=8).upper.value for d in widths] == [54, 104, 170, 252, 350, 464]
    assert [of("static", width=d, tokens=8, depth=1).upper.value for d in widths] == [4 * d + 2 for d in widths]
    assert [of("attention", width=d, tokens=16, depth=1).upper.value for d in widths] == [d + 1 for d in widths]
    hyper = [of("hypermixing", width=d, tokens=16, depth=1).upper.value for d in widths]
    assert hyper == [(d + 1) * (d + 2) // 2 for d in widths]
    assert [of("static", tokens=n).upper.value for n in (4, 6, 8, 12, 16)] == [20, 35, 54, 104, 170]
    assert {of("attention", tokens=n).upper.value for n in (4, 6, 8, 12, 100)} == {18}


def test_upper_bounds_of_variants() -> None:
    assert of("static", act_degree=3).upper.value == 140
    assert [of("static", depth=depth, token_hidden=1).upper.value for depth in (1, 2, 3)] == [4, 9, 25]
    assert of("static", depth=2, token_hidden=1, residual=True).upper.value == 20
    assert of("attention", width=4, tokens=2).upper.value == 70
    assert of("hypermixing", hypernet_degree=2, depth=1).upper.value == 8
    assert of("hypermixing", act_degree=1, depth=3).upper == of("attention", depth=3).upper
    assert [of("linear", channel_degree=2, depth=depth).upper.value for depth in (1, 2, 3)] == [6, 20, 105]
    assert of("attention", readout="mean").upper.value == 36


@pytest.mark.parametrize(
    "width, tokens, depth, wanted",
    [
        (512, 512, 2, (33.0, 19.0, 33.0, 21.4, 92.6)),
        (512, 512, 3, (63.4, 53.6, 101.5, 80.4, 414.6)),
        (512, 512, 4, (120.7, 124.8, 279.1, 251.2, 1736.8)),
    ],
)
def test_bounds_at_real_sizes(width: int, tokens: int, depth: int, wanted: tuple[float, ...]) -> None:
    """Static upper, attention lower and upper, hypermixing lower and upper; the rest of the table is in test_known."""
    static, *others = (of(kind, width=width, tokens=tokens, depth=depth) for kind in ("static", *KINDS[:2]))
    found = [static.upper.log2, *(bound.log2 for one in others for bound in (one.lower, one.upper))]
    assert [round(value, 1) for value in found] == list(wanted)


# --- Closed forms ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
@pytest.mark.parametrize("d", [1, 2, 3, 5, 8])
def test_second_moments_are_the_smallest_cut(d: int, depth: int) -> None:
    wide = {"width": d, "depth": depth, **sides(d + 1, d + 2)}
    assert of("attention", **wide).upper.value <= of_moments(d, (3**depth - 1) // 2)
    for k in (1, 2, 3):
        assert of("hypermixing", act_degree=k, **wide).upper.value <= of_moments(d, ((2 * k + 1) ** depth - 1) // 2)
    many = {"width": d, "depth": depth, "tokens": 40 * d}
    assert of("attention", **many).upper.value == of_moments(d, (3**depth - 1) // 2)
    assert of("attention", readout="mean", **many).upper.value == of_moments(d, (3**depth - 1) // 2, 2)
    assert of("attention", residual=True, positions="input", **many).upper == of("attention", **many).upper


@pytest.mark.parametrize("top, fields", [(1, {}), (2, {"act_degree": 2}), (3, {"act_degree": 3}), (9, {"depth": 2})])
@pytest.mark.parametrize("d, tokens", [(1, 2), (2, 4), (3, 6), (7, 8)])
def test_balanced_degree_bounds_are_two_binomials(d: int, tokens: int, top: int, fields: dict[str, Any]) -> None:
    n = d * tokens // 2
    spec = spec_of("static", width=d, tokens=tokens, **{"depth": 1, "act_degree": {1: 1}.get(top, 3), **fields})
    assert degree(spec) == top
    assert bounds(spec).upper.value == comb(n + top // 2, n) + comb(n + (top + 1) // 2 - 1, n)


@pytest.mark.parametrize("d, tokens, depth", list(itertools.product((1, 3, 16), (2, 12, 64), (1, 2, 5, 8))))
def test_the_logarithm_of_a_static_bound_is_below_its_closed_form(d: int, tokens: int, depth: int) -> None:
    spec = spec_of("static", width=d, tokens=tokens, depth=depth)
    value, top = static_logarithm(spec), 2**depth
    assert bounds(spec).upper.log2 <= value
    assert math.isclose(value, 1 + top / 2 * math.log2(math.e * (1 + d * tokens / top)))


def walks(d: int, c: int) -> int:
    return 1 + d * sum(min(monomials(d, a - 1), monomials(d, c - a)) for a in range(1, c + 1))


@pytest.mark.parametrize("d, depth", list(itertools.product((1, 2, 3, 4), (1, 2, 3, 4))))
def test_lower_bounds_of_attention(d: int, depth: int) -> None:
    c = (3**depth - 1) // 2
    found = of("attention", width=d, depth=depth, **sides(d + 1, d))
    assert found.lower.value == walks(d, c) >= least_of_walks(d, c) == d * comb(d + (c - 1) // 2, d)
    assert of("attention", width=d, depth=depth, tokens=4 * d + 2).lower.value == walks(d, c)
    if d % 2 == 0:
        heads = of("attention", width=d, depth=depth, heads=2, tokens=4 * d + 2).lower
        assert heads.value == walks(d // 2, c) and "head" in heads.holds
    mean = of("attention", width=d, depth=depth, readout="mean", tokens=4 * d + 2)
    assert mean.lower.value == 2 * walks(d, c)


def test_few_tokens_bound_attention_from_below_by_fewer_blocks() -> None:
    """Blocks of a walks among the others, c - a among the own: those that so few tokens can tell apart."""
    d, c = 5, 4
    for first, second in itertools.product(range(1, 7), range(1, 7)):
        blocks = [a for a in range(1, c + 1) if a <= second and c - a <= first - 1]
        value = int(c <= first - 1) + d * sum(min(monomials(d, a - 1), monomials(d, c - a)) for a in blocks)
        fewer = min(d, first - 1, second)
        value = max(value, walks(fewer, c) if fewer else 1)
        spec = spec_of("attention", width=d, **sides(first, second))
        assert bounds(spec).lower.value == max(value, 1)
        other = spec_of("attention", width=d, readout="second", **sides(second, first))
        assert bounds(other).lower.value == max(value, 1)


@pytest.mark.parametrize("d, depth", list(itertools.product((2, 3, 4, 7), (2, 3, 4))))
def test_lower_bounds_of_hypermixing(d: int, depth: int) -> None:
    exponent = 6 * 5 ** (depth - 2)
    blocks = range(exponent + 1)
    value = sum(min(monomials(d - 1, a), monomials(d - 1, exponent - a)) for a in blocks)
    assert of("hypermixing", width=d, depth=depth, **sides(d, d)).lower.value == value
    assert of("hypermixing", width=2 * d, heads=2, depth=depth, **sides(d, d)).lower.value == value
    assert of("hypermixing", width=d, depth=depth, readout="mean", **sides(d, d)).lower.value == 2 * value


def test_where_nothing_is_proved_the_lower_bound_is_one() -> None:
    nothing: list[tuple[str, dict[str, Any]]] = [
        ("static", {}), ("gmlp", {}), ("linear", {}), ("attention", {"channel_degree": 2}),
        ("attention", {"permutation": "shift"}), ("hypermixing", {"tied": True}), ("hypermixing", {"depth": 1}),
        ("hypermixing", {"hypernet_degree": 2}), ("hypermixing", {"positions": "hypernet"}),
        ("hypermixing", {"act_degree": 3}), ("hypermixing", {"act_degree": 1, "token_hidden": 1}),
    ]  # fmt: skip
    for kind, fields in nothing:
        assert of(kind, **{"width": 3, "tokens": 12, **fields}).lower.value == 1, (kind, fields)
    linear = of("hypermixing", width=3, tokens=12, act_degree=1, token_hidden=3, tied=True)
    assert linear.lower.value == of("attention", width=3, tokens=12).lower.value > 1


# --- Between them ---------------------------------------------------------------------------------------------------

OF_KIND: dict[str, list[dict[str, Any]]] = {kind: [{}] for kind in KINDS}
OF_KIND["attention"].append({"heads": 2, "width": 4})
OF_KIND["static"] += [{"act_degree": 1}, {"act_degree": 3, "token_hidden": 1}]
OF_KIND["hypermixing"] += [
    {"act_degree": 1}, {"tied": True}, {"hypernet_degree": 2}, {"token_hidden": 1}, {"positions": "hypernet"},
    {"heads": 2, "width": 4, "act_degree": 1},
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_upper_bounds_are_never_below_lower_ones(kind: str) -> None:
    choices = itertools.product((1, 2, 3), (1, 3, 4), READOUTS, (False, True), (1, 2), PERMUTATIONS)
    pairs = [(1, 1), (1, 4), (4, 1), (2, 3), (5, 5)]
    for (depth, width, readout, residual, q, permutation), (a, b), more in itertools.product(
        choices, pairs, OF_KIND[kind]
    ):
        fields: dict[str, Any] = {
            "depth": depth, "width": width, "readout": readout, "residual": residual, "channel_degree": q,
            "permutation": permutation, **sides(a, b), **more,
        }  # fmt: skip
        found = of(kind, **fields)
        assert 1 <= found.lower.value <= found.upper.value, fields
        assert found.expected is None or found.expected.value == found.upper.value
        assert found.expected is None or found.expected.mark == "conjectured"


def test_more_of_anything_never_lowers_an_upper_bound() -> None:
    for kind in KINDS:
        for name, values in (("depth", (1, 2, 3)), ("width", (1, 2, 3)), ("channel_degree", (1, 2, 3))):
            found = [of(kind, **{name: value}).upper.value for value in values]
            assert found == sorted(found)


def test_fixed_maps_change_no_static_bound() -> None:
    for permutation in PERMUTATIONS:
        assert of("static", permutation=permutation, depth=3).upper.value == 105


def test_where_the_upper_bound_is_expected_to_be_the_rank() -> None:
    """For the usual specs, of any size."""
    usual: list[dict[str, Any]] = [
        {}, {"depth": 300}, {"width": 512, "tokens": 512, "depth": 4}, {"residual": True}, {"positions": "input"},
        {"readout": "second"}, {"readout": "mean"}, {"partition": ((3, 0), (1, 2))},
    ]  # fmt: skip
    for kind, fields in itertools.product(("attention", "static", "hypermixing"), usual):
        found = of(kind, **fields)
        assert found.expected is not None and found.expected.value == found.upper.value
        assert found.expected.name == found.upper.name and found.expected.mark == "conjectured"


@pytest.mark.parametrize("kind", ["attention", "static", "hypermixing"])
@pytest.mark.parametrize(
    "fields",
    [
        {"width": 1}, {"width": 1, "depth": 3}, {"width": 3}, {"tokens": 6, "residual": True}, {"readout": "mean"},
        {"partition": ((3, 0), (1, 2)), "positions": "input", "residual": True}, {"width": 4, "depth": 1},
        {"width": 3, "tokens": 8, "depth": 1, "residual": True},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_expected_is_the_rank(kind: str, fields: dict[str, Any]) -> None:
    spec = spec_of(kind, **fields)
    expected = bounds(spec).expected
    assert expected is not None and separation_rank(spec, count=min(expected.value, 300) + 1).told == (
        f"{expected.value:,}" if expected.value <= 300 else ">= 301"
    )


@pytest.mark.parametrize(
    "kind, fields",
    [
        ("static", {"act_degree": 4}),
        ("static", {"act_degree": 1}),
        ("static", {"act_degree": 3}),
        ("static", {"token_hidden": 1, "residual": True}),
        ("static", {"token_hidden": 4}),
        ("static", {"permutation": "shift"}),
        ("static", {"channel_degree": 2}),
        ("static", sides(1, 1)),
        ("static", sides(1, 3)),
        ("attention", sides(3, 2)),
        ("attention", sides(2, 3)),
        ("attention", sides(1, 1)),
        ("attention", {"heads": 2}),
        ("attention", {"permutation": "tokens"}),
        ("attention", {"permutation": "coordinates"}),
        ("attention", {"channel_degree": 2}),
        ("hypermixing", {"token_hidden": 2, "width": 3}),
        ("hypermixing", {"token_hidden": 1}),
        ("hypermixing", {"act_degree": 1}),
        ("hypermixing", {"act_degree": 3}),
        ("hypermixing", {"hypernet_degree": 2}),
        ("hypermixing", {"heads": 2}),
        ("hypermixing", {"positions": "hypernet"}),
        ("hypermixing", sides(2, 4)),
        ("gmlp", {}),
        ("linear", {}),
        ("linear", {"depth": 1}),
    ],
    ids=str,
)
def test_nothing_is_expected_of_unusual_networks(kind: str, fields: dict[str, Any]) -> None:
    assert of(kind, **fields).expected is None


@pytest.mark.parametrize(
    "kind, fields",
    [
        ("static", {"act_degree": 4, "depth": 1}),
        ("static", {"token_hidden": 1, "residual": True}),
        ("attention", {"heads": 2, "width": 4, "tokens": 8}),
        ("hypermixing", {"token_hidden": 1}),
    ],
    ids=str,
)
def test_some_of_which_stay_below_their_bound(kind: str, fields: dict[str, Any]) -> None:
    spec = spec_of(kind, **fields)
    found = separation_rank(spec)
    assert found.rank < found.upper and bounds(spec).expected is None


@pytest.mark.parametrize("kind", KINDS)
def test_huge_depth_stays_exact(kind: str) -> None:
    found = of(kind, depth=300)
    for bound in (found.upper, found.lower):
        assert type(bound.value) is int and bound.log2 >= 0


def test_huge_values_are_the_closed_forms() -> None:
    half, n = 2**299, 4
    assert of("static", depth=300).upper.value == comb(n + half, n) + comb(n + half - 1, n)
    c = (3**300 - 1) // 2
    assert of("attention", depth=300, tokens=8).lower.value >= least_of_walks(2, c)
    assert of("attention", depth=300, tokens=8).upper.value <= comb(3 + c // 2, 3) + 2 * comb(3 + c - c // 2 - 1, 3)


def test_quoted_theorems() -> None:
    """In logarithms to base 3, as they are written."""

    def log3(x: float) -> float:
        return math.log(x) / math.log(3)

    shallow, deep = quoted(3, 512, 4), quoted(9, 512, 4)
    assert shallow.theorem == "Theorem 1" and deep.theorem == "Theorem 2"
    assert math.isclose(shallow.lower / math.log2(3), 3 * (log3(508) - 3 + 2 - log3(2)))
    assert math.isclose(shallow.upper / math.log2(3), 13 * log3(516))
    b1, b2 = -9 * 3, -512 * (1 + log3(508 / 2) / 2)
    c1, c2 = 9, -2 * 512 * log3(512 / (2 * math.sqrt(2 * math.e))) + log3(512)
    assert math.isclose(deep.lower / math.log2(3), 512 * 9 / 2 + b1 + b2)
    assert math.isclose(deep.upper / math.log2(3), 2 * 512 * 9 + c1 + c2)
    assert quoted(2, 1).theorem == "Theorem 2"


def test_bounds_say_what_they_rest_on() -> None:
    found = of("attention", tokens=16)
    assert found.upper.name != found.lower.name and found.upper.holds and found.lower.holds

"""A polynomial taken apart by degree: interpolation is exact, and ranks of the parts add up to that of the whole."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hypermixer.expressivity.blocks import Block, block_plan, block_ranks
from hypermixer.expressivity.bounds import bounds
from hypermixer.expressivity.field import PRIME, SECOND_PRIME, Elements, Field
from hypermixer.expressivity.forward import network
from hypermixer.expressivity.grid import grid, templates
from hypermixer.expressivity.rank import rank
from hypermixer.expressivity.spec import PERMUTATIONS, READOUTS, PolyMixerSpec, degree, spec_of

CASES: list[tuple[str, dict[str, Any]]] = [
    *((kind, {"readout": readout}) for kind in ("attention", "static", "gmlp") for readout in READOUTS),
    *(("hypermixing", {"depth": 1, "readout": readout}) for readout in READOUTS),
    *((kind, {"permutation": name}) for kind in ("attention", "static") for name in PERMUTATIONS),
    ("attention", {"tokens": 5, "partition": ((4, 0), (1, 2, 3)), "readout": "mean"}),
    ("attention", {"tokens": 4, "partition": ((2,), (0, 1, 3))}),
    ("attention", {"tokens": 4, "partition": ((2,), (0, 1, 3)), "readout": "second"}),
    ("attention", {"width": 4, "heads": 2, "tokens": 4}),
    ("attention", {"depth": 1, "channel_degree": 2}),
    ("static", {"token_hidden": 1, "depth": 3}),
    ("static", {"act_degree": 3}),
    ("hypermixing", {"act_degree": 1, "tied": True}),
    ("hypermixing", {"hypernet_degree": 2, "depth": 1}),
    ("linear", {"channel_degree": 3}),
    ("linear", {}),
]


def computed(spec: PolyMixerSpec, *, p: int = PRIME, seed: int = 0) -> tuple[int, tuple[Block, ...]]:
    """The rank of the whole grid, and the blocks with theirs."""
    field = Field(p)
    net, upper = network(spec, field, seed), bounds(spec).upper.value
    plan = block_plan(spec, None, 4)
    first, second = templates(spec, field, max(upper + 4, *(block.templates for block in plan)), seed)
    size = max(block.templates for block in plan)
    blocks = block_ranks(net, spec, field, plan, first[:size], second[:size])
    return rank(field, grid(net, spec, first, second)), blocks


@pytest.mark.parametrize("kind, fields", CASES, ids=str)
def test_ranks_of_the_blocks_add_up(kind: str, fields: dict[str, Any]) -> None:
    spec = spec_of(kind, **fields)
    whole, blocks = computed(spec)
    assert sum(block.rank for block in blocks) == whole
    assert all(block.rank <= block.upper for block in blocks)
    assert [block.degree for block in blocks] == sorted({block.degree for block in blocks})
    assert all(0 <= block.degree <= degree(spec) for block in blocks)


@pytest.mark.parametrize("kind", ["attention", "hypermixing"])
@pytest.mark.parametrize("seed", range(4))
def test_a_token_that_was_moved_over_is_not_lost(seed: int, kind: str) -> None:
    """Permutations of tokens may bring one of the second side to where the output is read."""
    spec = spec_of(kind, permutation="tokens", act_degree=1) if kind == "hypermixing" else spec_of(
        kind, permutation="tokens"
    )  # fmt: skip
    whole, blocks = computed(spec, seed=seed)
    assert sum(block.rank for block in blocks) == whole


@pytest.mark.parametrize("readout, parities", [("first", {0}), ("second", {1}), ("mean", {0, 1})])
def test_tokens_of_the_other_side_come_in_pairs(readout: str, parities: set[int]) -> None:
    """With an output of odd degree, so that the token that is read stands alone."""
    for kind in ("attention", "hypermixing"):
        plan = block_plan(spec_of(kind, readout=readout), None, 8)
        assert {block.degree % 2 for block in plan} == parities
        assert [block.templates for block in plan] == [block.upper + 8 for block in plan]


@pytest.mark.parametrize("kind, fields", [("attention", {"tokens": 16}), ("static", {}), ("gmlp", {"depth": 3})])
def test_bounds_of_the_blocks_add_up_to_that_of_the_whole(kind: str, fields: dict[str, Any]) -> None:
    spec = spec_of(kind, **fields)
    assert sum(block.upper for block in block_plan(spec, None, 0)) == bounds(spec).upper.value


def test_no_more_templates_than_asked_for() -> None:
    plan = block_plan(spec_of("attention", depth=3), 20, 8)
    assert [block.templates for block in plan] == [min(20, block.upper + 8) for block in plan]
    assert {block.templates for block in plan} > {20}


def powers_of_a_sum(x: Elements, field: Field) -> Elements:
    """(a + b)^5, a and b one coordinate of either side."""
    return field.power(field.reduced(x[0, 0] + x[1, 0]), 5)


def two_parts(x: Elements, field: Field) -> Elements:
    """a b^4 + c d b^3 + a c d b^2, with a and c of the first side, b and d of the second: of degree 4 in b and d."""
    (a, c), (b, d) = x
    b2, ac = field.power(b, 2), field.reduced(a * c)
    b3, cd = field.reduced(b2 * b), field.reduced(c * d)
    return field.sum_of_products([
        (a, field.power(b, 4)),
        (cd, b3),
        (field.reduced(ac * ac), field.reduced(a * b)),
    ])  # fmt: skip


@pytest.mark.parametrize("p", [7, 101, SECOND_PRIME, PRIME])
@pytest.mark.parametrize(
    "function, ranks",
    [(powers_of_a_sum, {0: 1, 1: 1, 2: 1, 3: 1, 4: 1, 5: 1}), (two_parts, {0: 0, 1: 1, 2: 0, 3: 0, 4: 2, 5: 0})],
)
def test_parts_that_are_known(function: Callable[[Elements, Field], Elements], ranks: dict[int, int], p: int) -> None:
    """Also modulo a prime that is hardly larger than the degree; what is not there is exactly zero."""
    field = Field(p)
    spec = spec_of("linear", depth=1, channel_degree=5, tokens=2)
    plan = block_plan(spec, 40, 8)
    seen: list[tuple[int, int]] = []
    first, second = templates(spec, field, 40, seed=1)
    blocks = block_ranks(lambda x: function(x, field), spec, field, plan, first, second, lambda *t: seen.append(t))
    assert {block.degree: block.rank for block in blocks} == ranks
    assert seen[-1] == (6 * 1600, 6 * 1600) and [done for done, _ in seen] == sorted({done for done, _ in seen})


def test_interpolation_in_pieces_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = spec_of("attention", readout="mean")
    whole = computed(spec)
    monkeypatch.setattr("hypermixer.expressivity.blocks._AT_ONCE", 37)
    assert computed(spec) == whole


def test_a_block_that_is_cut_off_is_saturated() -> None:
    assert Block(2, upper=10, templates=5, rank=5).saturated
    assert not Block(2, upper=10, templates=10, rank=10).saturated
    assert not Block(2, upper=10, templates=5, rank=4).saturated
    assert not Block(2, upper=5, templates=13, rank=5).saturated
    assert Block(2, 10, 5, 5).as_dict() == {"degree": 2, "upper": 10, "templates": 5, "rank": 5}


def test_templates_stay_as_they_are() -> None:
    field, spec = Field(), spec_of("static")
    plan = block_plan(spec, None, 0)
    first, second = templates(spec, field, max(block.templates for block in plan), 0)
    kept = np.copy(second)
    block_ranks(network(spec, field, 0), spec, field, plan, first, second)
    assert (second == kept).all()

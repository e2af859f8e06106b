"""Every pair of templates, in whatever parts it is evaluated."""

from typing import Any

import numpy as np
import pytest

from hypermixer.expressivity.field import Elements, Field
from hypermixer.expressivity.forward import network
from hypermixer.expressivity.grid import grid, templates
from hypermixer.expressivity.spec import spec_of

SPEC = spec_of("attention", tokens=3, partition=((2, 0), (1,)), readout="mean")


def test_templates_have_the_shape_of_their_side() -> None:
    first, second = templates(SPEC, Field(), 7, seed=0)
    assert first.shape == (7, 2, 2) and second.shape == (7, 1, 2)
    assert len(np.unique(first)) == first.size and not np.isin(first, second).any()


def test_templates_follow_from_the_seed_and_are_not_the_weights() -> None:
    field = Field()
    once, again, other = (templates(SPEC, field, 5, seed) for seed in (0, 0, 1))
    assert all((a == b).all() for a, b in zip(once, again, strict=True))
    assert all((a != b).all() for a, b in zip(once, other, strict=True))
    weights = np.concatenate([array.ravel() for array in network(SPEC, field, 0).layers[0].values()])
    assert not np.isin(weights, once[0]).any()


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("rows, columns", [(1, 1), (1, 23), (23, 1), (17, 31), (31, 17)])
@pytest.mark.parametrize("at_once", [1, 7, 30, 31, 100, 10**9])
def test_it_is_the_value_at_each_pair(
    at_once: int, rows: int, columns: int, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hypermixer.expressivity.grid.cores", lambda: workers)
    field = Field()
    net = network(SPEC, field, 0)
    first, second = templates(SPEC, field, 31, seed=2)
    widest: list[int] = []

    def watched(x: Elements) -> Elements:
        widest.append(x.shape[2])
        return net(x)

    matrix = grid(watched, SPEC, first[:rows], second[:columns], at_once=at_once)
    assert matrix.shape == (rows, columns) and matrix.dtype == np.uint64
    assert max(widest) <= at_once
    x = np.empty((3, 2, 1), np.uint64)
    for r, s in {(0, 0), (0, columns - 1), (rows - 1, 0), (rows - 1, columns - 1), (rows // 2, columns // 3)}:
        x[[2, 0], :, 0], x[1, :, 0] = first[r], second[s][0]
        assert matrix[r, s] == net(x)[0]


def test_parts_do_not_change_the_values() -> None:
    field = Field()
    net = network(SPEC, field, 0)
    first, second = templates(SPEC, field, 97, seed=2)
    whole = grid(net, SPEC, first, second)
    assert all((grid(net, SPEC, first, second, at_once=size) == whole).all() for size in (50, 97, 400))


@pytest.mark.parametrize("at_once", [5, 40, 10**6])
def test_the_watch_sees_all_inputs_pass(at_once: int) -> None:
    field = Field()
    seen: list[tuple[int, int]] = []
    first, second = templates(SPEC, field, 13, seed=0)
    grid(network(SPEC, field, 0), SPEC, first, second, lambda *told: seen.append(told), at_once=at_once)
    assert [total for _, total in seen] == [169] * len(seen)
    assert seen[-1][0] == 169 and [done for done, _ in seen] == sorted({done for done, _ in seen})


def test_real_numbers_stay_real() -> None:
    first, second = (np.random.default_rng(seed).standard_normal((5, size, 2)) for seed, size in ((0, 2), (1, 1)))
    matrix = grid(lambda x: x[1, 0] * x[2, 1], SPEC, first, second)  # pyright: ignore[reportArgumentType] - no elements
    assert np.array_equal(matrix, np.outer(first[:, 0, 1], second[:, 0, 0]))


def test_an_error_inside_is_not_lost() -> None:
    def broken(_: Any) -> Elements:
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        grid(broken, SPEC, *templates(SPEC, Field(), 3, seed=0))

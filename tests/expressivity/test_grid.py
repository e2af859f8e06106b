"""Every pair of templates, in whatever parts it is evaluated."""

from typing import Any

import numpy as np
import pytest

from hypermixer.expressivity import grid as grids
from hypermixer.expressivity.field import Elements, Field
from hypermixer.expressivity.forward import network
from hypermixer.expressivity.grid import grid, inputs_at_once, templates
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
    monkeypatch.setattr(grids, "cores", lambda: workers)
    monkeypatch.setattr(grids, "_AT_ONCE", at_once)
    field = Field()
    net = network(SPEC, field, 0)
    first, second = templates(SPEC, field, 31, seed=2)
    widest: list[int] = []

    def watched(x: Elements) -> Elements:
        widest.append(x.shape[2])
        return net(x)

    matrix = grid(watched, SPEC, first[:rows], second[:columns])
    assert matrix.shape == (rows, columns) and matrix.dtype == np.uint64
    assert max(widest) <= at_once
    x = np.empty((3, 2, 1), np.uint64)
    for r, s in {(0, 0), (0, columns - 1), (rows - 1, 0), (rows - 1, columns - 1), (rows // 2, columns // 3)}:
        x[[2, 0], :, 0], x[1, :, 0] = first[r], second[s][0]
        assert matrix[r, s] == net(x)[0]


@pytest.mark.parametrize("at_once", [1, 50, 97, 400])
def test_parts_do_not_change_the_values(at_once: int) -> None:
    """However many numbers an input is said to take."""
    field = Field()
    net = network(SPEC, field, 0)
    first, second = templates(SPEC, field, 97 if at_once > 1 else 11, seed=2)
    whole = grid(net, SPEC, first, second)
    widest: list[int] = []

    def watched(x: Elements) -> Elements:
        widest.append(x.shape[2])
        return net(x)

    words = grids._WORDS // at_once
    assert inputs_at_once(words) == at_once
    assert (grid(watched, SPEC, first, second, words=words) == whole).all()
    assert len(whole) * max(1, at_once // len(whole)) >= max(widest) > at_once // 2 and max(widest) <= at_once


@pytest.mark.parametrize("name", ["words", "_AT_ONCE", "_WORDS"])
def test_an_input_takes_the_words_of_its_spec_unless_others_are_given(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    field = Field()
    net = network(SPEC, field, 0)
    first, second = templates(SPEC, field, 40, seed=2)
    whole, sizes = grid(net, SPEC, first, second), list[int]()

    def watched(x: Elements) -> Elements:
        sizes.append(x.shape[2])
        return net(x)

    if name != "words":
        monkeypatch.setattr(grids, name, 40 * (SPEC.words if name == "_WORDS" else 1))
    assert (grid(watched, SPEC, first, second, words=2**20 // 40 if name == "words" else None) == whole).all()
    assert sizes == [40] * 40


@pytest.mark.parametrize(
    "words, wanted", [(1, 8192), (128, 8192), (129, 8128), (2**19, 2), (2**20, 1), (2**20 + 1, 1), (10**12, 1)]
)
def test_as_many_inputs_at_once_as_stay_near(words: int, wanted: int) -> None:
    assert inputs_at_once(words) == wanted == max(1, min(8192, 2**20 // words))


@pytest.mark.parametrize("at_once", [5, 40, 10**6])
def test_the_watch_sees_all_inputs_pass(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grids, "_AT_ONCE", at_once)
    field = Field()
    seen: list[tuple[int, int]] = []
    first, second = templates(SPEC, field, 13, seed=0)
    grid(network(SPEC, field, 0), SPEC, first, second, lambda *told: seen.append(told))
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

"""What a spec takes, what it refuses and by which words, and the degrees that follow from it."""

import itertools
import json
from typing import Any

import numpy as np
import pytest

from hypermixer.errors import InputError
from hypermixer.expressivity.spec import (
    KINDS,
    PolyMixerSpec,
    degree,
    has_use,
    layer_degree,
    parse_partition,
    spec_of,
    whole_number,
)


def test_sides_are_halves_unless_given() -> None:
    assert PolyMixerSpec(tokens=6).sides == ((0, 1, 2), (3, 4, 5))
    assert PolyMixerSpec(tokens=3, partition=((2, 0), (1,))).sides == ((2, 0), (1,))
    lists: Any = [[0], [1, 2]]
    assert PolyMixerSpec(tokens=3, partition=lists) == PolyMixerSpec(tokens=3, partition=((0,), (1, 2)))


@pytest.mark.parametrize(
    "tokens, partition, words",
    [
        (5, None, "tokens=5"),
        (3, ((), (0, 1, 2)), "empty"),
        (3, ((0, 1, 2), ()), "empty"),
        (4, ((0, 1), (1, 2, 3)), "token 1 twice"),
        (4, ((0, 0, 1), (2, 3)), "token 0 twice"),
        (4, ((0, 1), (3,)), "oken 2 is on neither"),
        (4, ((0, 1), (2, 4)), "token 4; tokens are 0 to 3"),
        (4, ((0, -1), (1, 2, 3)), "token of the partition must be at least 0, got -1"),
        (4, ((0, "1"), (2, 3)), "whole number, got '1'"),
        (4, ((0, 1.0), (2, 3)), "whole number, got 1.0"),
        (4, ((0, True), (2, 3)), "whole number, got True"),
        (4, ((0, None), (2, 3)), "whole number, got None"),
    ],
)
def test_sides_that_do_not_hold_each_token_once_are_refused(tokens: int, partition: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        PolyMixerSpec(tokens=tokens, partition=partition)


@pytest.mark.parametrize(
    "partition, words",
    [
        (((0, 1), (2,), (3,)), "two sides, and this one has 3"), (((0, 1, 2, 3),), "has 1"), ((), "has 0"),
        (3, "two lists.*got 3"), ([0, 1], r"two lists.*\[0, 1\]"), ([None, (1, 2)], "two lists.*None"),
        ("0,1/2,3", "partition.*'0'"), ("ab", "partition.*'a'"),
    ],
)  # fmt: skip
def test_there_are_two_sides(partition: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        PolyMixerSpec(partition=partition)


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.uint64])
def test_tokens_of_any_integer_type_become_plain_ones(dtype: type[np.integer]) -> None:
    given: Any = (np.array([2, 0], dtype), [dtype(1), 3])
    spec = PolyMixerSpec(partition=given)
    assert spec == PolyMixerSpec(partition=((2, 0), (1, 3)))
    assert {type(token) for side in spec.sides for token in side} == {int}
    assert json.loads(json.dumps(spec.as_dict()))["partition"] == [[2, 0], [1, 3]]


# --- Whole numbers, and which field means something where ----------------------------------------------------------


@pytest.mark.parametrize("value", [3, np.int8(3), np.uint64(3), np.array(3)])
def test_integers_of_any_type_are_whole_numbers(value: Any) -> None:
    found = whole_number("count", value, 3)
    assert found == 3 and type(found) is int


@pytest.mark.parametrize("value", [True, False, np.True_, 3.0, np.float64(3), "3", None, [3], 1j, float("nan")])
def test_what_is_no_integer_is_no_whole_number(value: Any) -> None:
    with pytest.raises(InputError, match="count must be a whole number, got"):
        whole_number("count", value, 0)


@pytest.mark.parametrize("value, least", [(0, 1), (-1, 0), (np.int64(-5), 0), (-(10**30), -(10**29))])
def test_whole_numbers_have_a_least(value: Any, least: int) -> None:
    with pytest.raises(InputError, match=f"seed must be at least {least}, got {value}"):
        whole_number("seed", value, least)
    assert whole_number("seed", 10**30, least) == 10**30


@pytest.mark.parametrize(
    "field, kinds",
    [
        ("token_hidden", {"hypermixing", "static"}), ("act_degree", {"hypermixing", "static"}),
        ("hypernet_degree", {"hypermixing"}), ("heads", {"attention", "hypermixing"}), ("tied", {"hypermixing"}),
        *((field, set(KINDS)) for field in ("depth", "width", "tokens", "residual", "readout", "partition")),
    ],
)  # fmt: skip
def test_which_kinds_have_a_use_for_a_field(field: str, kinds: set[str]) -> None:
    assert {kind for kind in KINDS if has_use(field, kind)} == kinds


@pytest.mark.parametrize(
    "fields, words",
    [
        ({"width": 4, "heads": 3}, "heads=3.*width=4"),
        ({"kind": "hypermixing", "width": 5, "heads": 2}, "heads=2.*width=5"),
        ({"kind": "hypermixing", "width": 4, "heads": 2, "token_hidden": 3}, "heads=2.*token_hidden=3"),
    ],
)
def test_heads_that_do_not_divide_are_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        PolyMixerSpec(**fields)


@pytest.mark.parametrize(
    "name, value, least",
    [
        *((name, 0, 1) for name in ("depth", "width", "token_hidden", "act_degree", "hypernet_degree", "heads")),
        ("channel_degree", 0, 1), ("act_degree", -3, 1), ("depth", -1, 1), ("tokens", 1, 2), ("tokens", 0, 2),
    ],
)  # fmt: skip
def test_numbers_that_are_too_small_are_refused(name: str, value: int, least: int) -> None:
    with pytest.raises(InputError, match=f"{name} must be at least {least}, got {value}"):
        spec_of("hypermixing", **{name: value})


@pytest.mark.parametrize(
    "name, value",
    [("depth", 1.5), ("width", "wide"), ("tokens", True), ("depth", None), ("residual", 1), ("tied", "maybe")],
)
def test_values_of_another_kind_are_refused(name: str, value: Any) -> None:
    with pytest.raises(InputError, match=name):
        spec_of("hypermixing", **{name: value})


@pytest.mark.parametrize(
    "name, value, meant",
    [
        ("kind", "atention", "attention"),
        ("kind", "hypermixer", "hypermixing"),
        ("permutation", "token", "tokens"),
        ("readout", "secnd", "second"),
        ("positions", "hypernets", "hypernet"),
    ],
)
def test_unknown_choices_name_the_nearest(name: str, value: str, meant: str) -> None:
    with pytest.raises(InputError, match=f"{value}.*did you mean '{meant}'"):
        spec_of(**{"kind": "attention", name: value})


def test_unknown_fields_name_the_nearest() -> None:
    with pytest.raises(InputError, match=r"dept'.*did you mean 'depth'"):
        spec_of("attention", dept=2)


@pytest.mark.parametrize(
    "name, value, kinds",
    [
        ("token_hidden", 4, {"hypermixing", "static"}),
        ("act_degree", 3, {"hypermixing", "static"}),
        ("hypernet_degree", 2, {"hypermixing"}),
        ("heads", 2, {"attention", "hypermixing"}),
        ("tied", True, {"hypermixing"}),
        ("positions", "hypernet", {"hypermixing"}),
        ("positions", "input", set(KINDS)),
        ("channel_degree", 3, set(KINDS)),
        ("residual", True, set(KINDS)),
    ],
)
def test_fields_are_refused_where_they_have_no_use(name: str, value: Any, kinds: set[str]) -> None:
    for kind in KINDS:
        if kind in kinds:
            assert getattr(spec_of(kind, **{name: value}), name) == value
        else:
            with pytest.raises(InputError, match=f"{name}=.*{value}.*'{kind}'.*hypermixing"):
                spec_of(kind, **{name: value})


def test_hidden_rows_by_default() -> None:
    assert spec_of("static", tokens=6).hidden == 6
    assert spec_of("hypermixing", width=4, heads=2).hidden == 8
    assert spec_of("hypermixing", token_hidden=3).hidden == spec_of("static", token_hidden=3).hidden == 3


@pytest.mark.parametrize("k, m, q", list(itertools.product((1, 2, 3), (1, 2), (1, 2, 3))))
def test_degrees_of_a_layer(k: int, m: int, q: int) -> None:
    by_kind: dict[str, tuple[dict[str, int], int]] = {
        "attention": ({}, 3),
        "hypermixing": ({"act_degree": k, "hypernet_degree": m}, m + k * (m + 1)),
        "static": ({"act_degree": k}, k),
        "gmlp": ({}, 2),
        "linear": ({}, 1),
    }
    assert set(by_kind) == set(KINDS)
    for kind, (fields, own) in by_kind.items():
        for depth in (1, 2, 4):
            spec = spec_of(kind, **fields, depth=depth, channel_degree=q)
            assert layer_degree(spec) == own * q
            assert degree(spec) == (own * q) ** depth


def test_which_tokens_meet_in_second_moments_alone() -> None:
    assert spec_of("attention", residual=True, positions="input", heads=2).moments
    assert spec_of("attention", depth=1, permutation="tokens").moments
    assert spec_of("hypermixing", act_degree=3, tied=True).moments
    others: list[tuple[str, dict[str, Any]]] = [
        ("hypermixing", {"hypernet_degree": 2}), ("hypermixing", {"positions": "hypernet"}), ("static", {}),
        ("attention", {"channel_degree": 2}), ("attention", {"permutation": "coordinates"}), ("gmlp", {}),
        ("attention", {"permutation": "shift"}), ("linear", {}), ("attention", {"permutation": "tokens"}),
    ]  # fmt: skip
    assert not any(spec_of(kind, **fields).moments for kind, fields in others)


def test_which_outputs_are_homogeneous() -> None:
    assert spec_of("hypermixing", channel_degree=2, permutation="shift").homogeneous
    for fields in ({"residual": True}, {"positions": "input"}, {"positions": "hypernet"}):
        assert not spec_of("hypermixing", **fields).homogeneous


@pytest.mark.parametrize("kind", KINDS)
def test_there_and_back_through_json(kind: str) -> None:
    spec = spec_of(kind, tokens=5, partition=((4, 0), (1, 2, 3)), residual=True, channel_degree=2)
    again = spec_of(**json.loads(json.dumps(spec.as_dict())))
    assert again == spec and hash(again) == hash(spec)


@pytest.mark.parametrize(
    "text, sides", [("0,2/1,3", ((0, 2), (1, 3))), (" 1 , 0 /2", ((1, 0), (2,))), ("/0", ((), (0,)))]
)
def test_partitions_in_words(text: str, sides: Any) -> None:
    assert parse_partition(text) == sides


@pytest.mark.parametrize("text", ["", "0,1", "0/1/2", "a/b", "0.5/1", "0;1/2"])
def test_other_words_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="0,2/1,3"):
        parse_partition(text)

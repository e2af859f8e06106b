"""Polynomial twins, against their equations in Python's integers, one input after the other."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hypermixer.expressivity.field import PRIME, SECOND_PRIME, Elements, Field
from hypermixer.expressivity.forward import Network, joined, network
from hypermixer.expressivity.spec import KINDS, PolyMixerSpec, degree, spec_of, total_degree

Integers = NDArray[np.object_]

#: Each option alone, and together with others.
CASES: list[tuple[str, dict[str, Any]]] = [
    *((kind, {}) for kind in KINDS),
    *((kind, {"residual": True, "channel_degree": 2}) for kind in KINDS),
    *((kind, {"positions": "input", "readout": "mean"}) for kind in KINDS),
    *((kind, {"permutation": "tokens", "depth": 3, "tokens": 6, "readout": "second"}) for kind in KINDS),
    *((kind, {"permutation": "coordinates", "tokens": 3, "partition": ((2, 0), (1,))}) for kind in KINDS),
    *((kind, {"permutation": "shift", "width": 4, "residual": True}) for kind in KINDS),
    *((kind, {"channel_degree": 3, "width": 1, "depth": 1}) for kind in KINDS),
    *((kind, {"width": 19, "tokens": 2, "depth": 1}) for kind in KINDS),  # products that are left to BLAS
    ("attention", {"heads": 3, "width": 6}),
    ("attention", {"heads": 2, "width": 2, "residual": True, "readout": "mean", "positions": "input"}),
    ("hypermixing", {"heads": 2, "width": 4}),
    ("hypermixing", {"heads": 2, "width": 6, "token_hidden": 10, "hypernet_degree": 3, "act_degree": 3}),
    ("hypermixing", {"tied": True}),
    ("hypermixing", {"tied": True, "heads": 3, "width": 3, "hypernet_degree": 2, "readout": "second"}),
    ("hypermixing", {"act_degree": 1, "token_hidden": 1}),
    ("hypermixing", {"positions": "hypernet"}),
    ("hypermixing", {"positions": "hypernet", "hypernet_degree": 2, "heads": 2, "tied": True, "readout": "mean"}),
    ("hypermixing", {"token_hidden": 23, "depth": 1}),
    ("hypermixing", {"width": 34, "heads": 2, "hypernet_degree": 2, "token_hidden": 40, "tokens": 2, "depth": 1}),
    ("static", {"token_hidden": 1, "act_degree": 3}),
    ("static", {"token_hidden": 7, "act_degree": 1, "residual": True}),
]


def naive(net: Network, x: Integers) -> int:
    """The output for one input [N, D], over the integers until the end of each layer."""
    spec, p = net.spec, net.field.p
    codes = None if net.codes is None else net.codes[..., 0].astype(object)
    if spec.positions == "input":
        x = x + codes
    for number, weights in enumerate(net.layers):
        w = {name: value.astype(object) for name, value in weights.items()}
        if number:
            x = moved(net, number, x)
        y = (mixed(spec, w, x, x + codes if spec.positions == "hypernet" else x) @ w["channels"]) ** spec.channel_degree
        x = (y + x if spec.residual else y) % p
    first, second = spec.sides
    tokens = {"first": [first[0]], "second": [second[0]], "mean": list(range(spec.tokens))}[spec.readout]
    return sum(x[token, 0] for token in tokens) % p


def mixed(spec: PolyMixerSpec, w: dict[str, Integers], x: Integers, informed: Integers) -> Integers:
    k, m, heads = spec.act_degree, spec.hypernet_degree, range(spec.heads)
    match spec.kind:
        case "attention":
            parts = [((x @ w["query"][h]) @ (x @ w["key"][h]).T) @ (x @ w["value"][h]) for h in heads]
            return np.concatenate(parts, axis=1)
        case "hypermixing":
            parts = []
            for h, z, own in zip(heads, np.split(informed, spec.heads, 1), np.split(x, spec.heads, 1), strict=True):

                def generated(name: str, h: int = h, z: Integers = z) -> Integers:
                    inner = z if m == 1 else (z @ w[f"{name} hidden"][h]) ** m
                    return inner @ w[name][h]

                h2 = generated("write")
                h1 = h2 if spec.tied else generated("read")
                parts.append(h1 @ (h2.T @ own) ** k)
            return np.concatenate(parts, axis=1)
        case "static":
            return w["read"] @ (w["write"] @ x) ** k
        case "gmlp":
            return (x @ w["content"]) * (w["tokens"] @ (x @ w["gate"]))
    assert spec.kind == "linear"
    return w["tokens"] @ x


def moved(net: Network, number: int, x: Integers) -> Integers:
    """By what the network says, except shifts: of thirds of the channels, or of halves where there are two."""
    permutation = net.permutations[number]
    match net.spec.permutation:
        case "none":
            assert permutation is None
            return x
        case "tokens":
            assert permutation is not None and sorted(permutation) == list(range(net.spec.tokens))
            return x[permutation]
        case "coordinates":
            assert permutation is not None and sorted(permutation) == list(range(x.size))
            return x.reshape(-1)[permutation].reshape(x.shape)
    result, width = x.copy(), x.shape[1]
    for channel in range(width):
        group = channel * 3 // width if width > 2 else channel
        result[:, channel] = np.roll(x[:, channel], {0: 1, 1: -1}.get(group, 0))
    return result


def inputs(spec: PolyMixerSpec, field: Field, count: int) -> Elements:
    return field.uniform(np.random.default_rng(5), spec.tokens, spec.width, count)


@pytest.mark.parametrize("p", [PRIME, SECOND_PRIME, 7])
@pytest.mark.parametrize("kind, fields", CASES, ids=str)
def test_it_is_the_equations(kind: str, fields: dict[str, Any], p: int) -> None:
    spec, field = spec_of(kind, **fields), Field(p)
    net = network(spec, field, seed=3)
    x = inputs(spec, field, 5)
    kept = x.copy()
    found = net(x)
    assert found.shape == (5,) and found.dtype == np.uint64
    assert (x == kept).all()
    assert found.tolist() == [naive(net, kept[..., i].astype(object)) for i in range(5)]


@pytest.mark.parametrize("kind", KINDS)
def test_there_are_no_weights_without_effect(kind: str) -> None:
    """Each matrix of each layer changes the output."""
    fields: dict[str, Any] = {"hypernet_degree": 2, "positions": "hypernet"} if kind == "hypermixing" else {}
    spec, field = spec_of(kind, tokens=3, partition=((0,), (1, 2)), width=3, **fields), Field()
    net, x = network(spec, field, seed=0), inputs(spec, field, 4)
    before = net(x)
    arrays = [array for layer in net.layers for array in layer.values()] + ([] if net.codes is None else [net.codes])
    for array in arrays:
        kept = array.copy()
        array += np.uint64(1)
        array %= np.uint64(field.p)
        assert (net(x) != before).any()
        array[:] = kept
    assert (net(x) == before).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_gives_the_same_network_again(kind: str) -> None:
    spec, field = spec_of(kind, permutation="coordinates", positions="input", depth=3), Field()
    x = inputs(spec, field, 6)
    assert (network(spec, field, 1)(x) == network(spec, field, 1)(x)).all()
    assert (network(spec, field, 1)(x) != network(spec, field, 2)(x)).all()
    first, second = network(spec, field, 1).layers[:2]
    assert all((first[name] != second[name]).any() for name in first)


@pytest.mark.parametrize("kind, fields", CASES, ids=str)
def test_degrees_are_seen_when_everything_is_scaled(kind: str, fields: dict[str, Any]) -> None:
    """Of the output in the input, and in input and weights together."""
    spec, field = spec_of(kind, **{**fields, "residual": False, "positions": "none"}), Field()
    net, x, t = network(spec, field, 0), inputs(spec, field, 3), 12345
    before = net(x)
    assert (before > 0).all()
    larger = field.reduced(x * np.uint64(t))
    assert net(larger).tolist() == [int(y) * pow(t, degree(spec), field.p) % field.p for y in before]
    for layer in net.layers:
        for name, weight in layer.items():
            layer[name] = field.reduced(weight * np.uint64(t))
    assert net(larger).tolist() == [int(y) * pow(t, total_degree(spec), field.p) % field.p for y in before]


def test_nothing_moves_before_the_first_layer() -> None:
    for permutation in ("tokens", "coordinates", "shift"):
        net = network(spec_of("static", depth=4, tokens=8, permutation=permutation), Field(), 0)
        assert [moved is None for moved in net.permutations] == [True, False, False, False]


@pytest.mark.parametrize("partition", [None, ((3, 0), (2, 1)), ((1,), (0, 3, 2)), ((0, 1, 3), (2,))])
def test_sides_are_joined_pair_by_pair(partition: Any) -> None:
    spec, field = spec_of("linear", width=3, partition=partition), Field()
    sides = spec.sides
    generator = np.random.default_rng(0)
    first, second = (field.uniform(generator, count, len(side), 3) for count, side in zip((2, 5), sides, strict=True))
    x = joined(spec, first, second)
    assert x.shape == (4, 3, 10)
    for r in range(2):
        for s in range(5):
            both = x[..., 5 * r + s]
            assert (both[list(sides[0])] == first[r]).all() and (both[list(sides[1])] == second[s]).all()

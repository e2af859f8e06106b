"""Polynomial twins evaluated exactly, many inputs at a time: the last axis of every array runs over inputs.

A product over tokens is taken before one over hidden rows or scores: (Q K') V is Q (K' V), the same polynomial.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hypermixer.expressivity.field import Elements, Field
from hypermixer.expressivity.rank import Indices
from hypermixer.expressivity.spec import PolyMixerSpec

#: Sums over more terms are left to BLAS.
_WIDE = 16
#: Weights of a layer by name.
Layer = dict[str, Elements]


@dataclass(frozen=True)
class Network:
    """A network with its weights.

    Attributes:
        spec: what it computes.
        field: in which.
        layers: weights of each.
        codes: [N, D, 1], position codes; None where there are none.
        permutations: before each layer but the first, of tokens [N] or coordinates [N D]; None where there are none.
    """

    spec: PolyMixerSpec
    field: Field
    layers: tuple[Layer, ...]
    codes: Elements | None
    permutations: tuple[Indices | None, ...]

    def __call__(self, x: Elements) -> Elements:
        """[N, D, P] -> [P]: one coordinate of one token, or of the sum of all tokens."""
        spec, everywhere = self.spec, slice(None)
        if spec.positions == "input":
            assert self.codes is not None
            x = self.field.reduced(x + self.codes)
        token = spec.sides[spec.readout == "second"][0]
        wanted = everywhere if spec.readout == "mean" else slice(token, token + 1)
        for number, layer in enumerate(self.layers):
            last = number == len(self.layers) - 1
            x = self._layer(layer, self._moved(x, number), wanted if last else everywhere)
        return self.field.reduced(x[:, 0].sum(0))

    def _layer(self, layer: Layer, x: Elements, rows: slice) -> Elements:
        """The output of one layer at some tokens [rows, D, P]; a token's is its own, all are read."""
        field, spec = self.field, self.spec
        y = right(field, _MIXERS[spec.kind](self, layer, x, rows), layer["channels"])
        y = field.power(y, spec.channel_degree)
        return field.reduced(y + x[rows]) if spec.residual else y

    def _moved(self, x: Elements, number: int) -> Elements:
        permutation = self.permutations[number]
        if permutation is None:
            return x
        if self.spec.permutation == "tokens":
            return x[permutation]
        return x.reshape(-1, x.shape[2])[permutation].reshape(x.shape)


def network(spec: PolyMixerSpec, field: Field, seed: int) -> Network:
    """With weights drawn uniformly from the field."""
    generator = np.random.default_rng([seed, 0])
    layers = tuple(
        {name: field.uniform(generator, *shape) for name, shape in _shapes(spec).items()} for _ in range(spec.depth)
    )
    codes = None if spec.positions == "none" else field.uniform(generator, spec.tokens, spec.width, 1)
    moved = tuple(_permutation(spec, generator) if number else None for number in range(spec.depth))
    return Network(spec, field, layers, codes, moved)


def _permutation(spec: PolyMixerSpec, generator: np.random.Generator) -> Indices | None:
    n, d = spec.tokens, spec.width
    match spec.permutation:
        case "tokens":
            return generator.permutation(n)
        case "coordinates":
            return generator.permutation(n * d)
        case "shift":  # channels in three groups: from the token before, from the next one, from the token itself
            token, channel = np.divmod(np.arange(n * d), d)
            by = np.array([-1, 1, 0])[channel * 3 // d if d > 2 else channel % 2]
            return (token + by) % n * d + channel
    return None


def _shapes(spec: PolyMixerSpec) -> dict[str, tuple[int, ...]]:
    """Of a layer's weights; heads stand first."""
    n, d, t, h = spec.tokens, spec.width, spec.hidden, spec.heads
    shapes: dict[str, tuple[int, ...]] = {"channels": (d, d)}
    match spec.kind:
        case "attention":
            return shapes | dict.fromkeys(("query", "key", "value"), (h, d, d // h))
        case "static":
            return shapes | {"write": (t, n), "read": (n, t)}
        case "gmlp":
            return shapes | {"content": (d, d), "gate": (d, d), "tokens": (n, n)}
        case "linear":
            return shapes | {"tokens": (n, n)}
    names = ("write",) if spec.tied else ("write", "read")
    if spec.hypernet_degree > 1:
        shapes |= {f"{name} hidden": (h, d // h, t // h) for name in names}
    return shapes | dict.fromkeys(names, (h, t // h if spec.hypernet_degree > 1 else d // h, t // h))


# --- Products -----------------------------------------------------------------------------------------------------


def right(field: Field, x: Elements, weight: Elements) -> Elements:
    """[n, a, P] and [a, b] -> [n, b, P]."""
    if len(weight) > _WIDE:
        columns = np.ascontiguousarray(weight.T)
        return np.stack([field.product(columns, token) for token in x])
    return field.sum_of_products((x[:, i, None], weight[i, :, None]) for i in range(len(weight)))


def left(field: Field, weight: Elements, x: Elements) -> Elements:
    """[m, n] and [n, d, P] -> [m, d, P]."""
    return field.sum_of_products((weight[:, i, None, None], x[i]) for i in range(len(x)))


def over_tokens(field: Field, x: Elements, y: Elements) -> Elements:
    """X' Y: [n, a, P] and [n, b, P] -> [a, b, P]."""
    return field.sum_of_products((x[i, :, None], y[i]) for i in range(len(x)))


def from_state(field: Field, x: Elements, state: Elements) -> Elements:
    """X S: [n, a, P] and [a, b, P] -> [n, b, P]."""
    return field.sum_of_products((x[:, i, None], state[i]) for i in range(len(state)))


# --- Mixers: [N, D, P] -> [rows, D, P], before the channel matrix -----------------------------------------------------


def _attention(net: Network, layer: Layer, x: Elements, rows: slice) -> Elements:
    field, heads = net.field, []
    for query, key, value in zip(layer["query"], layer["key"], layer["value"], strict=True):
        state = over_tokens(field, right(field, x, key), right(field, x, value))
        heads.append(from_state(field, right(field, x[rows], query), state))
    return np.concatenate(heads, axis=1)


def _hypermixing(net: Network, layer: Layer, x: Elements, rows: slice) -> Elements:
    field, spec = net.field, net.spec
    informed = x if spec.positions != "hypernet" or net.codes is None else field.reduced(x + net.codes)
    width, mixed = spec.width // spec.heads, []
    for head in range(spec.heads):
        columns = slice(head * width, (head + 1) * width)
        z = informed[:, columns]
        write = _generated(net, layer, "write", head, z)
        state = field.power(over_tokens(field, write, x[:, columns]), spec.act_degree)
        read = write[rows] if spec.tied else _generated(net, layer, "read", head, z[rows])
        mixed.append(from_state(field, read, state))
    return np.concatenate(mixed, axis=1)


def _generated(net: Network, layer: Layer, name: str, head: int, z: Elements) -> Elements:
    """A hypernetwork's weights for tokens z [n, D/H, P] -> [n, T/H, P]."""
    if net.spec.hypernet_degree > 1:
        z = net.field.power(right(net.field, z, layer[f"{name} hidden"][head]), net.spec.hypernet_degree)
    return right(net.field, z, layer[name][head])


def _static(net: Network, layer: Layer, x: Elements, rows: slice) -> Elements:
    hidden = net.field.power(left(net.field, layer["write"], x), net.spec.act_degree)
    return left(net.field, layer["read"][rows], hidden)


def _gmlp(net: Network, layer: Layer, x: Elements, rows: slice) -> Elements:
    gate = left(net.field, layer["tokens"][rows], right(net.field, x, layer["gate"]))
    return net.field.reduced(right(net.field, x[rows], layer["content"]) * gate)


def _linear(net: Network, layer: Layer, x: Elements, rows: slice) -> Elements:
    return left(net.field, layer["tokens"][rows], x)


_MIXERS = {
    "attention": _attention,
    "hypermixing": _hypermixing,
    "static": _static,
    "gmlp": _gmlp,
    "linear": _linear,
}


def joined(spec: PolyMixerSpec, first: Elements, second: Elements) -> Elements:
    """Every input of the first side [r, |A|, D] with every one of the second [s, |B|, D] -> [N, D, r s]."""
    x = np.empty((spec.tokens, spec.width, len(first), len(second)), first.dtype)
    sides: Sequence[tuple[int, ...]] = spec.sides
    x[list(sides[0])] = first.transpose(1, 2, 0)[..., None]
    x[list(sides[1])] = second.transpose(1, 2, 0)[..., None, :]
    return x.reshape(spec.tokens, spec.width, -1)

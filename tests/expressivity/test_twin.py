"""Polynomial twins of real encoders, against the same polynomial in fractions."""

import json
import math
from collections.abc import Callable
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hypermixer.encoder import Encoder
from hypermixer.encoder_config import LAYOUTS, EncoderConfig
from hypermixer.errors import InputError, WorkError
from hypermixer.expressivity import separation
from hypermixer.expressivity.bounds import bounds
from hypermixer.expressivity.counts import smaller_of_monomials
from hypermixer.expressivity.field import PRIME, SECOND_PRIME, Elements, Field
from hypermixer.expressivity.separation import separation_rank
from hypermixer.expressivity.spec import spec_of
from hypermixer.expressivity.twin import CAVEAT, Twin, polynomial_twin
from hypermixer.expressivity.twin_layers import Maker
from hypermixer.hf.configuration import HyperMixerConfig
from hypermixer.hf.modeling import HyperMixerForSequenceClassification
from hypermixer.mixers import MIXERS, Sequences

Fractions = NDArray[np.object_]

MIXED: list[tuple[str, dict[str, Any]]] = [
    ("attention", {"num_heads": 1}),
    ("attention", {"num_heads": 2, "bias": False}),
    ("hypermixing", {}),
    ("hypermixing", {"tied": False, "num_heads": 2, "d_hidden": 6}),
    ("hypermixing", {"num_heads": 4, "positions": "none", "bias": False, "normalization": "none"}),
    ("hypermixing", {"tied": False, "positions": "idiap", "d_hidden": 1}),
    ("mlp_mixer", {"d_hidden": 3, "max_length": 9}),
    ("mlp_mixer", {"bias": False, "max_length": 4}),
    ("gmlp", {"d_hidden": 6, "max_length": 7}),
    ("gmlp", {"bias": False, "max_length": 4}),
    ("none", {}),
    ("shift", {}),
    ("shift", {"reach": 2}),
    ("cycle", {"kernel": 3}),
    ("fnet", {}),
    ("fnet", {"scale": "ortho"}),
    ("permutator", {"side": 2, "segments": 2}),
    ("permutator", {"side": 3, "segments": 4}),
    ("hypermixing", {"normalization": "length", "tied": False}),
    ("hypermixing", {"num_heads": 2, "projections": True, "normalization": "none"}),
]
#: One of each mixer, and what multiplies the degree.
DEGREES: list[tuple[str, dict[str, Any], int]] = [
    ("attention", {"num_heads": 1}, 3), ("hypermixing", {}, 8), ("mlp_mixer", {}, 2), ("gmlp", {}, 4), ("none", {}, 1),
    ("shift", {}, 2), ("cycle", {"kernel": 3}, 1), ("fnet", {}, 1), ("permutator", {"side": 2, "segments": 2}, 1),
]  # fmt: skip


def encoder_of(mixer: str, options: dict[str, Any], **changes: Any) -> Encoder:
    """Of width 4, with weights of every sign and size, those of norms and closed gates included."""
    shape: dict[str, Any] = {"vocab_size": 11, "hidden_size": 4, "num_hidden_layers": 1, "intermediate_size": 3}
    encoder = Encoder(EncoderConfig(**{**shape, **changes}), mixer, options)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return encoder


# --- The same in fractions --------------------------------------------------------------------------------------------


def fractions(tensor: Tensor) -> Fractions:
    """The values as they are."""
    values = tensor.detach().double().numpy()
    result = np.empty(values.size, object)
    result[:] = [Fraction(value) for value in values.ravel().tolist()]
    return result.reshape(values.shape)


def affine(layer: Any, x: Fractions) -> Fractions:
    return x @ fractions(layer.weight).T + fractions(layer.bias)


def moved(x: Fractions, offsets: list[int], *, keep_edge: bool) -> Fractions:
    """Channels fall into groups, the first of which are larger by one where they must be."""
    (n, d), y = x.shape, x.copy()
    few, larger = divmod(d, len(offsets))
    ends = [(group + 1) * few + min(group + 1, larger) for group in range(len(offsets))]
    for token in range(n):
        for channel in range(d):
            there = token + offsets[next(group for group, end in enumerate(ends) if channel < end)]
            if 0 <= there < n:
                y[token, channel] = x[there, channel]
            elif not keep_edge:
                y[token, channel] = Fraction(0)
    return y


def cycle(mixer: Any, x: Fractions) -> Fractions:
    half = mixer.config.kernel // 2
    around = moved(x, list(range(-half, half + 1)), keep_edge=False)
    return affine(mixer.out, affine(mixer.cycle, around) + affine(mixer.channels, x))


def fourier(mixer: Any, x: Fractions) -> Fractions:
    n, d = x.shape
    y = np.empty((n, d), object)
    for a, b in np.ndindex(n, d):
        turns = [Fraction(a * i, n) + Fraction(b * j, d) for i, j in np.ndindex(n, d)]
        waves = [Fraction(math.cos(2 * math.pi * float(turn % 1))) for turn in turns]
        y[a, b] = sum(value * wave for value, wave in zip(x.ravel(), waves, strict=True))
    return y / Fraction(math.sqrt(n * d)) if mixer.config.scale == "ortho" else y


def folded(mixer: Any, x: Fractions) -> Fractions:
    """In rows: a cell that no token fills is zero, and what comes out of it is lost."""
    (n, d), side, groups = x.shape, mixer.config.side, mixer.config.segments
    rows, columns, places = -(-n // side), min(n, side), d // groups
    cells = np.full((rows * columns, groups, places), Fraction(0), object)
    cells[:n] = x.reshape(n, groups, places)
    cells = cells.reshape(rows, columns, groups, places)
    down, along = (
        (fractions(axis.weight)[:size, :, :size], fractions(axis.bias)[:size])
        for axis, size in ((mixer.down, rows), (mixer.along, columns))
    )
    y = np.empty(cells.shape, object)
    for r, c, g, q in np.ndindex(cells.shape):
        over_rows = (down[0][r, g] * cells[:, c, :, q]).sum() + down[1][r, g]
        over_columns = (along[0][c, g] * cells[r, :, :, q]).sum() + along[1][c, g]
        y[r, c, g, q] = over_rows + over_columns
    return affine(mixer.out, y.reshape(-1, d)[:n] + affine(mixer.channels, x))


#: Mixers that are affine maps: the matrix of the whole is rounded, not its factors.
AFFINE: dict[str, Callable[[Any, Fractions], Fractions]] = {"Cycle": cycle, "FNet": fourier, "Permutator": folded}


class Exact:
    """An encoder without softmax and norms, with weights that are multiples of 2^-bits and powers for activations."""

    def __init__(self, encoder: Encoder, k: int, bits: int) -> None:
        self.encoder, self.k, self.scale = encoder, k, 2**bits

    def w(self, tensor: Tensor) -> Fractions:
        return self.rounded(fractions(tensor))

    def rounded(self, values: Fractions) -> Fractions:
        result = values.copy()
        for place, value in np.ndenumerate(values):
            result[place] = Fraction(round(value * self.scale), self.scale)
        return result

    def linear(self, layer: Any, x: Fractions) -> Fractions:
        y = x @ self.w(layer.weight).T
        return y if layer.bias is None else y + self.w(layer.bias)

    def __call__(self, x: Fractions) -> Fractions:
        for block in self.encoder.blocks:
            x = self.block(block, x)
        return x

    def block(self, block: Any, x: Fractions) -> Fractions:
        a, b, *_ = [*(self.w(block.gates) if block.layout == "rezero" else []), Fraction(1), Fraction(1)]
        x1 = x + a * self.mixed(block.mixer, x)
        if block.features is None:
            return x1

        def features(z: Fractions) -> Fractions:
            return self.linear(block.features[2], self.linear(block.features[0], z) ** self.k)

        match block.layout:
            case "serialized":
                return x + features(x1)
            case "parallel":
                return x1 + features(x)
        return x1 + b * features(x1)

    def mixed(self, mixer: Any, x: Fractions) -> Fractions:
        name = type(mixer).__name__
        return self.affine(AFFINE[name], mixer, x) if name in AFFINE else getattr(self, name)(mixer, x)

    def affine(self, function: Callable[[Any, Fractions], Fractions], mixer: Any, x: Fractions) -> Fractions:
        nothing = np.full(x.shape, Fraction(0), object)
        shift = function(mixer, nothing)
        y = self.rounded(shift)
        for place in np.ndindex(x.shape):
            one = nothing.copy()
            one[place] = Fraction(1)
            y = y + self.rounded(function(mixer, one) - shift) * x[place]
        return y

    def Shift(self, mixer: Any, x: Fractions) -> Fractions:
        reach = mixer.config.reach
        offsets = [*range(-reach, 0), *range(1, reach + 1)]
        return self.linear(mixer.after, moved(self.linear(mixer.before, x) ** self.k, offsets, keep_edge=True))

    def NoMixing(self, mixer: Any, x: Fractions) -> Fractions:
        return x

    def Attention(self, mixer: Any, x: Fractions) -> Fractions:
        query, key, value = (np.split(part, mixer.num_heads, 1) for part in np.split(self.linear(mixer.qkv, x), 3, 1))
        heads = [(q @ k.T) @ v for q, k, v in zip(query, key, value, strict=True)]
        return self.linear(mixer.out, np.concatenate(heads, axis=1))

    def MLPMixer(self, mixer: Any, x: Fractions) -> Fractions:
        n = len(x)
        hidden = self.w(mixer.hidden.weight)[:, :n] @ x
        if mixer.hidden.bias is not None:
            hidden = hidden + self.w(mixer.hidden.bias)[:, None]
        return self.w(mixer.out.weight)[:n] @ hidden**self.k

    def GMLP(self, mixer: Any, x: Fractions) -> Fractions:
        n = len(x)
        content, gate = np.split(self.linear(mixer.up, x) ** self.k, 2, axis=1)
        gate = self.w(mixer.spatial_weight)[:n, :n] @ gate + self.w(mixer.spatial_bias)[:n, None]
        return self.linear(mixer.down, content * gate)

    def HyperMixingMixer(self, mixer: Any, x: Fractions) -> Fractions:
        layer, (n, d) = mixer.mixing, x.shape
        z = x
        if layer.positions == "sinusoidal":
            angles = [[p / 10_000 ** (i // 2 * 2 / d) for i in range(d)] for p in range(n)]
            z = x + self.waves(angles)
        elif layer.positions == "idiap":
            angles = [[(p + 1) / 10_000 ** (2 * i / d) for i in range(d)] for p in range(n)]
            z = x * self.w(torch.tensor([math.sqrt(d)], dtype=torch.float64)) + self.waves(angles, single=True)
        values = x if layer.value_projection is None else self.linear(layer.value_projection, x)
        parts = []
        for head, (zs, xs) in enumerate(zip(*(np.split(t, layer.num_heads, 1) for t in (z, values)), strict=True)):
            write = self.generated(layer.key_net, head, zs)
            read = write if layer.query_net is None else self.generated(layer.query_net, head, zs)
            state = write.T @ xs / Fraction(n if layer.normalization == "length" else 1)
            parts.append(read @ state**self.k)
        y = np.concatenate(parts, axis=1)
        return y if layer.output_projection is None else self.linear(layer.output_projection, y)

    def waves(self, angles: list[list[float]], *, single: bool = False) -> Fractions:
        waves = [[math.cos(a) if i % 2 else math.sin(a) for i, a in enumerate(row)] for row in angles]
        codes = torch.tensor(waves, dtype=torch.float64)
        return self.w(codes.float() if single else codes)

    def generated(self, net: Any, head: int, z: Fractions) -> Fractions:
        for number, layer in enumerate((net.hidden, net.out)):
            z = (z**self.k if number else z) @ self.w(layer.weight[head]).T
            if layer.bias is not None:
                z = z + self.w(layer.bias[head])
        return z


def remainder(value: Any, p: int) -> int:
    value = Fraction(value)
    return value.numerator * pow(value.denominator, -1, p) % p


def inputs(p: int, width: int = 4, tokens: int = 4, count: int = 2) -> Elements:
    return Field(p).uniform(np.random.default_rng(1), tokens, width, count)


def check(encoder: Encoder, *, k: int = 2, bits: int = 30, prime: int = PRIME, tokens: int = 4) -> None:
    x = inputs(prime, encoder.embeddings.tokens.embedding_dim, tokens)
    exact = [Exact(encoder, k, bits)(x[..., i].astype(object)) for i in range(x.shape[2])]
    for readout in ("first", "second", "mean"):
        twin = polynomial_twin(encoder, tokens=tokens, act_degree=k, bits=bits, prime=prime, readout=readout)
        read = {"first": [0], "second": [tokens // 2], "mean": range(tokens)}[readout]
        wanted = [remainder(sum(y[token, 0] for token in read), prime) for y in exact]
        assert twin(x.copy()).tolist() == wanted


@pytest.mark.parametrize("feature_mixing", [True, False])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("mixer, options", MIXED, ids=str)
def test_it_is_the_polynomial(mixer: str, options: dict[str, Any], layout: str, feature_mixing: bool) -> None:
    check(encoder_of(mixer, options, layout=layout, feature_mixing=feature_mixing))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("mixer, options", [MIXED[i] for i in (1, 3, 6, 8, 11, 13, 15, 17)], ids=str)
def test_blocks_follow_each_other(mixer: str, options: dict[str, Any], layout: str) -> None:
    check(encoder_of(mixer, options, layout=layout, num_hidden_layers=2), bits=4)


@pytest.mark.parametrize("k, bits, prime", [(1, 30, PRIME), (3, 8, PRIME), (2, 0, 7), (2, 40, SECOND_PRIME)])
@pytest.mark.parametrize("mixer, options", [MIXED[i] for i in (0, 3, 6, 8, 11, 18)], ids=str)
def test_other_powers_roundings_and_primes(mixer: str, options: dict[str, Any], k: int, bits: int, prime: int) -> None:
    check(encoder_of(mixer, options), k=k, bits=bits, prime=prime)


@pytest.mark.parametrize("mixer, options", [MIXED[i] for i in (0, 4, 6, 8, 11)], ids=str)
def test_more_bits_than_a_word_holds(mixer: str, options: dict[str, Any]) -> None:
    check(encoder_of(mixer, options), bits=100)


@pytest.mark.parametrize("k, bits, prime", [(3, 8, PRIME), (2, 0, 7), (1, 24, SECOND_PRIME)])
@pytest.mark.parametrize("mixer, options", MIXED[13:18], ids=str)
def test_other_roundings_of_affine_mixers(mixer: str, options: dict[str, Any], k: int, bits: int, prime: int) -> None:
    """Their matrix is found in float64: with many more bits the last ones would be those of its errors."""
    check(encoder_of(mixer, options), k=k, bits=bits, prime=prime)


@pytest.mark.parametrize(
    "mixer, options, width, tokens",
    [
        ("cycle", {"kernel": 5}, 6, 2),
        ("cycle", {"kernel": 3}, 5, 6),
        ("shift", {"reach": 3}, 7, 6),
        ("shift", {"reach": 2}, 5, 2),
        ("fnet", {}, 6, 6),
        ("fnet", {"scale": "ortho"}, 5, 2),
        ("permutator", {"side": 4, "segments": 3}, 6, 6),
        ("permutator", {"side": 9, "segments": 1}, 3, 6),
    ],
    ids=str,
)
def test_mixers_by_place_at_other_sizes(mixer: str, options: dict[str, Any], width: int, tokens: int) -> None:
    check(encoder_of(mixer, options, hidden_size=width), tokens=tokens)


@pytest.mark.parametrize("readout, token", [("first", 0), ("second", 2)])
@pytest.mark.parametrize("mixer, options", MIXED[11:18], ids=str)
def test_it_is_the_mixer_itself_with_a_power_for_its_activation(
    mixer: str, options: dict[str, Any], readout: str, token: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On small integers, which float64 holds exactly."""
    monkeypatch.setattr("hypermixer.mixers.shift.F", SimpleNamespace(gelu=lambda x: x**2))
    encoder = plain(mixer, options).double()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.copy_(4 * torch.randint(-3, 4, parameter.shape, generator=generator))
    x = torch.randint(-5, 6, (6, 4, 4), generator=generator, dtype=torch.float64)
    block: Any = encoder.blocks[0]
    with torch.no_grad():
        real = x + block.gates[0] * block.mixer(x, Sequences.padded(x))
    wanted = [round(value) for value in real[:, token, 0].tolist()]
    assert np.allclose(real[:, token, 0], wanted, rtol=0, atol=1e-9)
    given = Field().elements(x.permute(1, 2, 0).to(torch.int64).numpy())
    for bits in (2, 30):
        found = polynomial_twin(encoder, tokens=4, bits=bits, readout=readout)(given.copy())
        assert found.tolist() == [value % PRIME for value in wanted]


@pytest.mark.parametrize("size", [1e10, 1e12])
@pytest.mark.parametrize("mixer, options", [MIXED[i] for i in (0, 3, 6, 8, 10, 11)], ids=str)
def test_huge_weights_are_exact(mixer: str, options: dict[str, Any], size: float) -> None:
    encoder = encoder_of(mixer, options)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.mul_(size)
    check(encoder)


@pytest.mark.parametrize("bits", [0, 30, 62, 200])
@pytest.mark.parametrize("prime", [3, SECOND_PRIME, PRIME])
def test_weights_of_any_size_are_rounded_to_the_nearest(prime: int, bits: int) -> None:
    """On either side of what 64 bits hold; halves to the even neighbour."""
    edges = [2.0**power * sign for power in (31, 32, 33, 61, 62, 63, 64, 100) for sign in (1, -1)]
    near = [math.nextafter(edge, toward) for edge in edges for toward in (0, math.inf)]
    scaled = [edge / 2.0**30 for edge in edges]
    values = [0.0, 0.5, 1.5, -0.5, -2.5, 1e10, -1e12, 1e30, 1 / 3, 1e-30, *edges, *near, *scaled]
    found = Maker(Field(prime), 4, 4, 2, bits).weight(torch.tensor(values, dtype=torch.float64).view(2, -1))
    assert found.dtype == np.uint64 and found.shape == (2, len(values) // 2)
    wanted = [round(Fraction(value) * 2**bits) * pow(2, -bits, prime) % prime for value in values]
    assert found.ravel().tolist() == wanted


@pytest.mark.parametrize("prime, tokens", [(3, 4), (7, 4), (5, 6), (PRIME, 6)])
def test_length_normalisation_divides_by_the_number_of_tokens(prime: int, tokens: int) -> None:
    for options in ({"tied": True}, {"tied": False, "num_heads": 2}):
        encoder = encoder_of("hypermixing", {"normalization": "length", **options})
        check(encoder, prime=prime, tokens=tokens, bits=3)


@pytest.mark.parametrize("prime, tokens", [(3, 6), (7, 14), (5, 10), (3, 12)])
def test_and_is_refused_where_that_number_is_zero(prime: int, tokens: int) -> None:
    encoder = encoder_of("hypermixing", {"normalization": "length"})
    with pytest.raises(InputError, match=f"{tokens} tokens cannot be divided by their number modulo {prime}"):
        polynomial_twin(encoder, tokens=tokens, prime=prime)
    other = encoder_of("hypermixing", {"normalization": "none"})
    assert polynomial_twin(other, tokens=tokens, prime=prime).degree == 16


def test_wider_encoders() -> None:
    """Where sums are left to BLAS."""
    check(encoder_of("attention", {"num_heads": 2}, hidden_size=20, intermediate_size=18), bits=5, tokens=2)
    check(encoder_of("hypermixing", {"num_heads": 2}, hidden_size=40, intermediate_size=18), bits=5, tokens=2)


def test_a_scale_of_the_input_that_is_no_whole_number_is_rounded_once() -> None:
    """Not to single precision before."""
    check(encoder_of("hypermixing", {"positions": "idiap", "num_heads": 3}, hidden_size=6), tokens=6)


# --- Degrees ----------------------------------------------------------------------------------------------------------


def differences(twin: Any, top: int) -> list[int]:
    """The differences of order 0, 1, ..., top + 1 along a line: beyond the degree they vanish."""
    field: Field = twin.field
    start, step = inputs(field.p, count=2).transpose(2, 0, 1)
    points = [field.reduced(start + field.reduced(step * np.uint64(t))) for t in range(top + 2)]
    values = twin(np.stack(points, axis=2)).astype(object)
    found = []
    for _ in range(top + 2):
        found.append(int(values[0]) % field.p)
        values = values[1:] - values[:-1]
    return found


@pytest.mark.parametrize("feature_mixing", [True, False])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize("mixer, options", [MIXED[i] for i in (0, 3, 6, 8, 10, 11, 13, 14, 16, 18)], ids=str)
def test_the_degree_is_the_degree(
    mixer: str, options: dict[str, Any], k: int, layout: str, feature_mixing: bool
) -> None:
    encoder = encoder_of(mixer, options, layout=layout, feature_mixing=feature_mixing)
    twin = polynomial_twin(encoder, tokens=4, act_degree=k)
    found = differences(twin, twin.degree)
    assert found[-1] == 0 and found[-2] != 0


def test_degrees_of_blocks_multiply() -> None:
    for mixer, options, own in DEGREES:
        encoder = encoder_of(mixer, options, num_hidden_layers=3)
        assert polynomial_twin(encoder, tokens=4).degree == (2 * own) ** 3


# --- Ranks ------------------------------------------------------------------------------------------------------------


def plain(mixer: str, options: dict[str, Any], **changes: Any) -> Encoder:
    return encoder_of(mixer, options, feature_mixing=False, layout="rezero", **changes)


@pytest.mark.parametrize("readout", ["first", "second", "mean"])
def test_attention_has_the_rank_of_its_spec(readout: str) -> None:
    """Rounded random weights are as good as any."""
    encoder = plain("attention", {"num_heads": 1, "bias": False})
    spec = spec_of("attention", depth=1, width=4, tokens=4, residual=True, readout=readout)
    found = polynomial_twin(encoder, tokens=4, readout=readout).separation_rank()
    assert found.rank == separation_rank(spec).rank == bounds(spec).upper.value
    assert not found.saturated and found.upper >= found.rank


def test_without_token_mixing_a_token_knows_itself_alone() -> None:
    encoder = encoder_of("none", {}, num_hidden_layers=2)
    assert [
        polynomial_twin(encoder, tokens=4, readout=readout).separation_rank(40).rank
        for readout in ("first", "second", "mean")
    ] == [1, 1, 2]


@pytest.mark.parametrize("mixer, options", MIXED[13:18], ids=str)
def test_what_is_affine_has_rank_two(mixer: str, options: dict[str, Any]) -> None:
    """In two layers, so that every token reaches the other half."""
    encoder = plain(mixer, options, num_hidden_layers=2)
    for readout in ("first", "second", "mean"):
        found = polynomial_twin(encoder, tokens=4, readout=readout).separation_rank(12)
        assert found.degree == 1 and found.rank == found.upper == 2 and not found.saturated


def test_a_rank_that_is_cut_off_is_told() -> None:
    twin = polynomial_twin(encoder_of("hypermixing", {}), tokens=4)
    found = [twin.separation_rank(count) for count in (None, 9)]
    assert [one.templates for one in found] == [256, 9] and found[1].rank == 9
    assert all(one.saturated == (one.rank == one.templates) for one in found)
    plain_values = json.loads(json.dumps(found[1].as_dict()))
    assert plain_values["caveat"] == CAVEAT and plain_values["degree"] == 16 and plain_values["bits"] == 30
    assert plain_values["upper"] == twin.upper == smaller_of_monomials(8, 8, 16)


def test_a_small_twin_takes_a_few_templates_more_than_its_bound() -> None:
    found = polynomial_twin(plain("mlp_mixer", {"max_length": 2}), tokens=2, act_degree=1).separation_rank()
    assert found.rank <= found.upper == 2 and not found.saturated and 2 < found.templates < 20


def test_the_same_seed_gives_the_same_rank_and_the_model_stays_as_it_is() -> None:
    encoder = plain("attention", {"num_heads": 2})
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    twin = polynomial_twin(encoder, tokens=4)
    assert twin.separation_rank(30, seed=3) == twin.separation_rank(30, seed=3)
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())


def test_a_model_with_an_encoder_inside_will_do() -> None:
    encoder = encoder_of("mlp_mixer", {})
    x = inputs(PRIME)
    alone, held = (polynomial_twin(m, tokens=4)(x) for m in (encoder, nn.ModuleList([nn.Linear(2, 2), encoder])))
    assert (alone == held).all()
    outer: Any = SimpleNamespace(model=nn.ModuleList([encoder]))
    assert (polynomial_twin(outer, tokens=4)(x) == alone).all()
    config = HyperMixerConfig(mixer="hypermixing", vocab_size=11, hidden_size=4, num_hidden_layers=1)
    model = HyperMixerForSequenceClassification(config)
    classified: Any = SimpleNamespace(model=model)
    assert polynomial_twin(model, tokens=4).degree == polynomial_twin(classified, tokens=4).degree == 16
    half = polynomial_twin(encoder.bfloat16(), tokens=4)
    check(encoder)
    assert half(x).shape == (2,)


# --- What is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mixer", ["linear_attention", "min_gru", "shared_vector", "summary_mixing"])
def test_mixers_without_a_twin_are_refused_by_name(mixer: str) -> None:
    with pytest.raises(InputError, match=f"{MIXERS[mixer].__name__} has no polynomial twin.*HyperMixing"):
        polynomial_twin(Encoder(EncoderConfig(hidden_size=8, num_hidden_layers=1), mixer, {}), tokens=4)


def test_every_mixer_has_a_twin_here_or_is_refused() -> None:
    here = {mixer for mixer, _ in MIXED}
    assert here == {mixer for mixer, _, _ in DEGREES}
    assert set(MIXERS) - here == {"linear_attention", "min_gru", "shared_vector", "summary_mixing"}


@pytest.mark.parametrize(
    "model, name", [(nn.Linear(2, 2), "Linear"), (SimpleNamespace(model=3), "SimpleNamespace"), ("model", "str")]
)
def test_a_model_without_encoder_is_refused(model: Any, name: str) -> None:
    with pytest.raises(InputError, match=f"no encoder of this library in a {name}"):
        polynomial_twin(model, tokens=4)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("mixer, options", [MIXED[i] for i in (0, 3, 6, 8, 11, 13, 16)], ids=str)
def test_weights_that_are_not_finite_are_refused(mixer: str, options: dict[str, Any], value: float) -> None:
    names = [name for name, _ in encoder_of(mixer, options).named_parameters() if "mixer" in name]
    for name in [name for name in names if "norm" not in name]:
        encoder = encoder_of(mixer, options)
        with torch.no_grad():
            encoder.get_parameter(name).view(-1)[0] = value
        with pytest.raises(InputError, match="not finite"):
            polynomial_twin(encoder, tokens=4)


def test_more_tokens_than_a_permutator_folds_are_refused() -> None:
    with pytest.raises(InputError, match="4"):
        polynomial_twin(encoder_of("permutator", {"side": 2, "segments": 2}), tokens=6)


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"tokens": 5}, "tokens=5"), ({"tokens": 0}, "tokens"), ({"tokens": 10}, "9 tokens at most.*10"),
        ({"act_degree": 0}, "act_degree.*0"), ({"bits": -1}, "bits.*-1"),
        ({"bits": 30.0}, "bits must be a whole number"), ({"bits": True}, "bits"), ({"act_degree": "2"}, "act_degree"),
        ({"prime": 2}, "odd"), ({"prime": 9}, "prime"), ({"readout": "third"}, "third"),
    ],
)  # fmt: skip
def test_arguments_out_of_range_are_refused(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        polynomial_twin(encoder_of("mlp_mixer", {"max_length": 9}), **{"tokens": 4, **arguments})


def test_counts_and_memory_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    twin = polynomial_twin(plain("none", {}), tokens=4)
    with pytest.raises(InputError, match="at least 1, got 0"):
        twin.separation_rank(0)
    wrong: list[dict[str, Any]] = [
        {"count": True}, {"count": 3.0}, {"count": "3"}, {"seed": 1.5}, {"seed": -1}, {"seed": None},
    ]  # fmt: skip
    for arguments in wrong:
        with pytest.raises(InputError, match=r"(templates|seed) must be"):
            twin.separation_rank(**arguments)
    monkeypatch.setattr(separation, "MEMORY", 1000)
    with pytest.raises(InputError, match="GiB"):
        twin.separation_rank(20)
    assert twin.separation_rank(20, force=True).rank == 1


def test_what_evaluates_a_twin_counts_too() -> None:
    """Attention on 512 tokens of width 512 has scores and projections of every input."""
    twin = polynomial_twin(plain("attention", {"num_heads": 1}, hidden_size=512), tokens=512)
    with pytest.raises(InputError, match="GiB"):
        twin.separation_rank(8192)


def test_integers_of_any_type_will_do() -> None:
    arguments: Any = {"tokens": np.int64(4), "act_degree": np.int8(3), "bits": np.uint8(9), "prime": np.int32(65537)}
    given: Any = {"count": np.int64(5), "seed": np.uint64(2)}
    found = polynomial_twin(plain("mlp_mixer", {}), **arguments).separation_rank(**given)
    same = polynomial_twin(plain("mlp_mixer", {}), tokens=4, act_degree=3, bits=9, prime=65537).separation_rank(
        5, seed=2
    )
    assert found == same and json.loads(json.dumps(found.as_dict())) == same.as_dict()


def test_a_rank_above_its_bound_is_an_error_of_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Twin, "upper", property(lambda self: 3))
    twin = polynomial_twin(plain("attention", {"num_heads": 1}), tokens=4)
    with pytest.raises(WorkError, match="Internal error: a rank of 5 was found, and at most 3 is possible"):
        twin.separation_rank()


def test_the_watch_is_told() -> None:
    seen: list[tuple[int, int]] = []
    polynomial_twin(plain("none", {}), tokens=4).separation_rank(7, watch=lambda *told: seen.append(told))
    assert seen[-1] == (49, 49)

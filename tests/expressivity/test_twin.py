"""Polynomial twins of real encoders, against the same polynomial in fractions."""

import json
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hypermixer.encoder import Encoder
from hypermixer.encoder_config import LAYOUTS, EncoderConfig
from hypermixer.errors import InputError
from hypermixer.expressivity import separation
from hypermixer.expressivity.bounds import bounds
from hypermixer.expressivity.counts import smaller_of_monomials
from hypermixer.expressivity.field import PRIME, SECOND_PRIME, Elements, Field
from hypermixer.expressivity.separation import separation_rank
from hypermixer.expressivity.spec import spec_of
from hypermixer.expressivity.twin import CAVEAT, polynomial_twin
from hypermixer.hf.configuration import HyperMixerConfig
from hypermixer.hf.modeling import HyperMixerForSequenceClassification
from hypermixer.mixers import MIXERS

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
]


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


class Exact:
    """An encoder without softmax and norms, with weights that are multiples of 2^-bits and powers for activations."""

    def __init__(self, encoder: Encoder, k: int, bits: int) -> None:
        self.encoder, self.k, self.scale = encoder, k, 2**bits

    def w(self, tensor: Tensor) -> Fractions:
        values = tensor.detach().double().numpy()
        rounded = [Fraction(round(Fraction(value) * self.scale), self.scale) for value in values.ravel().tolist()]
        result = np.empty(len(rounded), object)
        result[:] = rounded
        return result.reshape(values.shape)

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
        return getattr(self, type(mixer).__name__)(mixer, x)

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
        parts = []
        for head, (zs, xs) in enumerate(zip(*(np.split(t, layer.num_heads, 1) for t in (z, x)), strict=True)):
            write = self.generated(layer.key_net, head, zs)
            read = write if layer.query_net is None else self.generated(layer.query_net, head, zs)
            parts.append(read @ (write.T @ xs) ** self.k)
        return np.concatenate(parts, axis=1)

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
@pytest.mark.parametrize("mixer, options", [MIXED[1], MIXED[3], MIXED[6], MIXED[8]], ids=str)
def test_blocks_follow_each_other(mixer: str, options: dict[str, Any], layout: str) -> None:
    check(encoder_of(mixer, options, layout=layout, num_hidden_layers=2), bits=4)


@pytest.mark.parametrize("k, bits, prime", [(1, 30, PRIME), (3, 8, PRIME), (2, 0, 7), (2, 40, SECOND_PRIME)])
@pytest.mark.parametrize("mixer, options", [MIXED[0], MIXED[3], MIXED[6], MIXED[8]], ids=str)
def test_other_powers_roundings_and_primes(mixer: str, options: dict[str, Any], k: int, bits: int, prime: int) -> None:
    check(encoder_of(mixer, options), k=k, bits=bits, prime=prime)


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
@pytest.mark.parametrize("mixer, options", [MIXED[i] for i in (0, 3, 6, 8, 10)], ids=str)
def test_the_degree_is_the_degree(
    mixer: str, options: dict[str, Any], k: int, layout: str, feature_mixing: bool
) -> None:
    encoder = encoder_of(mixer, options, layout=layout, feature_mixing=feature_mixing)
    twin = polynomial_twin(encoder, tokens=4, act_degree=k)
    found = differences(twin, twin.degree)
    assert found[-1] == 0 and found[-2] != 0


def test_degrees_of_blocks_multiply() -> None:
    degrees = {"attention": 3, "hypermixing": 8, "mlp_mixer": 2, "gmlp": 4, "none": 1}
    for mixer, own in degrees.items():
        options = {"num_heads": 1} if mixer == "attention" else {}
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
    config = HyperMixerConfig(mixer="hypermixing", vocab_size=11, hidden_size=4, num_hidden_layers=1)
    model = HyperMixerForSequenceClassification(config)
    assert polynomial_twin(model, tokens=4).degree == 16
    half = polynomial_twin(encoder.bfloat16(), tokens=4)
    check(encoder)
    assert half(x).shape == (2,)


# --- What is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mixer", sorted(set(MIXERS) - {mixer for mixer, _ in MIXED}))
def test_mixers_without_a_twin_are_refused_by_name(mixer: str) -> None:
    with pytest.raises(InputError, match=f"{MIXERS[mixer].__name__} has no polynomial twin.*HyperMixing"):
        polynomial_twin(Encoder(EncoderConfig(hidden_size=8, num_hidden_layers=1), mixer, {}), tokens=4)


def test_every_mixer_has_a_twin_here_or_is_refused() -> None:
    assert {mixer for mixer, _ in MIXED} < set(MIXERS)


def test_a_model_without_encoder_is_refused() -> None:
    with pytest.raises(InputError, match="Linear"):
        polynomial_twin(nn.Linear(2, 2), tokens=4)


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"tokens": 5}, "tokens=5"), ({"tokens": 0}, "tokens"), ({"tokens": 10}, "9 tokens at most.*10"),
        ({"act_degree": 0}, "act_degree.*0"), ({"bits": 41}, "bits.*41"), ({"bits": -1}, "bits.*-1"),
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
    monkeypatch.setattr(separation, "MEMORY", 1000)
    with pytest.raises(InputError, match="GiB"):
        twin.separation_rank(20)
    assert twin.separation_rank(20, force=True).rank == 1


def test_the_watch_is_told() -> None:
    seen: list[tuple[int, int]] = []
    polynomial_twin(plain("none", {}), tokens=4).separation_rank(7, watch=lambda *told: seen.append(told))
    assert seen[-1] == (49, 49)

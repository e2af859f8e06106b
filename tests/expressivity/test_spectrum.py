"""Singular values of the grids of real modules."""

import json
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hypermixer.encoder import Encoder
from hypermixer.encoder_config import EncoderConfig
from hypermixer.errors import InputError
from hypermixer.expressivity.spectrum import TOLERANCES, Spectrum, epsilon_spectrum
from hypermixer.mixers import build_mixer


class TokenLinear(nn.Module):
    """[B, N, D] -> [B, N, D], W X C."""

    def __init__(self, tokens: int, width: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.tokens = nn.Parameter(torch.randn(tokens, tokens, generator=generator))
        self.channels = nn.Parameter(torch.randn(width, width, generator=generator))

    def forward(self, x: Tensor) -> Tensor:
        return self.tokens @ x @ self.channels


class Product(nn.Module):
    """Coordinate 0 of every token: that of the first token times that of the last."""

    def forward(self, x: Tensor) -> Tensor:
        return (x[:, :1, :1] * x[:, -1:, :1]).expand(x.shape)


def encoder_of(mixer: str, **changes: Any) -> Encoder:
    torch.manual_seed(0)
    shape: dict[str, Any] = {"vocab_size": 11, "hidden_size": 8, "num_hidden_layers": 2, "intermediate_size": 12}
    return Encoder(EncoderConfig(**{**shape, "hidden_dropout_prob": 0.5, **changes}), mixer, {})


@pytest.mark.parametrize("count", [1, 2, 37, 65])
@pytest.mark.parametrize("mixer", ["attention", "hypermixing", "gmlp"])
def test_values_fall_and_there_are_as_many_as_templates(mixer: str, count: int) -> None:
    found = epsilon_spectrum(encoder_of(mixer), tokens=4, count=count)
    values = found.values
    assert values.shape == (count,) and values.dtype == np.float64 and found.templates == count
    assert (np.diff(values) <= 0).all() and values[0] > 0 and (values >= 0).all()


@pytest.mark.parametrize("readout", ["first", "second", "mean"])
def test_what_is_linear_has_two_values(readout: str) -> None:
    found = epsilon_spectrum(TokenLinear(6, 3), tokens=6, width=3, count=40, readout=readout)
    assert int((found.values > 1e-9 * found.values[0]).sum()) == 2
    assert found.above()[1e-9] == 2


def test_the_grid_holds_every_pair() -> None:
    """Its norm is the product of two norms where the function is a product of one coordinate of either side."""
    count = 50
    found = epsilon_spectrum(Product(), tokens=4, width=3, count=count, seed=7)
    generator = torch.Generator().manual_seed(7)
    a, b = (torch.randn(count, 2, 3, generator=generator, dtype=torch.float64) for _ in range(2))
    assert found.values[0] == pytest.approx(float(a[:, 0, 0].norm() * b[:, -1, 0].norm()), rel=1e-12)
    assert found.values[1] < 1e-12 * found.values[0]


@pytest.mark.parametrize("readout, count", [("first", 1), ("second", 1), ("mean", 2)])
def test_without_token_mixing_one_side_is_read(readout: str, count: int) -> None:
    found = epsilon_spectrum(encoder_of("none"), tokens=4, count=30, readout=readout)
    assert found.above((1e-9,)) == {1e-9: count}


def test_parts_do_not_change_the_values(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = encoder_of("hypermixing")
    whole = epsilon_spectrum(encoder, tokens=4, count=23).values
    for at_once in (1, 50, 10**6):
        monkeypatch.setattr("hypermixer.expressivity.spectrum._AT_ONCE", at_once)
        assert np.allclose(epsilon_spectrum(encoder, tokens=4, count=23).values, whole, rtol=0, atol=1e-12 * whole[0])


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_module_stays_as_it_is(dtype: torch.dtype, training: bool) -> None:
    encoder = encoder_of("attention").to(dtype).train(training)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    state = torch.get_rng_state()
    epsilon_spectrum(encoder, tokens=4, count=5)
    assert all(part.training == training for part in encoder.modules())
    for name, value in encoder.state_dict().items():
        assert value.dtype == dtype and torch.equal(value, before[name])
    assert all(parameter.grad is None for parameter in encoder.parameters())
    assert torch.equal(torch.get_rng_state(), state)


def test_dropout_is_off_and_the_seed_decides() -> None:
    encoder = encoder_of("attention").train()
    once, again, other = (epsilon_spectrum(encoder, tokens=4, count=9, seed=seed).values for seed in (0, 0, 1))
    assert np.array_equal(once, again) and not np.allclose(once, other)


def test_mixers_and_models_tell_their_width() -> None:
    encoder = encoder_of("mlp_mixer")
    held = epsilon_spectrum(nn.ModuleList([nn.Linear(3, 3), encoder]), tokens=4, count=11)
    assert np.array_equal(held.values, epsilon_spectrum(encoder, tokens=4, count=11).values)
    torch.manual_seed(0)
    mixer = build_mixer("attention", {"num_heads": 1}, d_model=5)
    assert len(epsilon_spectrum(mixer, tokens=6, count=11).values) == 11


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(InputError, match=r"TokenLinear.*width"):
        epsilon_spectrum(TokenLinear(4, 3), tokens=4)
    with pytest.raises(InputError, match="at least 1, got 0"):
        epsilon_spectrum(TokenLinear(4, 3), tokens=4, width=3, count=0)
    for name, value in (("count", True), ("count", 5.0), ("count", "5"), ("seed", 1.0), ("seed", None)):
        with pytest.raises(InputError, match=f"{name} must be a whole number"):
            epsilon_spectrum(TokenLinear(4, 3), tokens=4, width=3, **{name: value})  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="at least 0, got -1"):
        epsilon_spectrum(TokenLinear(4, 3), tokens=4, width=3, seed=-1)
    with pytest.raises(InputError, match="GiB"):
        epsilon_spectrum(TokenLinear(4, 3), tokens=4, width=3, count=20_000)
    with pytest.raises(InputError, match="tokens=5"):
        epsilon_spectrum(TokenLinear(5, 3), tokens=5, width=3)
    with pytest.raises(InputError, match="last"):
        epsilon_spectrum(TokenLinear(4, 3), tokens=4, width=3, readout="last")


def test_integers_of_any_type_will_do() -> None:
    module, count, seed = TokenLinear(4, 3), 7, 2
    found = epsilon_spectrum(module, tokens=4, width=3, count=np.int64(count), seed=np.int64(seed))  # pyright: ignore[reportArgumentType]
    plain = epsilon_spectrum(module, tokens=4, width=3, count=count, seed=seed)
    assert json.loads(json.dumps(found.as_dict())) == plain.as_dict()


def test_another_tolerance_is_another_rank() -> None:
    found = Spectrum(np.array([4.0, 0.5, 0.3, 4e-4, 0.0]), 5, 4, 0)
    assert found.above((0.1, 0.01, 1e-4, 0.0)) == {0.1: 2, 0.01: 3, 1e-4: 3, 0.0: 4}
    plain = json.loads(json.dumps(found.as_dict()))
    assert plain["values"] == found.values.tolist() and plain["templates"] == 5
    assert [float(tolerance) for tolerance in plain["above"]] == list(TOLERANCES)
    assert list(plain["above"].values()) == [2, 3, 3, 4, 4, 4]

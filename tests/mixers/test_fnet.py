import math

import pytest
import torch
from torch import Tensor

from hypermixer import InputError
from hypermixer.mixers import Sequences, build_mixer
from hypermixer.ops.compare import TOLERANCES, error_ratio

EXACT = TOLERANCES[torch.float64].exact


def by_hand(x: list[list[float]]) -> list[list[float]]:
    """y[m][d] = sum over n and e of x[n][e] cos(2 pi (m n / N + d e / D)): the real part of both transforms."""
    tokens, width = len(x), 3
    y = [[0.0] * width for _ in range(tokens)]
    for m in range(tokens):
        for d in range(width):
            for n in range(tokens):
                for e in range(width):
                    y[m][d] += x[n][e] * math.cos(2 * math.pi * (m * n / tokens + d * e / width))
    return y


def test_the_transform_of_two_tokens_in_whole_numbers() -> None:
    """[[a, b], [c, d]] -> [[a+b+c+d, a-b+c-d], [a+b-c-d, a-b-c+d]]."""
    mixer = build_mixer("fnet", {}, d_model=2)
    x = torch.tensor([[[1.0, 2.0], [3.0, 5.0]]], dtype=torch.float64)
    expected = torch.tensor([[[11.0, -3.0], [-5.0, 1.0]]], dtype=torch.float64)
    assert error_ratio(mixer(x, Sequences.padded(x)), expected) <= EXACT


X = [[1.0, -2.0, 0.5], [3.0, 0.25, -1.0], [2.0, 2.0, 7.0], [-4.0, 1.0, 0.0], [0.5, -3.0, 6.0]]


@pytest.mark.parametrize("tokens", [1, 2, 3, 5])
def test_the_equation_by_hand(tokens: int) -> None:
    x, expected = (torch.tensor([v], dtype=torch.float64) for v in (X[:tokens], by_hand(X[:tokens])))
    for scale, divisor in (("none", 1), ("ortho", math.sqrt(tokens * 3))):
        mixer = build_mixer("fnet", {"scale": scale}, d_model=3)
        assert error_ratio(mixer(x, Sequences.padded(x)), expected / divisor) <= EXACT


@pytest.mark.parametrize("kind", ["masked", "packed"])
def test_ortho_divides_by_each_sequences_own_length(kind: str) -> None:
    mixer = build_mixer("fnet", {"scale": "ortho"}, d_model=3)
    tokens = torch.tensor(X, dtype=torch.float64)
    lengths = (2, 0, 5, 1)
    alone = [torch.tensor(by_hand(X[:n]), dtype=torch.float64).view(n, 3) / math.sqrt(max(1, n) * 3) for n in lengths]
    if kind == "packed":
        x = torch.cat([tokens[:n] for n in lengths])
        offsets = torch.tensor([0, 2, 2, 7, 8])
        y = mixer(x, Sequences.packed(x, offsets)).split(lengths)
    else:
        x = tokens.expand(4, 5, 3)
        keep = torch.arange(5) < torch.tensor(lengths).unsqueeze(1)
        y = [row[:n] for row, n in zip(mixer(x, Sequences.padded(x, keep)), lengths, strict=True)]
    for mine, expected in zip(y, alone, strict=True):
        assert error_ratio(mine, expected) <= EXACT


def rms(x: Tensor) -> float:
    return x.square().mean().sqrt().item()


@pytest.mark.parametrize("tokens", [7, 64, 501])
def test_ortho_keeps_the_size(tokens: int) -> None:
    """Exactly where x[n, e] = x[-n, -e], whose transform is real; of noise, half of the energy is real."""
    torch.manual_seed(0)
    mixer = build_mixer("fnet", {"scale": "ortho"}, d_model=24)
    x = torch.randn(3, tokens, 24, dtype=torch.float64)
    even = x + x.flip(1, 2).roll((1, 1), (1, 2))
    assert abs(rms(mixer(even, Sequences.padded(even))) / rms(even) - 1) < 1e-12
    assert abs(rms(mixer(x, Sequences.padded(x))) / rms(x) - math.sqrt(0.5)) < 0.05


def test_an_unknown_scale_is_refused() -> None:
    with pytest.raises(InputError, match="ortho"):
        build_mixer("fnet", {"scale": "orto"}, d_model=6)

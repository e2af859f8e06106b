import math

import pytest
import torch

from hypermixer import InputError
from hypermixer.mixers import Sequences, build_mixer
from hypermixer.ops.compare import TOLERANCES, error_ratio

EXACT = TOLERANCES[torch.float64].exact
X = [[1.0, -2.0, 0.5, 0.0], [3.0, 0.25, -1.0, 1.0], [0.0, 2.0, -0.5, -1.5]]
#: Rows: queries, keys, values of four channels each; two heads have two channels each.
QKV = [
    [1.0, 0.0, 0.0, 0.5],
    [0.0, -1.0, 0.0, 0.0],
    [0.5, 0.0, 1.0, 0.0],
    [0.0, 0.5, 0.0, 1.0],
    [0.0, 1.0, 0.0, 0.0],
    [1.0, 0.0, 0.0, 0.0],
    [0.0, 0.0, -1.0, 0.5],
    [0.5, 0.0, 0.0, -1.0],
    [1.0, 1.0, 0.0, 0.0],
    [0.0, 2.0, 1.0, 0.0],
    [0.0, 0.0, 1.0, -2.0],
    [3.0, 0.0, 0.0, 1.0],
]
QKV_BIAS = [0.5, 0.0, -0.5, 0.25, 0.0, 1.0, 0.0, -0.25, 0.0, 0.5, 1.0, -1.0]
OUT = [[1.0, 0.0, 0.0, 2.0], [0.0, 1.0, -1.0, 0.0], [0.5, 0.0, 1.0, 0.0], [0.0, -2.0, 0.0, 1.0]]
OUT_BIAS = [0.25, -1.0, 0.0, 2.0]


def linear(weight: list[list[float]], bias: list[float], x: list[float]) -> list[float]:
    return [sum(w * v for w, v in zip(row, x, strict=True)) + b for row, b in zip(weight, bias, strict=True)]


def phi(u: float) -> float:
    """elu(u) + 1"""
    return u + 1 if u > 0 else math.exp(u)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("num_heads", [1, 2, 4])
def test_the_equation_by_hand(num_heads: int, bias: bool) -> None:
    width = 4 // num_heads
    qkv = [linear(QKV, QKV_BIAS if bias else [0.0] * 12, token) for token in X]
    expected = []
    for at in qkv:
        mixed = [0.0] * 4
        for head in range(num_heads):
            channels = range(head * width, (head + 1) * width)
            weights = [sum(phi(at[c]) * phi(other[4 + c]) for c in channels) for other in qkv]
            for c in channels:
                mixed[c] = sum(w * other[8 + c] for w, other in zip(weights, qkv, strict=True)) / sum(weights)
        expected.append(linear(OUT, OUT_BIAS if bias else [0.0] * 4, mixed))
    state = {"qkv.weight": QKV, "out.weight": OUT}
    if bias:
        state |= {"qkv.bias": QKV_BIAS, "out.bias": OUT_BIAS}
    mixer = build_mixer("linear_attention", {"num_heads": num_heads, "bias": bias}, d_model=4).double()
    mixer.load_state_dict({name: torch.tensor(value, dtype=torch.float64) for name, value in state.items()})
    x = torch.tensor([X], dtype=torch.float64)
    y = mixer(x, Sequences.padded(x))
    assert error_ratio(y, torch.tensor([expected], dtype=torch.float64)) <= EXACT


def test_the_cost_does_not_grow_faster_than_the_text() -> None:
    mixer = build_mixer("linear_attention", {"num_heads": 2}, d_model=6)
    assert mixer.flops(7) == 2 * 7 * (4 * 36 + 2 * 36 // 2)  # four projections; S and its product with the queries
    assert mixer.state_size(7) == mixer.state_size(700) == 2 * (3 * 3 + 3)  # S and z of two heads


def test_keys_that_weigh_nothing_leave_finite_numbers() -> None:
    """phi(-1000) is zero: the normaliser has a least value."""
    mixer = build_mixer("linear_attention", {"num_heads": 2}, d_model=4).double()
    with torch.no_grad():
        for parameter in mixer.parameters():
            parameter.zero_()
        mixer.get_parameter("qkv.bias")[4:8] = -1000.0
        mixer.get_parameter("out.bias").fill_(3.0)
    x = torch.tensor([X], dtype=torch.float64)
    assert mixer(x, Sequences.padded(x)).tolist() == [[[3.0] * 4] * 3]


@pytest.mark.parametrize("num_heads, word", [(0, "num_heads"), (5, "num_heads=5"), (24, "d_model=12")])
def test_heads_that_do_not_divide_the_width_are_refused(num_heads: int, word: str) -> None:
    with pytest.raises(InputError, match=word):
        build_mixer("linear_attention", {"num_heads": num_heads}, d_model=12)

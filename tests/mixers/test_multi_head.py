"""Attention and linear attention, which differ in how much a query weighs a key."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from hypermixer import InputError
from hypermixer.mixers import Sequences, build_mixer
from hypermixer.mixers.linear_attention import _feature_map
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


def softmax_weight(query: list[float], key: list[float]) -> float:
    return math.exp(sum(q * k for q, k in zip(query, key, strict=True)) / math.sqrt(len(key)))


def linear_weight(query: list[float], key: list[float]) -> float:
    """phi(q)' phi(k), phi(u) = elu(u) + 1."""
    return sum(phi(q) * phi(k) for q, k in zip(query, key, strict=True))


def phi(u: float) -> float:
    return u + 1 if u > 0 else math.exp(u)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("num_heads", [1, 2, 4])
@pytest.mark.parametrize("name, weigh", [("attention", softmax_weight), ("linear_attention", linear_weight)])
def test_the_equation_by_hand(
    name: str, weigh: Callable[[list[float], list[float]], float], num_heads: int, bias: bool
) -> None:
    width = 4 // num_heads
    qkv = [linear(QKV, QKV_BIAS if bias else [0.0] * 12, token) for token in X]
    expected = []
    for at in qkv:
        mixed: list[float] = []
        for start in range(0, 4, width):
            stop = start + width
            weights = [weigh(at[start:stop], other[4 + start : 4 + stop]) for other in qkv]
            for c in range(start, stop):
                mixed.append(sum(w * other[8 + c] for w, other in zip(weights, qkv, strict=True)) / sum(weights))
        expected.append(linear(OUT, OUT_BIAS if bias else [0.0] * 4, mixed))
    state = {"qkv.weight": QKV, "out.weight": OUT}
    if bias:
        state |= {"qkv.bias": QKV_BIAS, "out.bias": OUT_BIAS}
    mixer = build_mixer(name, {"num_heads": num_heads, "bias": bias}, d_model=4).double()
    mixer.load_state_dict({name: torch.tensor(value, dtype=torch.float64) for name, value in state.items()})
    x = torch.tensor([X], dtype=torch.float64)
    y = mixer(x, Sequences.padded(x))
    assert error_ratio(y, torch.tensor([expected], dtype=torch.float64)) <= EXACT


@pytest.mark.parametrize("name", ["attention", "linear_attention"])
@pytest.mark.parametrize("num_heads, word", [(0, "num_heads"), (5, "num_heads=5"), (24, "d_model=12")])
def test_heads_that_do_not_divide_the_width_are_refused(name: str, num_heads: int, word: str) -> None:
    with pytest.raises(InputError, match=word):
        build_mixer(name, {"num_heads": num_heads}, d_model=12)


def test_the_cost_of_linear_attention_does_not_grow_faster_than_the_text() -> None:
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


def test_small_weights_of_linear_attention_keep_their_digits_in_half_precision() -> None:
    """elu(u) + 1 as it is written is 0.0039 for u = -6 in bfloat16, and 0 for -7."""
    u = torch.tensor([-12.0, -8.0, -7.0, -6.0, -0.5, 0.0, 0.5, 7.0], dtype=torch.bfloat16)
    expected = torch.tensor([phi(v) for v in u.tolist()])
    assert ((_feature_map(u).float() - expected).abs() <= 2**-7 * expected).all()


class Seen(TorchDispatchMode):
    """Which dtypes the fused kernel and its gradient are given."""

    def __init__(self) -> None:
        super().__init__()
        self.dtypes: list[torch.dtype] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if "scaled_dot_product" in str(func):
            self.dtypes.append(args[0].dtype)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("autocast", [True, False])
@pytest.mark.parametrize("tokens, dtype", [(9, torch.float32), (256, torch.bfloat16)])
def test_training_in_16_bits_takes_the_faster_kernel(tokens: int, dtype: torch.dtype, autocast: bool) -> None:
    torch.manual_seed(0)
    mixer = build_mixer("attention", {"num_heads": 2}, d_model=32)
    mixer = mixer if autocast else mixer.bfloat16()
    x = torch.randn(2, tokens, 32, dtype=torch.float32 if autocast else torch.bfloat16)
    sequences = Sequences.padded(x, torch.arange(tokens) < torch.tensor([[tokens], [5]]))
    with Seen() as seen, torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        y = mixer(x, sequences)
        y.float().square().sum().backward()
    assert seen.dtypes == [dtype, dtype]  # forward and backward
    assert y.dtype == torch.bfloat16
    with Seen() as seen, torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        assert error_ratio(mixer(x, sequences), y.detach()) <= TOLERANCES[torch.bfloat16].rounded
    assert seen.dtypes == [torch.bfloat16]

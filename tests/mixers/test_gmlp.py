import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from hypermixer import InputError
from hypermixer.mixers import Sequences, build_mixer
from hypermixer.mixers.gmlp import GMLP
from hypermixer.ops.compare import TOLERANCES, error_ratio

EXACT = TOLERANCES[torch.float64].exact
X = [[1.0, -2.0], [3.0, 0.5]]
#: U' [K, D] with K = 4, V' [D, K/2]; W and b have a third position, which a text of two tokens does not use.
UP, UP_BIAS = [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [2.0, -1.0]], [0.5, 0.0, -1.0, 0.25]
SPATIAL, SPATIAL_BIAS = [[1.0, 2.0, 9.0], [-1.0, 0.5, 9.0], [9.0, 9.0, 9.0]], [1.0, -2.0, 9.0]
SCALE, SHIFT = [2.0, -1.0], [0.5, 3.0]
DOWN, DOWN_BIAS = [[1.0, 3.0], [-2.0, 1.0]], [0.75, -0.5]


def gelu(x: float) -> float:
    return x * (1 + math.erf(x / math.sqrt(2))) / 2


def made(*, d_model: int, d_hidden: int | None = None, max_length: int = 100, bias: bool = True) -> GMLP:
    options = {"d_hidden": d_hidden, "max_length": max_length, "bias": bias}
    mixer = build_mixer("gmlp", options, d_model=d_model)
    assert isinstance(mixer, GMLP)
    return mixer.double()


@pytest.mark.parametrize("bias", [True, False])
def test_the_equation_by_hand(bias: bool) -> None:
    content, gate = [], []
    for token in X:
        z = [gelu(u[0] * token[0] + u[1] * token[1] + (b if bias else 0)) for u, b in zip(UP, UP_BIAS, strict=True)]
        mean = (z[2] + z[3]) / 2
        deviation = math.sqrt(((z[2] - mean) ** 2 + (z[3] - mean) ** 2) / 2 + 1e-5)
        content.append(z[:2])
        gate.append([(v - mean) / deviation * a + b for v, a, b in zip(z[2:], SCALE, SHIFT, strict=True)])
    expected = []
    for n in (0, 1):
        gated = [
            content[n][k] * (SPATIAL[n][0] * gate[0][k] + SPATIAL[n][1] * gate[1][k] + SPATIAL_BIAS[n]) for k in (0, 1)
        ]
        expected.append([DOWN[d][0] * gated[0] + DOWN[d][1] * gated[1] + bias * DOWN_BIAS[d] for d in (0, 1)])
    state = {
        "up.weight": UP,
        "norm.weight": SCALE,
        "norm.bias": SHIFT,
        "spatial_weight": SPATIAL,
        "spatial_bias": SPATIAL_BIAS,
        "down.weight": DOWN,
    }
    if bias:
        state |= {"up.bias": UP_BIAS, "down.bias": DOWN_BIAS}
    mixer = made(d_model=2, d_hidden=4, max_length=3, bias=bias)
    mixer.load_state_dict({name: torch.tensor(value, dtype=torch.float64) for name, value in state.items()})
    x = torch.tensor([X], dtype=torch.float64)
    y = mixer(x, Sequences.padded(x))
    assert error_ratio(y, torch.tensor([expected], dtype=torch.float64)) <= EXACT


@pytest.mark.parametrize("max_length", [5, 100, 1_000])
def test_at_the_start_the_gate_is_near_one_at_any_length(max_length: int) -> None:
    """So a half of the GELU's output passes through, each token by itself."""
    torch.manual_seed(0)
    mixer = made(d_model=6, max_length=max_length)
    x = torch.randn(2, max_length, 6, dtype=torch.float64)
    y, passed = mixer(x, Sequences.padded(x)), mixer.down(F.gelu(mixer.up(x))[..., :6])
    assert 0 < error_ratio(y, passed) < 1e-3


def leading(weight: Tensor, shape: torch.Size) -> Tensor:
    return weight[tuple(slice(size) for size in shape)]


def test_room_for_longer_texts_changes_nothing_for_short_ones() -> None:
    torch.manual_seed(0)
    short, long = made(d_model=6, max_length=7), made(d_model=6, max_length=19)
    with torch.no_grad():
        long.spatial_weight.normal_()
        long.spatial_bias.normal_()
    short.load_state_dict({k: leading(long.state_dict()[k], v.shape) for k, v in short.state_dict().items()})
    x = torch.randn(3, 5, 6, dtype=torch.float64)
    assert error_ratio(long(x, Sequences.padded(x)), short(x, Sequences.padded(x))) <= EXACT


def test_sizes_without_options_are_as_documented() -> None:
    mixer = build_mixer("gmlp", {}, d_model=5)
    assert mixer.max_length == 100
    shapes = {name: tuple(value.shape) for name, value in mixer.state_dict().items()}
    assert shapes["up.weight"] == (10, 5) and shapes["down.weight"] == (5, 5)
    assert shapes["spatial_weight"] == (100, 100) and shapes["spatial_bias"] == (100,)


@pytest.mark.parametrize(
    "options, word",
    [({"d_hidden": 0}, "d_hidden"), ({"d_hidden": 7}, "multiple of 2"), ({"max_length": 0}, "max_length")],
)
def test_bad_sizes_are_refused(options: dict[str, int], word: str) -> None:
    with pytest.raises(InputError, match=word):
        build_mixer("gmlp", options, d_model=6)

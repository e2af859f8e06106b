import math

import pytest
import torch
from torch import Tensor

from hypermixer import InputError
from hypermixer.mixers import Sequences, build_mixer
from hypermixer.ops.compare import TOLERANCES, error_ratio

EXACT = TOLERANCES[torch.float64].exact
X = [[1.0, -2.0], [3.0, 0.5]]
#: W2' [K, max_length] and W1 [max_length, K]: of three positions, a text of two tokens uses two.
HIDDEN, HIDDEN_BIAS = [[1.0, -1.0, 9.0], [0.5, 1.0, 9.0]], [0.5, -1.0]
OUT = [[1.0, 2.0], [-1.0, 3.0], [9.0, 9.0]]


def gelu(x: float) -> float:
    return x * (1 + math.erf(x / math.sqrt(2))) / 2


@pytest.mark.parametrize("bias", [True, False])
def test_the_equation_by_hand(bias: bool) -> None:
    mixer = build_mixer("mlp_mixer", {"d_hidden": 2, "max_length": 3, "bias": bias}, d_model=2).double()
    state = {"hidden.weight": HIDDEN, "out.weight": OUT} | ({"hidden.bias": HIDDEN_BIAS} if bias else {})
    mixer.load_state_dict({name: torch.tensor(value, dtype=torch.float64) for name, value in state.items()})
    expected = [[0.0, 0.0], [0.0, 0.0]]
    for d in (0, 1):
        hidden = []
        for k in (0, 1):
            at = HIDDEN[k][0] * X[0][d] + HIDDEN[k][1] * X[1][d] + (HIDDEN_BIAS[k] if bias else 0)
            hidden.append(gelu(at))
        for n in (0, 1):
            expected[n][d] = OUT[n][0] * hidden[0] + OUT[n][1] * hidden[1]
    x = torch.tensor([X], dtype=torch.float64)
    y = mixer(x, Sequences.padded(x))
    assert error_ratio(y, torch.tensor([expected], dtype=torch.float64)) <= EXACT


def leading(weight: Tensor, shape: torch.Size) -> Tensor:
    return weight[tuple(slice(size) for size in shape)]


def test_room_for_longer_texts_changes_nothing_for_short_ones() -> None:
    torch.manual_seed(0)
    short, long = (build_mixer("mlp_mixer", {"max_length": n}, d_model=6).double() for n in (7, 19))
    short.load_state_dict({k: leading(long.state_dict()[k], v.shape) for k, v in short.state_dict().items()})
    x = torch.randn(3, 5, 6, dtype=torch.float64)
    assert error_ratio(long(x, Sequences.padded(x)), short(x, Sequences.padded(x))) <= EXACT


def test_sizes_without_options_are_as_documented() -> None:
    mixer = build_mixer("mlp_mixer", {}, d_model=6)
    assert mixer.max_length == 250
    shapes = {name: tuple(value.shape) for name, value in mixer.state_dict().items()}
    assert shapes == {"hidden.weight": (12, 250), "hidden.bias": (12,), "out.weight": (250, 12)}


@pytest.mark.parametrize("option", ["d_hidden", "max_length"])
def test_sizes_below_one_are_refused(option: str) -> None:
    with pytest.raises(InputError, match=option):
        build_mixer("mlp_mixer", {option: 0}, d_model=6)

import math

import pytest
import torch

from hypermixer import InputError
from hypermixer.mixers import Sequences, build_mixer
from hypermixer.ops.compare import TOLERANCES, error_ratio

EXACT = TOLERANCES[torch.float64].exact
X = [[1.0, -2.0], [3.0, 0.5], [-1.0, 1.5]]
LOCAL, LOCAL_BIAS = [[1.0, 0.0], [0.5, -1.0], [2.0, 1.0]], [0.0, 0.5, -1.0]
SUMMARY, SUMMARY_BIAS = [[0.0, 1.0], [1.0, 1.0], [-1.0, 0.5]], [0.25, 0.0, 2.0]
#: Three columns for what the token says, then three for the mean.
COMBINE, COMBINE_BIAS = [[1.0, 2.0, 0.0, -1.0, 0.5, 1.0], [0.0, -1.0, 1.0, 2.0, 1.0, -0.5]], [0.5, -0.25]


def gelu(x: float) -> float:
    return x * (1 + math.erf(x / math.sqrt(2))) / 2


def layer(weight: list[list[float]], bias: list[float], x: list[float]) -> list[float]:
    return [gelu(sum(w * v for w, v in zip(row, x, strict=True)) + b) for row, b in zip(weight, bias, strict=True)]


def test_the_equation_by_hand() -> None:
    state = {
        "local.weight": LOCAL,
        "local.bias": LOCAL_BIAS,
        "summary.weight": SUMMARY,
        "summary.bias": SUMMARY_BIAS,
        "combine.weight": COMBINE,
        "combine.bias": COMBINE_BIAS,
    }
    mixer = build_mixer("summary_mixing", {"d_hidden": 3}, d_model=2).double()
    mixer.load_state_dict({name: torch.tensor(value, dtype=torch.float64) for name, value in state.items()})
    for tokens in (X, X[:2]):
        summaries = [layer(SUMMARY, SUMMARY_BIAS, token) for token in tokens]
        mean = [sum(summary[k] for summary in summaries) / len(tokens) for k in range(3)]
        expected = [layer(COMBINE, COMBINE_BIAS, layer(LOCAL, LOCAL_BIAS, token) + mean) for token in tokens]
        x = torch.tensor([tokens], dtype=torch.float64)
        assert error_ratio(mixer(x, Sequences.padded(x)), torch.tensor([expected], dtype=torch.float64)) <= EXACT


def test_padding_has_no_summary_although_there_are_biases() -> None:
    torch.manual_seed(0)
    mixer = build_mixer("summary_mixing", {}, d_model=5).double()
    x = torch.randn(1, 3, 5, dtype=torch.float64)
    wide = torch.nn.functional.pad(x, (0, 0, 0, 97))
    y = mixer(wide, Sequences.padded(wide, torch.arange(100).unsqueeze(0) < 3))
    assert error_ratio(y[:, :3], mixer(x, Sequences.padded(x))) <= EXACT


def test_the_branches_are_as_wide_as_the_model_unless_told() -> None:
    shapes = {k: tuple(v.shape) for k, v in build_mixer("summary_mixing", {}, d_model=5).state_dict().items()}
    assert shapes["local.weight"] == shapes["summary.weight"] == (5, 5) and shapes["combine.weight"] == (5, 10)


def test_a_hidden_size_below_one_is_refused() -> None:
    with pytest.raises(InputError, match="d_hidden"):
        build_mixer("summary_mixing", {"d_hidden": 0}, d_model=5)

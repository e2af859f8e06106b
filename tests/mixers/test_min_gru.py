import math

import pytest
import torch
from torch import Tensor

from hypermixer import InputError
from hypermixer.mixers import Sequences, build_mixer, min_gru
from hypermixer.ops.compare import TOLERANCES, error_ratio

EXACT = TOLERANCES[torch.float64].exact
X = [[1.0, -2.0], [3.0, 0.5], [-1.0, 1.5]]
#: A row for the state that runs forward, one for the state that runs backward.
GATE, GATE_BIAS = [[0.5, -0.25], [1.0, 0.5]], [0.25, -0.5]
CANDIDATE, CANDIDATE_BIAS = [[2.0, 1.0], [-1.0, 3.0]], [-1.0, 0.5]
OUT, OUT_BIAS = [[1.0, 2.0], [-3.0, 0.5]], [0.25, 1.0]


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def linear(weight: list[list[float]], bias: list[float], x: list[float]) -> list[float]:
    return [sum(w * v for w, v in zip(row, x, strict=True)) + b for row, b in zip(weight, bias, strict=True)]


def test_the_equation_by_hand() -> None:
    state = {
        "gate.weight": GATE,
        "gate.bias": GATE_BIAS,
        "candidate.weight": CANDIDATE,
        "candidate.bias": CANDIDATE_BIAS,
        "out.weight": OUT,
        "out.bias": OUT_BIAS,
    }
    mixer = build_mixer("min_gru", {}, d_model=2).double()
    mixer.load_state_dict({name: torch.tensor(value, dtype=torch.float64) for name, value in state.items()})
    z = [[sigmoid(u) for u in linear(GATE, GATE_BIAS, token)] for token in X]
    c = [linear(CANDIDATE, CANDIDATE_BIAS, token) for token in X]
    h0 = z[0][0] * c[0][0]
    h1 = (1 - z[1][0]) * h0 + z[1][0] * c[1][0]
    h2 = (1 - z[2][0]) * h1 + z[2][0] * c[2][0]
    g2 = z[2][1] * c[2][1]
    g1 = (1 - z[1][1]) * g2 + z[1][1] * c[1][1]
    g0 = (1 - z[0][1]) * g1 + z[0][1] * c[0][1]
    expected = [linear(OUT, OUT_BIAS, states) for states in ([h0, g0], [h1, g1], [h2, g2])]
    x = torch.tensor([X], dtype=torch.float64)
    assert error_ratio(mixer(x, Sequences.padded(x)), torch.tensor([expected], dtype=torch.float64)) <= EXACT


@pytest.mark.parametrize("kind", ["padded", "packed"])
def test_a_long_sequence_is_as_step_by_step(kind: str) -> None:
    """53 tokens are four chunks of the scan, the last one not full; a sequence of 5 is beside them."""
    torch.manual_seed(0)
    mixer = build_mixer("min_gru", {"d_hidden": 4}, d_model=3).double()
    weights = {name: parameter.tolist() for name, parameter in mixer.named_parameters()}
    sequences = [torch.randn(n, 3, dtype=torch.float64) for n in (53, 5)]
    if kind == "packed":
        x = torch.cat(sequences)
        results = mixer(x, Sequences.packed(x, torch.tensor([0, 53, 58]))).split((53, 5))
    else:
        x = torch.nn.utils.rnn.pad_sequence(sequences, batch_first=True, padding_value=9.0)
        y = mixer(x, Sequences.padded(x, torch.arange(53) < torch.tensor([[53], [5]])))
        results = (y[0], y[1, :5])
    for tokens, y in zip(sequences, results, strict=True):
        count = len(tokens)
        gates = [linear(weights["gate.weight"], weights["gate.bias"], t) for t in tokens.tolist()]
        values = [linear(weights["candidate.weight"], weights["candidate.bias"], t) for t in tokens.tolist()]
        states = [[0.0] * 4 for _ in range(count)]
        for k in range(4):
            h = 0.0
            for n in range(count) if k < 2 else reversed(range(count)):
                z = sigmoid(gates[n][k])
                h = (1 - z) * h + z * values[n][k]
                states[n][k] = h
        expected = [linear(weights["out.weight"], weights["out.bias"], s) for s in states]
        assert error_ratio(y, torch.tensor(expected, dtype=torch.float64)) <= EXACT


def test_states_are_float32_at_least(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[torch.dtype] = []

    def scan(decay: Tensor, value: Tensor) -> Tensor:
        seen.extend((decay.dtype, value.dtype))
        return min_gru_scan(decay, value)

    min_gru_scan = min_gru.scan
    monkeypatch.setattr(min_gru, "scan", scan)
    for dtype in (torch.bfloat16, torch.float16, torch.float32, torch.float64):
        x = torch.randn(2, 5, 6, dtype=dtype)
        assert build_mixer("min_gru", {}, d_model=6).to(dtype)(x, Sequences.padded(x)).dtype == dtype
    assert seen == [torch.float32] * 6 + [torch.float64] * 2


def test_both_directions_together_are_as_wide_as_the_model_unless_told() -> None:
    shapes = {k: tuple(v.shape) for k, v in build_mixer("min_gru", {}, d_model=6).state_dict().items()}
    assert shapes["gate.weight"] == shapes["candidate.weight"] == shapes["out.weight"] == (6, 6)


@pytest.mark.parametrize(
    "d_hidden, d_model, word", [(0, 6, "d_hidden"), (5, 6, "multiple of 2"), (None, 7, "multiple of 2")]
)
def test_bad_sizes_are_refused(d_hidden: int | None, d_model: int, word: str) -> None:
    with pytest.raises(InputError, match=word):
        build_mixer("min_gru", {"d_hidden": d_hidden}, d_model=d_model)

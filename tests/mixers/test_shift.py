import math

import pytest
import torch

from hypermixer import InputError
from hypermixer.mixers import Sequences, TokenMixer, build_mixer
from hypermixer.ops.compare import TOLERANCES, error_ratio

EXACT = TOLERANCES[torch.float64].exact
X = [[1.0, -2.0], [3.0, 0.5], [-1.0, 1.5]]
BEFORE, BEFORE_BIAS = [[1.0, 2.0], [-1.0, 0.5]], [0.25, -1.0]
AFTER, AFTER_BIAS = [[2.0, -1.0], [3.0, 1.0]], [0.5, -2.0]


def gelu(x: float) -> float:
    return x * (1 + math.erf(x / math.sqrt(2))) / 2


def test_the_equation_by_hand() -> None:
    """Channel 0 comes from the token before, channel 1 from the one behind, at the ends from the token itself."""
    hidden = [[gelu(BEFORE[c][0] * a + BEFORE[c][1] * b + BEFORE_BIAS[c]) for c in (0, 1)] for a, b in X]
    moved = [[hidden[0][0], hidden[1][1]], [hidden[0][0], hidden[2][1]], [hidden[1][0], hidden[2][1]]]
    expected = [[AFTER[d][0] * a + AFTER[d][1] * b + AFTER_BIAS[d] for d in (0, 1)] for a, b in moved]
    mixer = build_mixer("shift", {}, d_model=2).double()
    state = {"before.weight": BEFORE, "before.bias": BEFORE_BIAS, "after.weight": AFTER, "after.bias": AFTER_BIAS}
    mixer.load_state_dict({name: torch.tensor(value, dtype=torch.float64) for name, value in state.items()})
    x = torch.tensor([X], dtype=torch.float64)
    assert error_ratio(mixer(x, Sequences.padded(x)), torch.tensor([expected], dtype=torch.float64)) <= EXACT


def only_shifts(d_model: int, reach: int) -> TokenMixer:
    """Both linear layers are the identity; of large numbers GELU is the number itself."""
    mixer = build_mixer("shift", {"reach": reach}, d_model=d_model).double()
    with torch.no_grad():
        for name, parameter in mixer.named_parameters():
            parameter.copy_(torch.eye(d_model) if name.endswith("weight") else torch.zeros(d_model))
    return mixer


def test_groups_of_channels_move_up_to_the_reach() -> None:
    """Six channels for offsets -2, -1, 1, 2: the first two offsets have two each."""
    x = torch.tensor([[[10.0 * n + c for c in range(6)] for n in range(2, 6)]], dtype=torch.float64)
    expected = [
        [20.0, 21.0, 22.0, 23.0, 34.0, 45.0],
        [30.0, 31.0, 22.0, 23.0, 44.0, 55.0],
        [20.0, 21.0, 32.0, 33.0, 54.0, 45.0],
        [30.0, 31.0, 42.0, 43.0, 54.0, 55.0],
    ]
    assert only_shifts(6, 2)(x, Sequences.padded(x)).tolist() == [expected]


def test_each_sequence_keeps_its_own_channels_at_its_ends() -> None:
    x = torch.tensor([[20.0, 21.0], [30.0, 31.0], [40.0, 41.0], [50.0, 51.0], [60.0, 61.0]], dtype=torch.float64)
    mixer = only_shifts(2, 1)
    expected = [[20.0, 31.0], [20.0, 31.0], [40.0, 51.0], [40.0, 61.0], [50.0, 61.0]]
    assert mixer(x, Sequences.packed(x, torch.tensor([0, 2, 2, 5]))).tolist() == expected
    keep = torch.tensor([[False, True, False, True, False]])
    padded = mixer(x.unsqueeze(0), Sequences.padded(x.unsqueeze(0), keep))
    assert padded.tolist() == [[[0.0, 0.0], [30.0, 51.0], [0.0, 0.0], [30.0, 51.0], [0.0, 0.0]]]


@pytest.mark.parametrize(
    "reach, d_model, word", [(0, 6, "reach"), (-1, 6, "reach"), (2, 3, "reach=2"), (1, 1, "d_model=1")]
)
def test_a_reach_without_channels_is_refused(reach: int, d_model: int, word: str) -> None:
    with pytest.raises(InputError, match=word):
        build_mixer("shift", {"reach": reach}, d_model=d_model)

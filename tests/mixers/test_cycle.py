import pytest
import torch

from hypermixer import InputError
from hypermixer.mixers import Sequences, build_mixer
from hypermixer.ops.compare import TOLERANCES, error_ratio

EXACT = TOLERANCES[torch.float64].exact
X = [[1.0, -2.0, 0.5, 0.0], [3.0, 0.25, -1.0, 1.0]]
#: Four channels for three offsets: the first has two.
DELTA = [-1, -1, 0, 1]


def test_the_equation_by_hand() -> None:
    mixer = build_mixer("cycle", {"kernel": 3}, d_model=4).double()
    random = torch.Generator().manual_seed(0)
    state = {k: torch.randint(-3, 4, v.shape, generator=random).double() for k, v in mixer.state_dict().items()}
    mixer.load_state_dict(state)
    value = {name: parameter.tolist() for name, parameter in mixer.named_parameters()}
    expected = []
    for n in (0, 1):
        mixed = []
        for d in range(4):
            y = value["cycle.bias"][d] + value["channels.bias"][d]
            for c in range(4):
                if 0 <= n + DELTA[c] < 2:
                    y += X[n + DELTA[c]][c] * value["cycle.weight"][d][c]
                y += X[n][c] * value["channels.weight"][d][c]
            mixed.append(y)
        out = [sum(value["out.weight"][d][e] * mixed[e] for e in range(4)) + value["out.bias"][d] for d in range(4)]
        expected.append(out)
    x = torch.tensor([X], dtype=torch.float64)
    assert error_ratio(mixer(x, Sequences.padded(x)), torch.tensor([expected], dtype=torch.float64)) <= EXACT


def test_beyond_the_ends_of_each_sequence_stands_zero() -> None:
    """Two sequences, of three tokens and one: the first channel comes from before, the third from behind."""
    mixer = build_mixer("cycle", {"kernel": 3}, d_model=3).double()
    with torch.no_grad():
        for name, parameter in mixer.named_parameters():
            parameter.copy_(torch.eye(3) if name in ("cycle.weight", "out.weight") else torch.zeros_like(parameter))
    x = torch.tensor([[[10.0 * n + c for c in range(3)] for n in range(1, 5)]], dtype=torch.float64)
    expected = [[0.0, 11.0, 22.0], [10.0, 21.0, 32.0], [20.0, 31.0, 0.0], [0.0, 41.0, 0.0]]
    assert mixer(x[0], Sequences.packed(x[0], torch.tensor([0, 3, 4]))).tolist() == expected
    keep = torch.tensor([[True, True, True, False]])
    assert mixer(x, Sequences.padded(x, keep)).tolist() == [[*expected[:3], [0.0] * 3]]
    one = x[:, 3:]
    assert mixer(one, Sequences.padded(one)).tolist() == [expected[3:]]


def test_the_kernel_is_seven_unless_told() -> None:
    assert build_mixer("cycle", {}, d_model=7).state_size(100) == 3 * 7


@pytest.mark.parametrize("kernel, word", [(1, "odd"), (4, "odd"), (0, "odd"), (-3, "odd"), (9, "kernel=9")])
def test_kernels_that_do_not_fit_are_refused(kernel: int, word: str) -> None:
    with pytest.raises(InputError, match=word):
        build_mixer("cycle", {"kernel": kernel}, d_model=8)

import pytest
import torch
from torch import Tensor

from hypermixer import InputError
from hypermixer.mixers import Sequences, build_mixer
from hypermixer.mixers.permutator import Permutator
from hypermixer.ops.compare import TOLERANCES, error_ratio

EXACT = TOLERANCES[torch.float64].exact
X = [[1.0, -2.0, 0.5, 0.0], [3.0, 0.25, -1.0, 1.0], [0.0, 2.0, -0.5, -1.5], [2.0, 1.0, 4.0, -3.0]]


def made(*, d_model: int, side: int, segments: int) -> Permutator:
    mixer = build_mixer("permutator", {"side": side, "segments": segments}, d_model=d_model)
    assert isinstance(mixer, Permutator)
    return mixer.double()


def whole(shape: torch.Size, seed: int) -> Tensor:
    """Small whole numbers."""
    return torch.randint(-3, 4, shape, generator=torch.Generator().manual_seed(seed)).double()


@pytest.mark.parametrize("tokens", [1, 2, 3, 4])
def test_the_equation_by_hand(tokens: int) -> None:
    """A grid of 2 x 2 tokens, each of two segments of two channels: channel s * 2 + g is place g of segment s."""
    mixer = made(d_model=4, side=2, segments=2)
    mixer.load_state_dict({k: whole(v.shape, seed) for seed, (k, v) in enumerate(mixer.state_dict().items())})
    value = {name: parameter.tolist() for name, parameter in mixer.named_parameters()}
    rows, columns = (tokens + 1) // 2, min(tokens, 2)
    expected = []
    for n in range(tokens):
        row, column = n // 2, n % 2
        mixed = []
        for channel in range(4):
            s, g = channel // 2, channel % 2
            down, along = value["down.bias"][row][s], value["along.bias"][column][s]
            for t in (0, 1):
                for r in range(rows):
                    if r * 2 + column < tokens:
                        down += value["down.weight"][row][s][r][t] * X[r * 2 + column][t * 2 + g]
                for c in range(columns):
                    if row * 2 + c < tokens:
                        along += value["along.weight"][column][s][c][t] * X[row * 2 + c][t * 2 + g]
            itself = sum(value["channels.weight"][channel][e] * X[n][e] for e in range(4))
            mixed.append(down + along + itself + value["channels.bias"][channel])
        expected.append([sum(value["out.weight"][d][e] * mixed[e] for e in range(4)) for d in range(4)])
        expected[-1] = [y + b for y, b in zip(expected[-1], value["out.bias"], strict=True)]
    x = torch.tensor([X[:tokens]], dtype=torch.float64)
    y = mixer(x, Sequences.padded(x))
    assert error_ratio(y, torch.tensor([expected], dtype=torch.float64)) <= EXACT


@pytest.mark.parametrize("tokens", [2, 3, 7, 8, 9])
def test_two_layers_reach_every_token(tokens: int) -> None:
    """One reaches the token's row and column in a grid of three columns."""
    torch.manual_seed(0)
    first, second = (made(d_model=6, side=3, segments=2) for _ in range(2))
    x = torch.randn(1, tokens, 6, dtype=torch.float64, requires_grad=True)
    sequences = Sequences.padded(x)
    once = first(x, sequences)
    twice = second(once, sequences)
    for n in range(tokens):
        cross = {m for m in range(tokens) if m // 3 == n // 3 or m % 3 == n % 3}
        for y, expected in ((once, cross), (twice, set(range(tokens)))):
            (gradient,) = torch.autograd.grad(y[0, n].square().sum(), x, retain_graph=True)
            assert set(gradient[0].abs().amax(1).nonzero().flatten().tolist()) == expected


def test_a_larger_side_with_the_same_leading_weights_is_no_other_function_within_a_row() -> None:
    torch.manual_seed(0)
    small, large = made(d_model=6, side=5, segments=3), made(d_model=6, side=11, segments=3)
    state = large.state_dict()
    leading = {k: state[k][tuple(slice(size) for size in v.shape)] for k, v in small.state_dict().items()}
    small.load_state_dict(leading)
    x = torch.randn(2, 4, 6, dtype=torch.float64)
    assert error_ratio(large(x, Sequences.padded(x)), small(x, Sequences.padded(x))) <= EXACT


def test_the_grid_bounds_the_length() -> None:
    mixer = made(d_model=6, side=3, segments=2)
    assert mixer.max_length == 9
    assert mixer.flops(7) == 2 * (
        2 * 7 * 6 * 6 + 3 * 3 * (3 + 3) * 2 * 6
    )  # three rows, of which the last has one token
    assert mixer.flops(2) == 2 * (2 * 2 * 6 * 6 + 1 * 2 * (1 + 2) * 2 * 6)
    default = build_mixer("permutator", {}, d_model=24)
    assert default.max_length == 1024 and default.get_parameter("down.weight").shape == (32, 8, 32, 8)


@pytest.mark.parametrize(
    "options, word", [({"side": 0}, "side"), ({"segments": 0}, "segments"), ({"segments": 5}, "segments=5")]
)
def test_bad_sizes_are_refused(options: dict[str, int], word: str) -> None:
    with pytest.raises(InputError, match=word):
        build_mixer("permutator", options, d_model=24)

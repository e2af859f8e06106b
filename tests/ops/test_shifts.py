import pytest
import torch
from torch import Tensor

from hypermixer.ops.shifts import shifted

#: Two sequences and three, end to end.
LENGTHS = [(4, 7), (1, 2, 3), (11,)]
OFFSETS = [[-1, 1], [0], [-2, -1, 0, 1, 2], [-3, 5], [2, 2, -9], [20, -20, 1]]


def group_sizes(width: int, groups: int) -> list[int]:
    return [width // groups + (group < width % groups) for group in range(groups)]


def by_hand(x: list[list[float]], offsets: list[int], lengths: tuple[int, ...], keep_edge: bool) -> list[list[float]]:
    offset_of = [o for o, n in zip(offsets, group_sizes(len(x[0]), len(offsets)), strict=True) for _ in range(n)]
    y, start = [], 0
    for length in lengths:
        for n in range(length):
            token = []
            for c, offset in enumerate(offset_of):
                if 0 <= n + offset < length:
                    token.append(x[start + n + offset][c])
                else:
                    token.append(x[start + n][c] if keep_edge else 0.0)
            y.append(token)
        start += length
    return y


def places(lengths: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """[tokens] each: the place in the sequence, and the sequence's length."""
    return torch.cat([torch.arange(n) for n in lengths]), torch.cat([torch.full((n,), n) for n in lengths])


@pytest.mark.parametrize("keep_edge", [True, False])
@pytest.mark.parametrize("offsets", OFFSETS, ids=str)
@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_sequences_end_to_end(lengths: tuple[int, ...], offsets: list[int], keep_edge: bool) -> None:
    torch.manual_seed(0)
    x = torch.randn(sum(lengths), 7)
    y = shifted(x, *places(lengths), offsets=offsets, keep_edge=keep_edge)
    assert torch.equal(y, torch.tensor(by_hand(x.tolist(), offsets, lengths, keep_edge)))


@pytest.mark.parametrize("keep_edge", [True, False])
@pytest.mark.parametrize("offsets", OFFSETS, ids=str)
def test_padded_sequences_of_different_lengths(offsets: list[int], keep_edge: bool) -> None:
    """A length for each sequence, and places that all have in common; what stands beyond an end is not looked at."""
    torch.manual_seed(0)
    lengths = (9, 4, 1)
    x = torch.randn(3, 9, 7)
    for b, n in enumerate(lengths):
        x[b, n:] = float("nan")
    y = shifted(x, torch.arange(9), torch.tensor(lengths).unsqueeze(1), offsets=offsets, keep_edge=keep_edge)
    for b, n in enumerate(lengths):
        assert torch.equal(y[b, :n], torch.tensor(by_hand(x[b, :n].tolist(), offsets, (n,), keep_edge)))


def test_small_numbers_by_hand() -> None:
    """Three channels for two offsets: the first has two."""
    x = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]])
    two_and_one = torch.tensor([0, 1, 0]), torch.tensor([2, 2, 1])
    assert shifted(x, *two_and_one, offsets=[-1, 1], keep_edge=False).tolist() == [[0, 0, 6], [1, 2, 0], [0, 0, 0]]
    assert shifted(x, *two_and_one, offsets=[-1, 1], keep_edge=True).tolist() == [[1, 2, 6], [1, 2, 6], [7, 8, 9]]


@pytest.mark.parametrize("keep_edge", [True, False])
def test_gradients(keep_edge: bool) -> None:
    torch.manual_seed(0)
    x = torch.randn(11, 5, dtype=torch.float64, requires_grad=True)
    place, length = places((4, 1, 6))
    offsets = [-2, 0, 1, 30]
    assert torch.autograd.gradcheck(lambda x: shifted(x, place, length, offsets=offsets, keep_edge=keep_edge), (x,))


def test_no_gradient_crosses_from_one_sequence_to_the_next() -> None:
    x = torch.randn(11, 4, requires_grad=True)
    y = shifted(x, *places((4, 7)), offsets=[-1, 1], keep_edge=False)
    (gradient,) = torch.autograd.grad(y[:4].sum(), x)
    assert gradient.tolist() == [[1, 1, 0, 0], [1, 1, 1, 1], [1, 1, 1, 1], [0, 0, 1, 1], *[[0, 0, 0, 0]] * 7]

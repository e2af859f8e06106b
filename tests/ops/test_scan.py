import pytest
import torch
from torch import Tensor

from hypermixer.ops.compare import TOLERANCES, error_ratio
from hypermixer.ops.scan import scan


def loop(decay: Tensor, value: Tensor) -> Tensor:
    state, states = torch.zeros_like(value[:, 0]), []
    for n in range(value.shape[1]):
        state = decay[:, n] * state + value[:, n]
        states.append(state)
    return torch.stack(states, 1)


def drawn(tokens: int, batch: int = 3, width: int = 5) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    shape = (batch, tokens, width)
    return torch.rand(shape, dtype=torch.float64), torch.randn(shape, dtype=torch.float64)


@pytest.mark.parametrize("tokens", [1, 2, 15, 16, 17, 32, 53, 256, 257, 300])
def test_it_is_the_recurrence(tokens: int) -> None:
    decay, value = drawn(tokens)
    for a in (decay, decay**0.01, 3 * decay - 1.5):  # that forget soon, late, and with any sign
        assert error_ratio(scan(a, value), loop(a, value)) <= TOLERANCES[torch.float64].exact


def test_small_numbers_by_hand() -> None:
    decay = torch.tensor([[[7.0], [0.5], [0.0], [1.0], [-2.0]]])
    value = torch.tensor([[[2.0], [3.0], [5.0], [1.0], [4.0]]])
    assert scan(decay, value).flatten().tolist() == [2.0, 4.0, 5.0, 6.0, -8.0]


@pytest.mark.parametrize("tokens", [16, 53, 300])
def test_decays_of_one_sum_and_of_zero_forget(tokens: int) -> None:
    _, value = drawn(tokens)
    assert error_ratio(scan(torch.ones_like(value), value), value.cumsum(1)) <= TOLERANCES[torch.float64].exact
    assert torch.equal(scan(torch.zeros_like(value), value), value)


@pytest.mark.parametrize("tokens", [3, 17, 33])
def test_gradients(tokens: int) -> None:
    decay, value = (t.requires_grad_() for t in drawn(tokens, batch=2, width=2))
    assert torch.autograd.gradcheck(scan, (decay, value))


def test_gradients_through_chunks_of_chunks() -> None:
    results: list[tuple[Tensor, ...]] = []
    for way in (scan, loop):
        decay, value = (t.requires_grad_() for t in drawn(300))
        results.append(torch.autograd.grad(way(decay, value).square().sum(), (decay, value)))
    for mine, expected in zip(*results, strict=True):
        assert error_ratio(mine, expected) <= TOLERANCES[torch.float64].exact


@pytest.mark.parametrize("power", [1.0, 1e-3])
def test_rounding_errors_do_not_grow_with_the_length(power: float) -> None:
    decay, value = drawn(5_000)
    decay, value = (decay**power).float(), value.float()
    y, expected = scan(decay, value), scan(decay.double(), value.double())
    assert y.dtype == torch.float32
    for part in (slice(0, 500), slice(4_500, 5_000)):
        assert error_ratio(y[:, part], expected[:, part]) <= TOLERANCES[torch.float32].rounded


def test_later_tokens_reach_no_earlier_ones() -> None:
    decay, value = drawn(53)
    changed = value.clone()
    changed[:, 20:] = float("nan")
    y = scan(decay, changed)
    assert torch.equal(y[:, :20], scan(decay, value)[:, :20]) and bool(y[:, 20:].isnan().all())

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from hypermixer.ops.compare import TOLERANCES, error_ratio
from hypermixer.ops.fourier import fourier_mix, transform_flops

EXACT = TOLERANCES[torch.float64].exact
SIZES = [1, 2, 3, 7, 8, 13]


def double_sum(x: Tensor) -> Tensor:
    """[N, D] -> [N, D]: the sum over n and e of x[n, e] exp(-2 pi i (m n / N + d e / D)), its real part."""
    y = torch.zeros(x.shape, dtype=torch.complex128)
    tokens, width = x.shape
    m, d = torch.arange(tokens).double().unsqueeze(1), torch.arange(width).double()
    for n in range(tokens):
        for e in range(width):
            y += x[n, e] * torch.exp(-2j * torch.pi * (m * n / tokens + d * e / width))
    return y.real


def batch(lengths: tuple[int, ...], tokens: int, width: int = 5) -> Tensor:
    """Zero from each sequence's end on."""
    x = torch.randn(len(lengths), tokens, width, dtype=torch.float64)
    return x * (torch.arange(tokens) < torch.tensor(lengths).unsqueeze(1)).unsqueeze(-1)


@pytest.mark.parametrize("width", [1, 2, 5])
@pytest.mark.parametrize("tokens", SIZES)
def test_it_is_the_double_sum(tokens: int, width: int) -> None:
    torch.manual_seed(0)
    x = torch.randn(3, tokens, width, dtype=torch.float64)
    expected = torch.stack([double_sum(sequence) for sequence in x])
    assert error_ratio(fourier_mix(x), expected) <= EXACT
    assert error_ratio(fourier_mix(x, torch.full((3,), tokens)), expected) <= EXACT


@pytest.mark.parametrize("tokens", SIZES)
def test_each_sequence_is_transformed_at_its_own_length(tokens: int) -> None:
    torch.manual_seed(0)
    lengths = tuple(min(n, tokens) for n in (0, 1, 2, 5, 6, 12, tokens))
    x = batch(lengths, tokens)
    y = fourier_mix(x, torch.tensor(lengths))
    assert y.shape == x.shape and bool(y.isfinite().all())
    for mixed, sequence, length in zip(y, x, lengths, strict=True):
        assert error_ratio(mixed[:length], double_sum(sequence[:length])) <= EXACT


def test_long_sequences_lose_no_digits() -> None:
    torch.manual_seed(0)
    lengths = (1000, 997, 512, 3)
    x = batch(lengths, 1000, 24)
    y = fourier_mix(x.float(), torch.tensor(lengths))
    assert y.dtype == torch.float32
    for mixed, sequence, length in zip(y, x, lengths, strict=True):
        expected = fourier_mix(sequence[:length].float().double().unsqueeze(0))[0]
        assert error_ratio(mixed[:length], expected) <= TOLERANCES[torch.float32].rounded


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("lengths", [None, (7, 4)])
def test_half_precision_is_widened(lengths: tuple[int, ...] | None, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    x = batch((7, 4), 7).to(dtype)
    given = None if lengths is None else torch.tensor(lengths)
    y = fourier_mix(x, given)
    assert y.dtype == torch.float32
    kept = (torch.arange(7) < torch.tensor(lengths or (7, 7)).unsqueeze(1)).unsqueeze(-1)
    assert error_ratio(y * kept, fourier_mix(x.double(), given) * kept) <= TOLERANCES[torch.float32].rounded


@pytest.mark.parametrize("lengths", [None, (7, 0, 1, 4)])
def test_gradients(lengths: tuple[int, ...] | None) -> None:
    torch.manual_seed(0)
    kept = (torch.arange(7) < torch.tensor(lengths or (7,) * 4).unsqueeze(1)).unsqueeze(-1)
    given = None if lengths is None else torch.tensor(lengths)
    x = torch.randn(4, 7, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: fourier_mix(x * kept, given) * kept, (x,))


@pytest.mark.parametrize(
    "shape, dims, expected",
    [
        ((4, 8), (0, 1), 800),  # 5 * 32 * log2(32)
        ((3, 8), (1,), 360),  # three transforms of 5 * 8 * log2(8)
        ((8, 3), (0,), 360),
        ((2, 3), (0, 1), 78),  # 5 * 6 * log2(6) = 77.55
        ((7, 1), (1,), 0),  # of a single point nothing is to be computed
        ((0, 8), (0,), 0),
    ],
)
def test_operations_by_hand(shape: tuple[int, ...], dims: tuple[int, ...], expected: int) -> None:
    assert transform_flops(shape, dims) == expected


def test_the_flop_counter_knows_transforms() -> None:
    whole, real = torch.randn(3, 8, dtype=torch.complex64), torch.randn(3, 8)
    transforms = [
        (lambda: torch.fft.fft(whole), 360),
        (lambda: torch.fft.ifft(whole), 360),
        (lambda: torch.fft.fft(real), 180),
        (lambda: torch.fft.fft2(torch.zeros(4, 8, dtype=torch.complex64)), 800),
    ]
    for transform, expected in transforms:
        with FlopCounterMode(display=False) as counter:
            transform()
        assert counter.get_total_flops() == expected

"""The real part of the two-dimensional Fourier transform of a sequence, at the sequence's own length.

Source: FNet (arXiv 2105.03824), Eq. 3. A transform of n complex points is counted as 5 n log2 n operations (Cooley and
Tukey).
"""

import math

import torch
from torch import Tensor
from torch.utils.flop_counter import flop_registry, register_flop_formula


def fourier_mix(x: Tensor, lengths: Tensor | None = None) -> Tensor:
    """Re(F_N x F_D), F_n the unnormalised n-point transform: x [B, N, D] -> [B, N, D], of float32 at least.

    Args:
        x: zero from each sequence's end on.
        lengths: [B], each sequence's own N; None: that of x. Beyond it, the result is without meaning.
    """
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    if lengths is None:
        return torch.fft.fft2(x).real
    return _of_lengths(torch.fft.fft(x, dim=-1), lengths).real


def _of_lengths(z: Tensor, lengths: Tensor) -> Tensor:
    """The transform along dimension 1 of z [B, N, D], each sequence's at its own length, in fixed shapes (Bluestein).

    With m n = (m^2 + n^2 - (m - n)^2) / 2 it is a convolution with a chirp, between two products with its conjugate.
    """
    tokens = z.shape[1]
    place = torch.arange(tokens, device=z.device)
    twice = 2 * lengths.clamp(min=1).unsqueeze(1)
    # exp(-i pi n^2 / N): n^2 is reduced as a whole number, so that long sequences lose no digits.
    angles = (place.square() % twice).double() * (2 * math.pi) / twice
    chirp = torch.polar(torch.ones_like(angles), -angles).to(z.dtype).unsqueeze(-1)  # [B, N, 1]
    points = 2 ** math.ceil(math.log2(2 * tokens - 1)) if tokens > 1 else 1
    gap = chirp.new_zeros(len(chirp), points - 2 * tokens + 1, 1)
    around = torch.cat([chirp, gap, chirp[:, 1:].flip(1)], 1).conj()  # the chirp at m - n, negative ones at the end
    spectrum = torch.fft.fft(z * chirp, n=points, dim=1) * torch.fft.fft(around, dim=1)
    return torch.fft.ifft(spectrum, dim=1)[:, :tokens] * chirp


def transform_flops(shape: torch.Size | tuple[int, ...], dims: tuple[int, ...]) -> int:
    """Operations of complex transforms over `dims` of an array of this shape."""
    points = math.prod(shape[d] for d in dims)
    return round(5 * math.prod(shape) * math.log2(max(1, points)))


def _count_transforms() -> None:
    """Teaches the FLOP counter Fourier transforms, which it would count as free."""
    aten = torch.ops.aten
    # Of real input a transform costs half as much.
    for operator, share in ((aten._fft_c2c, 1), (aten._fft_r2c, 2)):
        if operator not in flop_registry:
            register_flop_formula(operator)(lambda shape, dims, *_, s=share, **__: transform_flops(shape, dims) // s)


_count_transforms()

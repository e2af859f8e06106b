"""The standard sinusoid (Vaswani et al. 2017, section 3.5): counted from 0, unscaled, any length."""

import math

import torch
from torch import Tensor

_TABLES: dict[tuple[int, torch.dtype, torch.device], Tensor] = {}


def sinusoid(length: int, width: int, like: Tensor) -> Tensor:
    """Position codes [length, width] in the dtype and on the device of `like`; angles are computed in float64.

    Tables are kept between calls. While a graph is being traced they are computed inside it, so that no tensor of
    the trace outlives it.
    """
    if torch.compiler.is_compiling() or type(like) not in (Tensor, torch.nn.Parameter):
        return _table(length, width, like.device).to(like.dtype)
    key = (width, like.dtype, like.device)
    table = _TABLES.get(key)
    if table is None or len(table) < length:
        # A table made in inference mode could not take part in the next training step.
        with torch.inference_mode(False):
            table = _table(1 << max(9, (length - 1).bit_length()), width, like.device).to(like.dtype)
        _TABLES[key] = table
    return table[:length]


def _table(length: int, width: int, device: torch.device) -> Tensor:
    position = torch.arange(length, dtype=torch.float64, device=device).unsqueeze(1)
    even = torch.arange(0, width, 2, dtype=torch.float64, device=device)
    angles = position * torch.exp(even * (-math.log(10_000.0) / width))
    return torch.stack((angles.sin(), angles.cos()), dim=2).flatten(1)[:, :width]

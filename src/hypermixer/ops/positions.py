"""Position codes, and how each enters the input of HyperMixing's hypernetworks.

Two sinusoids: the standard one (Vaswani et al. 2017, section 3.5), counted from 0, and that of the official HyperMixing
layer (idiap/hypermixing 0.1.1). Both for any length, with angles in float64.
"""

import math
import threading
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

#: What all tables together may take between calls, on all devices.
MOST_KEPT_BYTES = 128 * 2**20

_Key = tuple[Callable[..., Tensor], int, torch.dtype, torch.device]
#: The longest table of each kind, in the order in which they were made.
_TABLES: dict[_Key, Tensor] = {}
#: Tables that a captured CUDA graph reads at every replay: they stay, whatever becomes of those above.
_READ_BY_GRAPHS: dict[tuple[_Key, int], Tensor] = {}
_lock = threading.Lock()


def sinusoid(length: int, width: int, like: Tensor) -> Tensor:
    """Standard position codes [length, width] in the dtype and on the device of `like`; angles are in float64.

    Row p, columns i and i + 1 for even i: sin and cos of p / 10000^(i / width), p from 0.

    Tables are kept between calls, up to `MOST_KEPT_BYTES`; one that is larger alone is made for each call. While a
    graph is being traced they are computed inside it, so that no tensor of the trace outlives it; nor is a table kept
    that is made while a CUDA graph is captured, whose memory is the graph's.
    """
    return _kept(_standard, length, width, like)


def idiap_sinusoid(length: int, width: int, like: Tensor) -> Tensor:
    """Position codes [length, width] of the official layer, in the dtype and on the device of `like`.

    Row p, column i: sin (i even) or cos (i odd) of (p + 1) / 10000^(2i / width), p from 0; rounded to float32 whatever
    the dtype, as the table is that the official layer stores. Kept between calls as `sinusoid` is.
    """
    return _kept(_idiap, length, width, like)


class TokenInformation(NamedTuple):
    """What the hypernetworks, and only they, are told of tokens x [B, N, D]: z = x * input_scale(D) + code(N, D, x).

    Attributes:
        code: (length, width, like) -> [length, width]; None adds nothing.
        input_scale: of the width D.
    """

    code: Callable[[int, int, Tensor], Tensor] | None
    input_scale: Callable[[int], float]


def _unscaled(width: int) -> float:
    return 1.0


#: The choices of `HyperMixing(positions=...)`.
POSITIONS: dict[str, TokenInformation] = {
    "sinusoidal": TokenInformation(sinusoid, _unscaled),
    "idiap": TokenInformation(idiap_sinusoid, math.sqrt),
    "none": TokenInformation(None, _unscaled),
}


def _kept(make: Callable[[int, int, torch.device], Tensor], length: int, width: int, like: Tensor) -> Tensor:
    if torch.compiler.is_compiling() or type(like) not in (Tensor, torch.nn.Parameter):
        return make(length, width, like.device).to(like.dtype)
    key = (make, width, like.dtype, like.device)
    capturing = _capturing(like.device)
    table = _TABLES.get(key)
    if table is None or len(table) < length:
        most = MOST_KEPT_BYTES // max(1, width * like.element_size())
        if capturing or length > most:
            return make(length, width, like.device).to(like.dtype)
        # A table made in inference mode could not take part in the next training step.
        with torch.inference_mode(False):
            rows = min(1 << max(9, (length - 1).bit_length()), most)
            table = make(rows, width, like.device).to(like.dtype)
        _keep(key, table)
    if capturing:
        _READ_BY_GRAPHS[key, len(table)] = table
    return table[:length]


def _keep(key: _Key, table: Tensor) -> None:
    """In place of a shorter one of its kind; the oldest of other kinds go where there is no room."""
    with _lock:
        _TABLES.pop(key, None)
        while _TABLES and sum(kept.nbytes for kept in _TABLES.values()) + table.nbytes > MOST_KEPT_BYTES:
            del _TABLES[next(iter(_TABLES))]
        _TABLES[key] = table


def _capturing(device: torch.device) -> bool:
    # torch without CUDA raises where it is asked.
    return device.type == "cuda" and torch.cuda.is_current_stream_capturing()


def _standard(length: int, width: int, device: torch.device) -> Tensor:
    position = torch.arange(length, dtype=torch.float64, device=device).unsqueeze(1)
    even = torch.arange(0, width, 2, dtype=torch.float64, device=device)
    angles = position * torch.exp(even * (-math.log(10_000.0) / width))
    return torch.stack((angles.sin(), angles.cos()), dim=2).flatten(1)[:, :width]


def _idiap(length: int, width: int, device: torch.device) -> Tensor:
    position = torch.arange(1, length + 1, dtype=torch.float64, device=device).unsqueeze(1)
    # Every column has a wavelength of its own, by the same power and division as in the official table: a last bit
    # that differed here could be rounded to another float32.
    columns = [10_000 ** (2 * i / width) for i in range(width)]
    angles = position / torch.tensor(columns, dtype=torch.float64, device=device)
    even = torch.arange(width, device=device) % 2 == 0
    return torch.where(even, angles.sin(), angles.cos()).float()

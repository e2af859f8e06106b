"""Linear recurrences over tokens in linear time, without a step for every token."""

import torch
from torch import Tensor

#: Steps that are taken one after the other within a chunk; then chunks are chained the same way.
_CHUNK = 16


def scan(decay: Tensor, value: Tensor) -> Tensor:
    """h_n = decay_n * h_(n-1) + value_n, h_(-1) = 0: decay and value [B, N, D], N >= 1 -> [B, N, D].

    All chunks take their steps together; what reaches a chunk from those before it is a recurrence over chunks. There
    are sums and products only, no logarithms: with decays in [0, 1] rounding errors die out along the sequence.
    """
    batch, tokens, width = value.shape
    if tokens <= _CHUNK:
        return _steps(decay, value)[0]
    chunks = -(-tokens // _CHUNK)
    missing = (0, 0, 0, chunks * _CHUNK - tokens)
    decay, value = (torch.nn.functional.pad(t, missing).view(batch * chunks, _CHUNK, width) for t in (decay, value))
    inside, fading = _steps(decay, value)
    last = inside[:, -1].view(batch, chunks, width), fading[:, -1].view(batch, chunks, width)
    arriving = torch.nn.functional.pad(scan(last[1], last[0]), (0, 0, 1, 0))[:, :-1]  # at the start of each chunk
    h = inside + fading * arriving.reshape(batch * chunks, 1, width)
    return h.view(batch, chunks * _CHUNK, width)[:, :tokens]


def _steps(decay: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """The recurrence step by step, and the products of decays from the start: [B, n, D] each."""
    states, products = [value[:, 0]], [decay[:, 0]]
    for a, v in zip(decay.unbind(1)[1:], value.unbind(1)[1:], strict=True):
        states.append(torch.addcmul(v, a, states[-1]))
        products.append(a * products[-1])
    return torch.stack(states, 1), torch.stack(products, 1)

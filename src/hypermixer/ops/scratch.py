"""Working memory that stays between calls: fresh memory is slow memory.

An operating system hands memory out page by page, at one to three microseconds each, and PyTorch's CPU allocator gives
it back after use: a layer that allocates 20 MB spends as long on that as on its arithmetic. Operators that work on a
part at a time take the arrays for a part from here.
"""

import threading

import torch
from torch import Tensor

#: Larger arrays are given back after the call.
_MOST_KEPT_BYTES = 32 * 2**20

_kept = threading.local()


class Scratch:
    """Named arrays of one dtype on one device, used again for every part and every call."""

    def __init__(self, like: Tensor) -> None:
        self._dtype, self._device, self._arrays = like.dtype, like.device, dict[str, Tensor]()

    def __call__(self, name: str, *shape: int) -> Tensor:
        """An array of this shape, holding whatever was last left in it."""
        size = 1
        for n in shape:
            size *= n
        array = self._arrays.get(name)
        if array is None or array.numel() < size:
            # One made in inference mode could not take part in the next training step.
            with torch.inference_mode(False):
                array = self._arrays[name] = torch.empty(size, dtype=self._dtype, device=self._device)
        return array[:size].view(shape)

    def give_back_large(self) -> None:
        """Forgets the arrays that are too large to be kept."""
        self._arrays = {k: t for k, t in self._arrays.items() if t.nbytes <= _MOST_KEPT_BYTES}


def scratch(like: Tensor) -> Scratch:
    """This thread's working memory for the dtype of `like`; on a device with an allocator that keeps, a fresh one."""
    if like.device.type != "cpu":
        return Scratch(like)
    pools: dict[torch.dtype, Scratch] | None = getattr(_kept, "pools", None)
    if pools is None:
        pools = _kept.pools = {}
    return pools.setdefault(like.dtype, Scratch(like))

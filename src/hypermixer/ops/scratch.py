"""Working memory that stays between calls: fresh memory is slow memory.

An operating system hands memory out page by page, at one to eleven microseconds on virtual machines, and PyTorch's CPU
allocator gives it back after use: a layer that allocates 20 MB spends as long on that as on its arithmetic. Operators
that work on a part at a time take the arrays for a part from here.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

#: What a thread keeps for a dtype between calls, at most.
MOST_KEPT_BYTES = 128 * 2**20

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

    @property
    def nbytes(self) -> int:
        return sum(array.nbytes for array in self._arrays.values())

    def shrink(self, most_bytes: int) -> None:
        """Forgets arrays, the largest first, until what is left takes no more than so many bytes."""
        held = self.nbytes
        for name, array in sorted(self._arrays.items(), key=lambda item: -item[1].nbytes):
            if held <= most_bytes:
                return
            held -= array.nbytes
            del self._arrays[name]


@contextmanager
def working_memory(like: Tensor) -> Iterator[Scratch]:
    """This thread's arrays for the dtype of `like`, kept up to `MOST_KEPT_BYTES` afterwards; one user at a time.

    On a device whose allocator keeps memory itself, they are made for this one use.
    """
    if like.device.type != "cpu":
        yield Scratch(like)
        return
    pools: dict[torch.dtype, Scratch] | None = getattr(_kept, "pools", None)
    if pools is None:
        pools = _kept.pools = {}
    scratch = pools.setdefault(like.dtype, Scratch(like))
    try:
        yield scratch
    finally:
        scratch.shrink(MOST_KEPT_BYTES)


def bytes_held() -> int:
    """What this thread keeps for the next call, over all dtypes."""
    return sum(scratch.nbytes for scratch in getattr(_kept, "pools", {}).values())

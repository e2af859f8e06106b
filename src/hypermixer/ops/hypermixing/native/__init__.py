"""The native backend: both forms as compiled C++ for CPUs, in float32 and bfloat16.

Products, GELU, positions, masks and both rounds over the tokens are one pass over tiles that stay in cache, for each
head by itself; one fork and one join a call where sequences are short, three where they are long.

    vector.h    vectors, bfloat16, GELU        amx.h        products in Intel's tile registers
    norm.h      LayerNorm                      call.h       arguments, tiles of tokens, a network
    product.h   the matrix product             direct.h     the direct form, forward and backward
    tiles.h     working memory, layouts        factored.h   the factored form
    build.py    compiling and loading          mixing.cpp   entry points
    call.py     tensors to pointers            schedule.h   tasks and threads
"""

from functools import cache

import torch

from hypermixer.ops.hypermixing.native.build import NotBuilt
from hypermixer.ops.hypermixing.native.call import (
    DTYPES,
    backward,
    bytes_held,
    forward,
    functions,
    layer_norm,
    layer_norm_backward,
)

__all__ = ["DTYPES", "backward", "bytes_held", "forward", "layer_norm", "layer_norm_backward", "obstacle"]


@torch.compiler.assume_constant_result
def obstacle(device_type: str, dtype: torch.dtype) -> str | None:
    """Why the native backend cannot evaluate such tensors, in one clause; None where it can.

    float16 is evaluated in float32. The first question about the CPU compiles the kernels where they are not yet.
    """
    if device_type != "cpu":
        return f"the compiled kernels are for CPUs, and these tensors are on '{device_type}'"
    if dtype is not torch.float16 and dtype not in DTYPES:
        return f"the compiled kernels are for float32 and bfloat16, and these tensors are {str(dtype).split('.')[-1]}"
    return _not_built()


@cache
def _not_built() -> str | None:
    try:
        functions()
    except NotBuilt as reason:
        return str(reason)
    return None

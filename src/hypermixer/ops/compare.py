"""How two results are compared, and how far apart they may be: one table for tests, gate and contract."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Tolerance:
    """Largest root-mean-square error ratio: `exact` where one function is evaluated in two ways at the same
    precision, `rounded` against the same function in float64."""

    exact: float
    rounded: float


TOLERANCES: dict[torch.dtype, Tolerance] = {
    torch.float64: Tolerance(exact=1e-12, rounded=1e-12),
    torch.float32: Tolerance(exact=3e-6, rounded=3e-6),
    torch.bfloat16: Tolerance(exact=1e-2, rounded=3e-2),
    torch.float16: Tolerance(exact=2e-3, rounded=4e-3),
}


def error_ratio(actual: Tensor, expected: Tensor) -> float:
    """Root mean square of the difference over that of `expected`; infinite where `actual` is not finite.

    Two all-zero tensors differ by 0.
    """
    if actual.shape != expected.shape:
        raise ValueError(f"shapes differ: {tuple(actual.shape)} and {tuple(expected.shape)}")
    actual, expected = actual.detach().double(), expected.detach().double()
    if not bool(actual.isfinite().all()):
        return float("inf")
    error, size = (actual - expected).norm().item(), expected.norm().item()
    return error / size if size else (float("inf") if error else 0.0)

"""What HyperMixing is timed against: attention as a user would best write it today."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.timing import seconds
from hypermixer.ops.rows import linear


class FusedAttention(nn.Module):
    """One fused QKV projection, scaled_dot_product_attention over 8 heads, an output projection."""

    def __init__(self, d_model: int, num_heads: int = 8) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv, self.out = nn.Linear(d_model, 3 * d_model), nn.Linear(d_model, d_model)

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, width = x.shape
        q, k, v = self.qkv(x).view(batch, tokens, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        return self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(batch, tokens, width))


def matrix_rate(dtype: torch.dtype, size: int = 2048) -> tuple[float, float]:
    """Operations of one large square product, and its seconds by the faster of PyTorch's two libraries: the ceiling."""
    a, b = torch.randn(size, size).to(dtype), torch.randn(size, size).to(dtype)
    times = seconds([lambda: a @ b, lambda: linear(a, b)])
    return 2.0 * size**3, min(time.median for time in times)


def copy_rate(mebibytes: int = 256) -> tuple[float, float]:
    """Bytes read and written by one large copy, and the seconds of its median run."""
    source = torch.zeros(mebibytes * 2**18)
    target = torch.empty_like(source)
    return 2.0 * mebibytes * 2**20, seconds([lambda: target.copy_(source)])[0].median

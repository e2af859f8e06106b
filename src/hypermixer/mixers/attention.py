"""Multi-head softmax attention as a user would best write it today: one QKV product, PyTorch's fused kernel.

Source: Vaswani et al. 2017 (arXiv 1706.03762), section 3.2.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import flop_registry, register_flop_formula, sdpa_backward_flop_count, sdpa_flop_count

from hypermixer.mixers.multi_head import MultiHead

#: Tokens below which the CPU's fused kernel takes longer over the gradient in 16 bits than in float32, casts included:
#: with heads of 16 to 64 numbers up to six times as long at 32 to 128 tokens, on AMD and Intel alike (PyTorch 2.13).
_SLOW_IN_16_BITS = 256


class Attention(MultiHead):
    """softmax(Q K' / sqrt(D/H)) V per head, between a fused input and an output projection.

    x and the result are [B, N, D], or [tokens, D] packed. On a CPU, training in 16 bits evaluates the softmax and its
    two products in float32 where sequences are short, which is faster there.
    """

    tags = frozenset({"heads"})
    cost = "4*N*D^2 + 2*N^2*D"
    source = "Attention is all you need, arXiv 1706.03762, section 3.2"

    def attend(self, query: Tensor, key: Tensor, value: Tensor, keep: Tensor | None) -> Tensor:
        mask = None
        if keep is not None:
            # A row with nothing kept may look anywhere: its softmax stays finite and its output is dropped.
            mask = (keep | ~keep.any(1, keepdim=True))[:, None, None, :]  # [B, 1, 1, N]
        if _faster_in_float32(query):
            with torch.autocast(query.device.type, enabled=False):
                wide = (t.float() for t in (query, key, value))
                return F.scaled_dot_product_attention(*wide, attn_mask=mask).to(value.dtype)
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)

    def flops(self, tokens: int) -> int:
        return 2 * tokens * (4 * self.d_model**2 + 2 * tokens * self.d_model)

    def state_size(self, tokens: int) -> int:
        return 2 * tokens * self.d_model


def _faster_in_float32(query: Tensor) -> bool:
    """Whether the gradient of [B, H, N, D/H] is wanted where the fused kernel is slow in its dtype."""
    short = query.shape[2] < _SLOW_IN_16_BITS
    return short and query.requires_grad and query.device.type == "cpu" and query.element_size() == 2


def _count_cpu_kernel() -> None:
    """Teaches the FLOP counter the CPU's fused kernel, which it would count as free."""
    forward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward
    if forward not in flop_registry:
        register_flop_formula(forward)(lambda query, key, value, *_, **__: sdpa_flop_count(query, key, value))
    if backward not in flop_registry:
        register_flop_formula(backward)(
            lambda grad, query, key, value, *_, **__: sdpa_backward_flop_count(grad, query, key, value)
        )


_count_cpu_kernel()

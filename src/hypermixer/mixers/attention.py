"""Multi-head softmax attention as a user would best write it today: one QKV product, PyTorch's fused kernel.

Source: Vaswani et al. 2017 (arXiv 1706.03762), section 3.2.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import flop_registry, register_flop_formula, sdpa_backward_flop_count, sdpa_flop_count

from hypermixer.mixers.base import TokenMixer, check_heads
from hypermixer.mixers.sequences import Sequences


class Attention(TokenMixer):
    """softmax(Q K' / sqrt(D/H)) V per head, between a fused input and an output projection.

    x and the result are [B, N, D], or [tokens, D] packed.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """`num_heads` divides the model's width; `bias` in the projections."""

        num_heads: int = 8
        bias: bool = True

    positions = "input"
    tags = frozenset({"heads"})
    packs = True
    cost = "4*N*D^2 + 2*N^2*D"
    source = "Attention is all you need, arXiv 1706.03762, section 3.2"

    def __init__(self, config: Config, *, d_model: int) -> None:
        super().__init__(config, d_model=d_model)
        check_heads(config.num_heads, d_model=d_model)
        self.num_heads = config.num_heads
        self.qkv = nn.Linear(d_model, 3 * d_model, bias=config.bias)
        self.out = nn.Linear(d_model, d_model, bias=config.bias)

    def forward(self, x: Tensor, sequences: Sequences) -> Tensor:
        x = sequences.drop(x)
        heads = (3, self.num_heads, self.d_model // self.num_heads)
        qkv = self.qkv(x).unflatten(-1, heads)  # [B, N, 3, H, D/H] or [tokens, 3, H, D/H]
        if sequences.packing is not None:
            return self.out(sequences.in_runs(lambda run: _attend(run, None), qkv))
        mask = None
        if sequences.keep is not None:
            # A row with nothing kept may look anywhere: its softmax stays finite and its output is dropped.
            attend = sequences.keep | ~sequences.keep.any(1, keepdim=True)
            mask = attend[:, None, None, :]  # [B, 1, 1, N]
        return sequences.drop(self.out(_attend(qkv, mask)))

    def flops(self, tokens: int) -> int:
        return 2 * tokens * (4 * self.d_model**2 + 2 * tokens * self.d_model)

    def state_size(self, tokens: int) -> int:
        return 2 * tokens * self.d_model


def _attend(qkv: Tensor, mask: Tensor | None) -> Tensor:
    """qkv [B, N, 3, H, D/H] -> [B, N, D]."""
    query, key, value = qkv.permute(2, 0, 3, 1, 4)  # [B, H, N, D/H] each
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask).transpose(1, 2).flatten(2)


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

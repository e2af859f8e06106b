"""The Linear Transformer's attention: a feature map in place of the softmax, so that the sum over keys comes first.

Source: Transformers are RNNs (arXiv 2006.16236), Eq. 5 to 7.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hypermixer.mixers.base import TokenMixer, check_heads
from hypermixer.mixers.sequences import Sequences

#: Least normaliser: a sequence without keys has none.
_LEAST = 1e-6


class LinearAttention(TokenMixer):
    """y_m = phi(q_m)' S / phi(q_m)' z per head, S = sum_n phi(k_n) v_n', z = sum_n phi(k_n), phi(u) = elu(u) + 1.

    Between a fused input and an output projection; S is [D/H, D/H]. x and the result are [B, N, D], or [tokens, D]
    packed.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """`num_heads` divides the model's width; `bias` in the projections."""

        num_heads: int = 8
        bias: bool = True

    positions = "input"
    tags = frozenset({"linear_cost", "heads"})
    packs = True
    cost = "4*N*D^2 + 2*N*D^2/H"
    source = "Transformers are RNNs, arXiv 2006.16236, Eq. 5 to 7"

    def __init__(self, config: Config, *, d_model: int) -> None:
        super().__init__(config, d_model=d_model)
        check_heads(config.num_heads, d_model=d_model)
        self.num_heads = config.num_heads
        self.qkv = nn.Linear(d_model, 3 * d_model, bias=config.bias)
        self.out = nn.Linear(d_model, d_model, bias=config.bias)

    def forward(self, x: Tensor, sequences: Sequences) -> Tensor:
        heads = (3, self.num_heads, self.d_model // self.num_heads)
        qkv = self.qkv(sequences.drop(x)).unflatten(-1, heads)  # [B, N, 3, H, D/H] or [tokens, 3, H, D/H]
        if sequences.packing is not None:
            return self.out(sequences.in_runs(lambda run: _attend(run, None), qkv))
        return sequences.drop(self.out(_attend(qkv, sequences.keep)))

    def flops(self, tokens: int) -> int:
        return 2 * tokens * (4 * self.d_model**2 + 2 * self.d_model**2 // self.num_heads)

    def state_size(self, tokens: int) -> int:
        width = self.d_model // self.num_heads
        return (width + 1) * self.d_model


def _attend(qkv: Tensor, keep: Tensor | None) -> Tensor:
    """qkv [B, N, 3, H, D/H], keep [B, N] -> [B, N, D]."""
    if qkv.dtype == torch.float16:  # in which the sums over a long text overflow
        with torch.autocast(qkv.device.type, enabled=False):
            return _attend(qkv.float(), keep).half()
    query, key, value = qkv.permute(2, 0, 3, 1, 4)  # [B, H, N, D/H] each
    query, key = _feature_map(query), _feature_map(key)
    if keep is not None:
        key = key.masked_fill(~keep[:, None, :, None], 0)
    state = key.transpose(2, 3) @ value  # S [B, H, D/H, D/H]
    total = key.sum(2, keepdim=True, dtype=torch.promote_types(key.dtype, torch.float32))  # z [B, H, 1, D/H]
    normaliser = (query * total).sum(-1, keepdim=True).clamp(min=_LEAST)
    return ((query @ state) / normaliser).to(value.dtype).transpose(1, 2).flatten(2)


def _feature_map(u: Tensor) -> Tensor:
    """elu(u) + 1, in a form whose small values lose no digits."""
    return F.relu(u) + u.clamp(max=0).exp()

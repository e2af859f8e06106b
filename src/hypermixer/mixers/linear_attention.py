"""The Linear Transformer's attention: a feature map in place of the softmax, so that the sum over keys comes first.

Source: Transformers are RNNs (arXiv 2006.16236), Eq. 5 to 7.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from hypermixer.mixers.multi_head import MultiHead

#: Least normaliser: a sequence without keys has none.
_LEAST = 1e-6


class LinearAttention(MultiHead):
    """y_m = phi(q_m)' S / phi(q_m)' z per head, S = sum_n phi(k_n) v_n', z = sum_n phi(k_n), phi(u) = elu(u) + 1.

    Between a fused input and an output projection; S is [D/H, D/H]. x and the result are [B, N, D], or [tokens, D]
    packed.
    """

    tags = frozenset({"linear_cost", "heads"})
    cost = "4*N*D^2 + 2*N*D^2/H"
    source = "Transformers are RNNs, arXiv 2006.16236, Eq. 5 to 7"

    def attend(self, query: Tensor, key: Tensor, value: Tensor, keep: Tensor | None) -> Tensor:
        if value.dtype == torch.float16:  # in which the sums over a long text overflow
            with torch.autocast(value.device.type, enabled=False):
                return self.attend(query.float(), key.float(), value.float(), keep).half()
        query, key = _feature_map(query), _feature_map(key)
        if keep is not None:
            key = key.masked_fill(~keep[:, None, :, None], 0)
        state = key.transpose(2, 3) @ value  # S [B, H, D/H, D/H]
        total = key.sum(2, keepdim=True, dtype=torch.promote_types(key.dtype, torch.float32))  # z [B, H, 1, D/H]
        normaliser = (query * total).sum(-1, keepdim=True).clamp(min=_LEAST)
        return ((query @ state) / normaliser).to(value.dtype)

    def flops(self, tokens: int) -> int:
        return 2 * tokens * (4 * self.d_model**2 + 2 * self.d_model**2 // self.num_heads)

    def state_size(self, tokens: int) -> int:
        width = self.d_model // self.num_heads
        return (width + 1) * self.d_model


def _feature_map(u: Tensor) -> Tensor:
    """elu(u) + 1, in a form whose small values lose no digits."""
    return F.relu(u) + u.clamp(max=0).exp()

"""gMLP's spatial gating unit between two projections, as a token mixer.

Source: Pay attention to MLPs (arXiv 2105.08050); inside the common layer as in HyperMixer (arXiv
2203.03691).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hypermixer.mixers.base import TokenMixer, check_sizes, hidden_size
from hypermixer.mixers.sequences import Sequences

#: Of the spatial weights at the start, over their number in a row: the gate is near its bias, one.
_SMALL = 1e-3


class GMLP(TokenMixer):
    """Z = GELU(X U), Z = [Z1, Z2]; s(Z) = Z1 * (W LN(Z2) + b); Y = s(Z) V.

    U is [D, K], V [K/2, D], W [max_length, max_length], near 0 at first, b [max_length], 1 at first: of both, N rows
    (and columns) are used. x and the result are [B, N, D], or [tokens, D] packed.

    Raises:
        InputError: a sequence longer than `max_length`.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """`d_hidden` is K, even, None: twice the model's width; `max_length` is in tokens; `bias` in U and V."""

        d_hidden: int | None = None
        max_length: int = 100
        bias: bool = True

    positions = "own"
    tags = frozenset({"fixed_length", "d_hidden"})
    packs = True
    cost = "3*N*D*K/2 + N^2*K/2"
    source = "Pay attention to MLPs, arXiv 2105.08050, spatial gating unit"

    def __init__(self, config: Config, *, d_model: int) -> None:
        super().__init__(config, d_model=d_model)
        self.max_length = config.max_length
        check_sizes(max_length=config.max_length)
        self.d_hidden = hidden_size(config.d_hidden, 2 * d_model, parts=2)
        self.up = nn.Linear(d_model, self.d_hidden, bias=config.bias)
        self.norm = nn.LayerNorm(self.d_hidden // 2)
        self.spatial_weight = nn.Parameter(torch.empty(self.max_length, self.max_length))
        self.spatial_bias = nn.Parameter(torch.empty(self.max_length))
        self.down = nn.Linear(self.d_hidden // 2, d_model, bias=config.bias)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        bound = _SMALL / len(self.spatial_bias)
        nn.init.uniform_(self.spatial_weight, -bound, bound)
        nn.init.ones_(self.spatial_bias)

    def forward(self, x: Tensor, sequences: Sequences) -> Tensor:
        content, gate = F.gelu(self.up(sequences.drop(x))).chunk(2, dim=-1)
        gate = sequences.in_order(self._gate, self.norm(gate), self.max_length)
        return sequences.drop(self.down(content * gate))

    def _gate(self, z: Tensor, keep: Tensor | None) -> Tensor:
        """[b, n, K/2] -> [b, n, K/2]; dropped positions are zero, and so outside the sum."""
        tokens = z.shape[1]
        weight, bias = self.spatial_weight[:tokens, :tokens], self.spatial_bias[:tokens]
        return F.linear(z.transpose(1, 2), weight, bias).transpose(1, 2)

    def flops(self, tokens: int) -> int:
        return 2 * (3 * tokens * self.d_model * self.d_hidden // 2 + tokens**2 * self.d_hidden // 2)

    def state_size(self, tokens: int) -> int:
        return tokens * self.d_hidden // 2

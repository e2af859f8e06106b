"""HyperMixing without hypernetworks: one learned vector stands for each of them, the same for every token.

Source: HyperMixer (arXiv 2203.03691), Table 5, "Shared Weight-Vector".
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hypermixer.mixers.base import TokenMixer, check_choice, hidden_size
from hypermixer.mixers.sequences import Sequences
from hypermixer.ops.hypermixing import NORMALIZATIONS, OutputNorm
from hypermixer.ops.hypermixing.norm import layer_norm

#: Hidden activations [D, K] that are evaluated at a time.
_BLOCK_BYTES = 8 * 2**20


class SharedVector(TokenMixer):
    """W1 = 1 w1', W2 = 1 w2' with w1, w2 [K]; P = W1' X = w1 s' with s the sum of the tokens; Y = W2 GELU(P).

    Then LayerNorm. So every token of a sequence receives the same vector: y_d = sum_k w2_k GELU(w1_k s_d). x and the
    result are [B, N, D], or [tokens, D] packed.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """`d_hidden` is K, None: twice the model's width; `normalization` is that of `HyperMixing`."""

        d_hidden: int | None = None
        normalization: str = "layer"

    positions = "none"
    tags = frozenset({"linear_cost", "d_hidden"})
    packs = True
    cost = "K*D"
    source = "HyperMixer, arXiv 2203.03691, Table 5, Shared Weight-Vector"

    def __init__(self, config: Config, *, d_model: int) -> None:
        super().__init__(config, d_model=d_model)
        self.d_hidden = hidden_size(config.d_hidden, 2 * d_model)
        check_choice("normalization", config.normalization, NORMALIZATIONS)
        self.key_vector = nn.Parameter(torch.empty(self.d_hidden))
        self.query_vector = nn.Parameter(torch.empty(self.d_hidden))
        self.norm = nn.LayerNorm(d_model) if config.normalization == "layer" else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """As the biases of hypernetworks start, whose place the vectors take."""
        for vector in (self.key_vector, self.query_vector):
            nn.init.uniform_(vector, -(self.d_model**-0.5), self.d_model**-0.5)

    def forward(self, x: Tensor, sequences: Sequences) -> Tensor:
        x = sequences.drop(x)
        total = sequences.mean(x) if self.config.normalization == "length" else sequences.total(x)  # [B, D]
        block = max(1, _BLOCK_BYTES // (self.d_hidden * self.d_model * total.element_size()))
        y = torch.cat([self._mlp(part) for part in total.split(block)])
        if self.norm is not None:
            y = layer_norm(y, OutputNorm(self.norm.weight, self.norm.bias, self.norm.eps))
        return sequences.drop(sequences.spread(y.to(x.dtype)).expand_as(x))

    def _mlp(self, total: Tensor) -> Tensor:
        """[b, D] -> [b, D], float32 at least: sums over a long text overflow float16."""
        hidden = F.gelu(total.unsqueeze(-1) * self.key_vector.to(total.dtype))  # P' [b, D, K]
        return F.linear(hidden, self.query_vector.to(total.dtype).unsqueeze(0)).squeeze(-1)

    def flops(self, tokens: int) -> int:
        return 2 * self.d_hidden * self.d_model

    def state_size(self, tokens: int) -> int:
        return self.d_model

"""SummaryMixing: each token sees itself and the mean of all tokens, both transformed.

Source: SummaryMixing (arXiv 2307.07421).
"""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from hypermixer.mixers.base import TokenMixer, hidden_size
from hypermixer.mixers.sequences import Sequences


class SummaryMixing(TokenMixer):
    """y_n = c([f(x_n), mean_m s(x_m)]) with f, s: D -> K and c: 2 K -> D, each one linear layer and a GELU.

    c's weights for the mean are applied once for each sequence. x and the result are [B, N, D], or [tokens, D] packed.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """`d_hidden` is K, the width of the local branch f and of the summary s; None: the model's width."""

        d_hidden: int | None = None

    positions = "input"
    tags = frozenset({"linear_cost", "d_hidden"})
    packs = True
    cost = "3*N*K*D + K*D"
    source = "SummaryMixing, arXiv 2307.07421"

    def __init__(self, config: Config, *, d_model: int) -> None:
        super().__init__(config, d_model=d_model)
        self.d_hidden = hidden_size(config.d_hidden, d_model)
        self.local = nn.Linear(d_model, self.d_hidden)
        self.summary = nn.Linear(d_model, self.d_hidden)
        self.combine = nn.Linear(2 * self.d_hidden, d_model)

    def forward(self, x: Tensor, sequences: Sequences) -> Tensor:
        x = sequences.drop(x)
        summary = sequences.mean(sequences.drop(F.gelu(self.summary(x))))  # [B, K]
        of_local, of_summary = self.combine.weight.split(self.d_hidden, dim=1)
        y = F.linear(F.gelu(self.local(x)), of_local, self.combine.bias)
        return sequences.drop(F.gelu(y + sequences.spread(F.linear(summary, of_summary))))

    def flops(self, tokens: int) -> int:
        return 2 * (3 * tokens + 1) * self.d_hidden * self.d_model

    def state_size(self, tokens: int) -> int:
        return self.d_hidden

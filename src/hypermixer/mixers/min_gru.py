"""A gated linear recurrence that reads the sequence in both directions.

Source: Were RNNs all we needed? (arXiv 2410.01201), minGRU.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hypermixer.mixers.base import TokenMixer, hidden_size
from hypermixer.mixers.sequences import Sequences
from hypermixer.ops.scan import scan


class MinGRU(TokenMixer):
    """h_n = (1 - z_n) * h_(n-1) + z_n * c_n, z_n = sigmoid(x_n Wz + bz), c_n = x_n Wc + bc; y_n = [h_n, g_n] Wo + bo.

    h runs forward from 0 and g, with weights of its own, backward, each [K/2]. Gates and states are float32 at least. x
    and the result are [B, N, D], or [tokens, D] packed.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """`d_hidden` is K, both directions together, even; None: the model's width."""

        d_hidden: int | None = None

    positions = "own"
    tags = frozenset({"linear_cost", "d_hidden"})
    cost = "3*N*D*K"
    source = "Were RNNs all we needed?, arXiv 2410.01201, minGRU, in both directions"

    def __init__(self, config: Config, *, d_model: int) -> None:
        super().__init__(config, d_model=d_model)
        self.d_hidden = hidden_size(config.d_hidden, d_model, parts=2)
        self.gate = nn.Linear(d_model, self.d_hidden)
        self.candidate = nn.Linear(d_model, self.d_hidden)
        self.out = nn.Linear(self.d_hidden, d_model)

    def forward(self, x: Tensor, sequences: Sequences) -> Tensor:
        x = sequences.drop(x)
        gates = torch.cat([self.gate(x), self.candidate(x)], -1)
        states = sequences.through_padding(lambda g, s: s.in_order(self._run, g), gates)
        return sequences.drop(self.out(states.to(gates.dtype)))

    def _run(self, gates: Tensor, keep: Tensor | None) -> Tensor:
        """Gates and candidates [b, n, 2 K] -> states of both directions [b, n, K].

        At dropped positions gates are zero before the sigmoid, but so are candidates: backward, h is zero until the
        last token.
        """
        gate, candidate = gates.to(torch.promote_types(gates.dtype, torch.float32)).chunk(2, -1)
        update = torch.sigmoid(gate)
        half = self.d_hidden // 2
        # One scan for both: sequences run forward, then backward, end to end along the batch.
        decay, value = (torch.cat([t[..., :half], t[..., half:].flip(1)]) for t in (1 - update, update * candidate))
        ahead, back = scan(decay, value).chunk(2)
        return torch.cat([ahead, back.flip(1)], -1)

    def flops(self, tokens: int) -> int:
        return 2 * 3 * tokens * self.d_model * self.d_hidden

    def state_size(self, tokens: int) -> int:
        return self.d_hidden

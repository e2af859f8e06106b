"""Cycle fully-connected layer in one dimension: each channel is read at an offset that goes round with the channel.

Source: CycleMLP (arXiv 2107.10224).
"""

from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn

from hypermixer.errors import InputError
from hypermixer.mixers.base import TokenMixer
from hypermixer.mixers.sequences import Sequences
from hypermixer.ops.shifts import shifted


class Cycle(TokenMixer):
    """Y = (CycleFC(X) + X Wc + bc) Wo + bo, CycleFC(X)_n = sum_c x[n + delta(c), c] W[c] + b.

    delta goes from -(k - 1)/2 to (k - 1)/2; beyond a sequence's ends stands zero. Channels of one offset stand side by
    side: the published order, c mod k, up to a permutation that W learns. The branches are summed without the published
    softmax over them, which depends on the data. x and the result are [B, N, D], or [tokens, D] packed.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """`kernel` is k, in tokens, odd. The model's width has a channel for each offset."""

        kernel: int = 7

    positions = "own"
    tags = frozenset({"linear_cost", "local"})
    packs = True
    cost = "3*N*D^2"
    source = "CycleMLP, arXiv 2107.10224, Cycle FC, in one dimension"

    def __init__(self, config: Config, *, d_model: int) -> None:
        super().__init__(config, d_model=d_model)
        if config.kernel < 3 or config.kernel % 2 == 0:
            raise InputError(f"kernel must be odd and at least 3, got {config.kernel}.")
        if d_model < config.kernel:
            raise InputError(f"kernel={config.kernel} needs as many channels, but d_model={d_model}.")
        half = config.kernel // 2
        self.offsets = list(range(-half, half + 1))
        self.cycle = nn.Linear(d_model, d_model)
        self.channels = nn.Linear(d_model, d_model)
        self.out = nn.Linear(d_model, d_model)

    def forward(self, x: Tensor, sequences: Sequences) -> Tensor:
        x = sequences.drop(x)
        moved = sequences.by_place(partial(shifted, offsets=self.offsets, keep_edge=False), x)
        return sequences.drop(self.out(self.cycle(moved) + self.channels(x)))

    def flops(self, tokens: int) -> int:
        return 2 * 3 * tokens * self.d_model**2

    def state_size(self, tokens: int) -> int:
        return (self.config.kernel // 2) * self.d_model

"""Spatial shift in one dimension: groups of channels move to neighbouring tokens, linear layers do the rest.

Source: S2-MLP (arXiv 2106.07477), whose four directions are two in a text.
"""

from dataclasses import dataclass
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from hypermixer.errors import InputError
from hypermixer.mixers.base import TokenMixer, check_sizes
from hypermixer.mixers.sequences import Sequences
from hypermixer.ops.shifts import shifted


class Shift(TokenMixer):
    """Y = shift(GELU(X W1 + b1)) W2 + b2: a group of channels for each offset -reach, .., -1, 1, .., reach.

    At its ends a sequence keeps its own channels, as published. x and the result are [B, N, D], or [tokens, D] packed.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """`reach`, in tokens to either side; 1 as published. The model's width has a channel for each offset."""

        reach: int = 1

    positions = "own"
    tags = frozenset({"linear_cost", "local"})
    packs = True
    cost = "2*N*D^2"
    source = "S2-MLP, arXiv 2106.07477, spatial shift, in one dimension"

    def __init__(self, config: Config, *, d_model: int) -> None:
        super().__init__(config, d_model=d_model)
        check_sizes(reach=config.reach)
        if d_model < 2 * config.reach:
            raise InputError(f"reach={config.reach} needs {2 * config.reach} channels, but d_model={d_model}.")
        self.offsets = [offset for offset in range(-config.reach, config.reach + 1) if offset]
        self.before, self.after = nn.Linear(d_model, d_model), nn.Linear(d_model, d_model)

    def forward(self, x: Tensor, sequences: Sequences) -> Tensor:
        hidden = F.gelu(self.before(sequences.drop(x)))
        moved = sequences.by_place(partial(shifted, offsets=self.offsets, keep_edge=True), hidden)
        return sequences.drop(self.after(moved))

    def flops(self, tokens: int) -> int:
        return 2 * 2 * tokens * self.d_model**2

    def state_size(self, tokens: int) -> int:
        return self.config.reach * self.d_model

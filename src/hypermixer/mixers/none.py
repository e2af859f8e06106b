"""No token mixing at all: feature mixing does what it can with each token by itself.

Source: HyperMixer (arXiv 2203.03691), Table 5, "Feature Mixing only".
"""

from dataclasses import dataclass

from torch import Tensor

from hypermixer.mixers.base import TokenMixer
from hypermixer.mixers.sequences import Sequences


class NoMixing(TokenMixer):
    """TM(x) = x.

    x and the result are [B, N, D], or [tokens, D] packed.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """No options."""

    positions = "none"
    tags = frozenset({"linear_cost", "no_mixing"})
    packs = True
    cost = "0"
    source = "HyperMixer, arXiv 2203.03691, Table 5, Feature Mixing only"

    def forward(self, x: Tensor, sequences: Sequences) -> Tensor:
        return sequences.drop(x)

    def flops(self, tokens: int) -> int:
        return 0

    def state_size(self, tokens: int) -> int:
        return 0

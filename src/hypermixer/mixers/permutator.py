"""Vision Permutator in one dimension: the text is folded into rows, and mixed along columns, rows and channels.

Source: Vision Permutator (arXiv 2106.12368), its Permute-MLP.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hypermixer.errors import InputError
from hypermixer.mixers.base import TokenMixer, check_sizes
from hypermixer.mixers.sequences import Sequences


class Permutator(TokenMixer):
    """Y = (down(X) + along(X) + X Wc + bc) Wo + bo on folded tokens: token n in row n // side, column n % side.

    Channels are S = `segments` groups of D/S. `along` takes, for each row and each place in a group, the vector of all
    columns and groups [side S] through one linear layer, `down` likewise for each column that of all rows and groups;
    of their weights, as many rows and columns are used as the text fills. A token reaches its row and its column, and
    in two layers all. As published, side S = D at the width of 256; the branches are summed (without the weighted
    variant's softmax, which depends on the data).
    x and the result are [B, N, D], or [tokens, D] packed.

    Raises:
        InputError: a sequence longer than side^2.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """`side` in tokens, of a row, and rows of the grid; `segments` divides the model's width."""

        side: int = 32
        segments: int = 8

    positions = "own"
    tags = frozenset({"fixed_length"})
    packs = True
    cost = "2*N*D^2 + r*c*(r + c)*S*D; r = ceil(N/side); c = min(N, side)"
    source = "Vision Permutator, arXiv 2106.12368, Permute-MLP, in one dimension"

    def __init__(self, config: Config, *, d_model: int) -> None:
        super().__init__(config, d_model=d_model)
        check_sizes(side=config.side, segments=config.segments)
        if d_model % config.segments:
            raise InputError(f"segments={config.segments} does not divide d_model={d_model}.")
        self.max_length = config.side**2
        self.down = AxisLinear(config.side, config.segments)
        self.along = AxisLinear(config.side, config.segments)
        self.channels = nn.Linear(d_model, d_model)
        self.out = nn.Linear(d_model, d_model)

    def forward(self, x: Tensor, sequences: Sequences) -> Tensor:
        x = sequences.drop(x)
        mixed = sequences.in_order(self._mix, x, self.max_length)
        return sequences.drop(self.out(mixed + self.channels(x)))

    def _mix(self, x: Tensor, keep: Tensor | None) -> Tensor:
        """[b, n, D] -> [b, n, D]; dropped positions, and cells that no token fills, are zero."""
        tokens = x.shape[1]
        rows, columns = self._grid(tokens)
        grid = F.pad(x, (0, 0, 0, rows * columns - tokens))
        grid = grid.view(len(x), rows, columns, self.config.segments, -1)  # [b, r, c, S, D/S]
        down = self.down(grid.permute(0, 2, 4, 1, 3)).permute(0, 3, 1, 4, 2)
        along = self.along(grid.permute(0, 1, 4, 2, 3)).permute(0, 1, 3, 4, 2)
        return (down + along).reshape(len(x), rows * columns, -1)[:, :tokens]

    def _grid(self, tokens: int) -> tuple[int, int]:
        return -(-tokens // self.config.side), min(tokens, self.config.side)

    def flops(self, tokens: int) -> int:
        rows, columns = self._grid(tokens)
        axes = rows * columns * (rows + columns) * self.config.segments * self.d_model
        return 2 * (2 * tokens * self.d_model**2 + axes)

    def state_size(self, tokens: int) -> int:
        return tokens * self.d_model


class AxisLinear(nn.Module):
    """One linear layer over an axis of the grid and the segments: weight [side, S, side, S], bias [side, S]."""

    def __init__(self, side: int, segments: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(side, segments, side, segments))
        self.bias = nn.Parameter(torch.empty(side, segments))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        bound = 1 / math.sqrt(self.bias.numel())
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """x [..., a, S], a <= side -> the same shape."""
        axis = x.shape[-2]
        size = axis * x.shape[-1]
        weight = self.weight[:axis, :, :axis].reshape(size, size)
        return F.linear(x.flatten(-2), weight, self.bias[:axis].flatten()).unflatten(-1, x.shape[-2:])

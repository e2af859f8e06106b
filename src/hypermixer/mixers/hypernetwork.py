"""Modules that generate token-mixing weights."""

import math

import torch
from torch import nn

from hypermixer.ops.hypermixing import Hypernetwork


class HeadLinear(nn.Module):
    """One linear layer per head: weight [H, out, in], bias [H, out]. Initialised by the fan-in of a head."""

    def __init__(self, num_heads: int, in_features: int, out_features: int, *, bias: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_heads, out_features, in_features))
        self.bias = nn.Parameter(torch.empty(num_heads, out_features)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        bound = 1 / math.sqrt(self.weight.shape[2])
        nn.init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            nn.init.uniform_(self.bias, -bound, bound)


class HyperNetwork(nn.Module):
    """Generates token-mixing weights, token by token and head by head: D/H -> R = D/H -> K/H."""

    def __init__(self, d_model: int, d_hidden: int, num_heads: int, *, bias: bool) -> None:
        super().__init__()
        width = d_model // num_heads
        self.hidden = HeadLinear(num_heads, width, width, bias=bias)
        self.out = HeadLinear(num_heads, width, d_hidden // num_heads, bias=bias)

    def weights(self) -> Hypernetwork:
        return Hypernetwork(self.hidden.weight, self.hidden.bias, self.out.weight, self.out.bias)

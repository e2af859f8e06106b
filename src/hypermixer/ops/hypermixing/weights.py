"""What the HyperMixing operators take besides tokens, the same for every backend."""

from typing import Literal, NamedTuple

from torch import Tensor

Normalization = Literal["layer", "length", "none"]
NORMALIZATIONS: tuple[Normalization, ...] = ("layer", "length", "none")


class Hypernetwork(NamedTuple):
    """One hidden layer per head, token by token: [.., D/H] -> GELU [.., R] -> [.., K/H].

    Attributes:
        hidden_weight: [H, R, D/H].
        hidden_bias: [H, R] or None.
        out_weight: [H, K/H, R].
        out_bias: [H, K/H] or None.
    """

    hidden_weight: Tensor
    hidden_bias: Tensor | None
    out_weight: Tensor
    out_bias: Tensor | None


class OutputNorm(NamedTuple):
    """Parameters of the LayerNorm over the whole width: weight [D], bias [D], eps."""

    weight: Tensor | None
    bias: Tensor | None
    eps: float = 1e-5

"""`HyperMixing` as a token mixer of the encoder."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from hypermixer.mixers.base import TokenMixer
from hypermixer.mixers.hypermixing import HyperMixing
from hypermixer.mixers.sequences import Sequences
from hypermixer.ops.positions import POSITIONS


class HyperMixingMixer(TokenMixer):
    """W1 = GELU(Z A + a) B + b from tokens with positions Z; P = W1' X; Y = W2 GELU(P); W2 = W1 where tied.

    `HyperMixing` as a token mixer of the encoder: per head, then LayerNorm over all of them. x and the result are
    [B, N, D], or [tokens, D] packed.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """`d_hidden` is K, over all heads, None: twice the model's width; `num_heads` H divides D and K; `tied`: one
        hypernetwork for both sets of weights; `bias` in the hypernetworks; `normalization` of the output: layer, length
        or none; `positions` that the hypernetworks see: sinusoidal, idiap or none; `projections` of the values and of
        the output; `backend`: auto, native, dense or reference; `form`: direct or factored in place of the cheaper one.
        """

        d_hidden: int | None = None
        num_heads: int = 1
        tied: bool = True
        bias: bool = True
        normalization: str = "layer"
        positions: str = "sinusoidal"
        projections: bool = False
        backend: str = "auto"
        form: str | None = None

    positions = "own"
    tags = frozenset({"linear_cost", "heads", "d_hidden"})
    packs = True
    cost = "min(N*D*(D + 3*K)/H, 3*N*D^2/H + 2*K*D^2/H^2)"
    source = "HyperMixer, arXiv 2203.03691, Algorithm 1"

    def __init__(self, config: Config, *, d_model: int) -> None:
        super().__init__(config, d_model=d_model)
        options: dict[str, Any] = vars(config)
        self.mixing = HyperMixing(d_model, **options)
        if config.positions == "none":
            self.positions = "none"

    def forward(self, x: Tensor, sequences: Sequences) -> Tensor:
        if sequences.packing is not None:
            return self.mixing(x, key_cu_seqlens=sequences.packing)
        code = POSITIONS[self.mixing.positions].code
        codes = None if code is None else sequences.codes(x, code)
        return self.mixing(x, key_keep=sequences.keep, query_positions=codes, key_positions=codes)

    def flops(self, tokens: int) -> int:
        return self.mixing.flops(tokens)

    def state_size(self, tokens: int) -> int:
        width = self.mixing.d_model // self.mixing.num_heads
        return (width + 1) * self.mixing.d_model

"""FNet's token mixing: a Fourier transform over tokens and features, without a parameter.

Source: FNet (arXiv 2105.03824), Eq. 3.
"""

from dataclasses import dataclass

from torch import Tensor

from hypermixer.mixers.base import TokenMixer, check_choice
from hypermixer.mixers.sequences import Sequences
from hypermixer.ops.fourier import fourier_mix, transform_flops

SCALES = ("none", "ortho")


class FNet(TokenMixer):
    """y = Re(F_seq(F_hidden(x))), each sequence transformed at its own length, so that padding stays invisible.

    The transform runs in float32 at least. x and the result are [B, N, D], or [tokens, D] packed.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """`scale`: none as published, which overflows float16 on long texts; ortho divides by sqrt(N D), so that size
        does not grow with length.
        """

        scale: str = "none"

    positions = "input"
    packs = True
    cost = "2.5*N*D*log2(N*D)"
    source = "FNet, arXiv 2105.03824, Eq. 3"

    def __init__(self, config: Config, *, d_model: int) -> None:
        super().__init__(config, d_model=d_model)
        check_choice("scale", config.scale, SCALES)

    def forward(self, x: Tensor, sequences: Sequences) -> Tensor:
        return sequences.in_order(self._mix, x)

    def _mix(self, x: Tensor, keep: Tensor | None) -> Tensor:
        lengths = None if keep is None else keep.sum(1)
        y = fourier_mix(x, lengths)
        if self.config.scale == "ortho":
            tokens = x.shape[1] if lengths is None else lengths.clamp(min=1).to(y.dtype)[:, None, None]
            y = y / (tokens * x.shape[2]) ** 0.5
        return y.to(x.dtype)

    def flops(self, tokens: int) -> int:
        return transform_flops((tokens, self.d_model), (0, 1))

    def state_size(self, tokens: int) -> int:
        return tokens * self.d_model

"""MLPMixer's static token-mixing MLP, with a weight for every position.

Source: MLP-Mixer (arXiv 2105.01601); for text HyperMixer (arXiv 2203.03691), Eq. 1.
"""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from hypermixer.mixers.base import TokenMixer, check_sizes, hidden_size
from hypermixer.mixers.sequences import Sequences


class MLPMixer(TokenMixer):
    """TM-MLP(x) = W1 GELU(W2' x) for each feature x [N], W1 and W2 [max_length, K], of which N rows are used.

    What stands at dropped positions is left out of the sum over positions. The second layer has no bias (nor has Eq.
    1): alike in all features of a token, it would vanish in the next LayerNorm. x and the result are [B, N, D], or
    [tokens, D] packed.

    Raises:
        InputError: a sequence longer than `max_length`.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """`d_hidden` is K, None: twice the model's width; `max_length` is in tokens; `bias` in the first layer."""

        d_hidden: int | None = None
        max_length: int = 250
        bias: bool = True

    positions = "own"
    tags = frozenset({"linear_cost", "fixed_length", "d_hidden"})
    packs = True
    cost = "2*N*K*D"
    source = "HyperMixer, arXiv 2203.03691, Eq. 1; MLP-Mixer, arXiv 2105.01601"

    def __init__(self, config: Config, *, d_model: int) -> None:
        super().__init__(config, d_model=d_model)
        self.max_length = config.max_length
        check_sizes(max_length=config.max_length)
        self.d_hidden = hidden_size(config.d_hidden, 2 * d_model)
        self.hidden = nn.Linear(self.max_length, self.d_hidden, bias=config.bias)
        self.out = nn.Linear(self.d_hidden, self.max_length, bias=False)

    def forward(self, x: Tensor, sequences: Sequences) -> Tensor:
        return sequences.in_order(self._mix, x, self.max_length)

    def _mix(self, x: Tensor, keep: Tensor | None) -> Tensor:
        """[b, n, D] -> [b, n, D]; dropped positions are zero, and so outside the sum."""
        tokens = x.shape[1]
        hidden = F.gelu(F.linear(x.transpose(1, 2), self.hidden.weight[:, :tokens], self.hidden.bias))  # [b, D, K]
        return F.linear(hidden, self.out.weight[:tokens]).transpose(1, 2)

    def flops(self, tokens: int) -> int:
        return 2 * 2 * tokens * self.d_hidden * self.d_model

    def state_size(self, tokens: int) -> int:
        return self.d_hidden * self.d_model

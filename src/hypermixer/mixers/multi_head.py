"""What attentions have in common: heads between a fused input projection and an output projection."""

from abc import abstractmethod
from dataclasses import dataclass

from torch import Tensor, nn

from hypermixer.mixers.base import TokenMixer, check_heads
from hypermixer.mixers.sequences import Sequences


class MultiHead(TokenMixer):
    """[Q, K, V] = X Wqkv, Y = attend(Q, K, V) Wo; a subclass says how queries attend to keys, head by head.

    x and the result are [B, N, D], or [tokens, D] packed.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """`num_heads` divides the model's width; `bias` in the projections."""

        num_heads: int = 8
        bias: bool = True

    positions = "input"
    packs = True

    def __init__(self, config: Config, *, d_model: int) -> None:
        super().__init__(config, d_model=d_model)
        check_heads(config.num_heads, d_model=d_model)
        self.num_heads = config.num_heads
        self.qkv = nn.Linear(d_model, 3 * d_model, bias=config.bias)
        self.out = nn.Linear(d_model, d_model, bias=config.bias)

    @abstractmethod
    def attend(self, query: Tensor, key: Tensor, value: Tensor, keep: Tensor | None) -> Tensor:
        """[B, H, N, D/H] each, keep [B, N] or None -> [B, H, N, D/H]; finite where nothing is kept."""

    def forward(self, x: Tensor, sequences: Sequences) -> Tensor:
        heads = (3, self.num_heads, self.d_model // self.num_heads)
        qkv = self.qkv(sequences.drop(x)).unflatten(-1, heads)  # [B, N, 3, H, D/H] or [tokens, 3, H, D/H]
        if sequences.packing is not None:
            return self.out(sequences.in_runs(lambda run: self._heads(run, None), qkv))
        return sequences.drop(self.out(self._heads(qkv, sequences.keep)))

    def _heads(self, qkv: Tensor, keep: Tensor | None) -> Tensor:
        """[b, n, 3, H, D/H] -> [b, n, D]."""
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        return self.attend(query, key, value, keep).transpose(1, 2).flatten(2)

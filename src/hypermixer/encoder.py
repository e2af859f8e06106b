"""The encoder around a token mixer, the same for every mixer: embeddings, positions, blocks, pooling.

Layouts of a block (dropout on its input; TM token mixing, FM feature mixing, LN layer norm):

    serialized   x1 = x + TM(LN x)       out = x + FM(LN x1)       the paper's, as printed (appendix F)
    pre          x1 = x + TM(LN x)       out = x1 + FM(LN x1)
    post         x1 = LN(x + TM x)       out = LN(x1 + FM x1)
    rezero       x1 = x + a1 TM x        out = x1 + a2 FM x1       a1 = a2 = 0 at first
    parallel     out = x + TM(LN x) + FM(LN x)

Without feature mixing FM drops out together with its norm, and serialized reads as pre. A final LN follows
serialized, pre and parallel.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from hypermixer.encoder_config import EncoderConfig
from hypermixer.mixers import Sequences, build_mixer

PRE_NORM = ("serialized", "pre", "parallel")


class Table(nn.Embedding):
    """An embedding table that starts from a normal distribution of the given standard deviation."""

    def __init__(self, rows: int, width: int, std: float, padding_idx: int | None = None) -> None:
        self.std = std
        super().__init__(rows, width, padding_idx)

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight, std=self.std)
        self._fill_padding_idx_with_zero()


class Embeddings(nn.Module):
    """Token, segment and learned position embeddings, normalised.

    Without learned positions, mixers that take positions at the input have sinusoids on top.
    """

    def __init__(self, config: EncoderConfig, *, add_positions: bool) -> None:
        super().__init__()
        width, std = config.hidden_size, config.initializer_range
        self.tokens = Table(config.vocab_size, width, std, config.pad_token_id)
        self.types = Table(config.type_vocab_size, width, std)
        learned = config.position_embeddings
        self.positions = Table(learned, width, std) if learned else None
        self.norm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.add_positions = add_positions and not learned

    def forward(self, ids: Tensor, types: Tensor | None, sequences: Sequences) -> Tensor:
        x = self.tokens(ids) + (self.types.weight[0] if types is None else self.types(types))
        if self.positions is not None:
            x = x + sequences.codes_of_tokens(x, self._learned)
        x = self.norm(x)
        return x + sequences.codes_of_tokens(x) if self.add_positions else x

    def _learned(self, length: int, width: int, like: Tensor) -> Tensor:
        """Position embeddings [length, width]: those behind the last are the last."""
        assert self.positions is not None
        places = torch.arange(length, device=like.device).clamp(max=self.positions.num_embeddings - 1)
        return self.positions(places).to(like.dtype)


class FeatureMLP(nn.Sequential):
    """Feature mixing, token by token: Linear, GELU, Linear."""

    def __init__(self, d_model: int, d_hidden: int) -> None:
        super().__init__(nn.Linear(d_model, d_hidden), nn.GELU(), nn.Linear(d_hidden, d_model))


class Dropout(nn.Dropout):
    """`nn.Dropout`, whose CPU kernel draws one number after the other: here, four decisions come from each draw.

    The probability is rounded to a multiple of 2^-16; draws are from torch's own generator.
    """

    def forward(self, input: Tensor) -> Tensor:
        x = input
        if not self.training or self.p in (0.0, 1.0) or x.device.type != "cpu" or torch.compiler.is_compiling():
            return super().forward(x)
        dropped = round(self.p * 2**16)
        draws = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
        keep = draws.view(torch.int16)[: x.numel()].view(x.shape) >= dropped - 2**15
        return x * keep.to(x.dtype).mul_(2**16 / (2**16 - dropped) if dropped < 2**16 else 0.0)


class Block(nn.Module):
    """Token mixing, then feature mixing, arranged by the layout."""

    def __init__(self, config: EncoderConfig, mixer: str, mixer_options: Mapping[str, Any]) -> None:
        super().__init__()
        width = config.hidden_size
        self.layout = config.layout
        self.dropout = Dropout(config.hidden_dropout_prob)
        self.mixer = build_mixer(mixer, mixer_options, d_model=width)
        self.features = FeatureMLP(width, config.intermediate_size) if config.feature_mixing else None
        norms = {"rezero": 0, "parallel": 1}.get(config.layout, 2 if config.feature_mixing else 1)
        self.norms = nn.ModuleList(nn.LayerNorm(width, eps=config.layer_norm_eps) for _ in range(norms))
        if config.layout == "rezero":
            self.gates = nn.Parameter(torch.empty(2 if config.feature_mixing else 1))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        if self.layout == "rezero":
            nn.init.zeros_(self.gates)

    def forward(self, x: Tensor, sequences: Sequences) -> Tensor:
        x = self.dropout(x)
        features = self.features
        match self.layout:
            case "rezero":
                x = x + self.gates[0] * self.mixer(x, sequences)
                return x if features is None else x + self.gates[1] * features(x)
            case "post":
                x = self.norms[0](x + self.mixer(x, sequences))
                return x if features is None else self.norms[1](x + features(x))
            case "parallel":
                normed = self.norms[0](x)
                y = x + self.mixer(normed, sequences)
                return y if features is None else y + features(normed)
        mixed = x + self.mixer(self.norms[0](x), sequences)
        if features is None:
            return mixed
        return (x if self.layout == "serialized" else mixed) + features(self.norms[1](mixed))


class Encoder(nn.Module):
    """Token ids to contextual token vectors.

    Args:
        config: everything around the mixer.
        mixer: a name in `hypermixer.mixers.MIXERS`.
        mixer_options: options of that mixer's `Config`.
    """

    # Set by transformers' gradient_checkpointing_enable().
    gradient_checkpointing = False
    _gradient_checkpointing_func: Callable[..., Tensor] = staticmethod(partial(checkpoint, use_reentrant=False))

    def __init__(self, config: EncoderConfig, mixer: str, mixer_options: Mapping[str, Any]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(config, mixer, mixer_options) for _ in range(config.num_hidden_layers))
        first = self.blocks[0]
        assert isinstance(first, Block)
        self.embeddings = Embeddings(config, add_positions=first.mixer.positions == "input")
        normed = config.layout in PRE_NORM
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps) if normed else nn.Identity()

    def forward(
        self, ids: Tensor, sequences: Sequences, types: Tensor | None = None, each: list[Tensor] | None = None
    ) -> Tensor:
        """ids and types [B, N] -> [B, N, D], zero at dropped positions; `each` collects the input of every block.

        Packed, ids and types are [tokens], and so is what comes out.
        """
        moved = None if sequences.packing is None else sequences.packing.by_length
        if moved is not None:  # once for all layers: they want sequences of equal length side by side
            packing, rows = moved
            inside: list[Tensor] | None = None if each is None else []
            x = self(ids[rows], Sequences.packed(rows, packing), None if types is None else types[rows], inside)
            back = torch.argsort(rows)
            if each is not None and inside is not None:
                each += [t[back] for t in inside]
            return x[back]
        x = self.embeddings(ids, types, sequences)
        for block in self.blocks:
            if each is not None:
                each.append(x)
            if self.gradient_checkpointing and self.training:
                x = self._gradient_checkpointing_func(block.__call__, x, sequences)
            else:
                x = block(x, sequences)
        return sequences.drop(self.norm(x))

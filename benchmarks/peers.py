"""What HyperMixing is timed against, in the same run: built by name, each as good as its users can have it."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hypermixer import MIXERS, HyperMixing
from hypermixer.mixers import Sequences, TokenMixer, build_mixer

DEFAULT_PEERS = ("attention", "dense", "reference", "official_order")
#: The other mixers of the library, by their names: each alone, as an encoder's block calls it.
MIXER_PEERS = tuple(name for name in MIXERS if name not in ("hypermixing", "attention"))
PEERS = (*DEFAULT_PEERS, "encoder_layer", "x_transformers", "compiled", *MIXER_PEERS)
ATTENTION_HEADS = 8


@dataclass(frozen=True)
class Contender:
    """One module to time on [B, N, D].

    Attributes:
        name: `hypermixing`, or a peer's.
        note: what a reader of the row has to know.
        eager: the same computation before torch.compile, for counting operations.
        max_length: the most tokens it takes; None: any number.
    """

    name: str
    module: Callable[[Tensor], Tensor]
    parameters: tuple[nn.Parameter, ...]
    heads: int
    tied: bool | None = None
    note: str | None = None
    eager: nn.Module | None = None
    max_length: int | None = None


@dataclass(frozen=True)
class Skipped:
    """A contender that could not run, and why, in one line."""

    name: str
    reason: str


class Alone(nn.Module):
    """A token mixer of the library on a batch without padding."""

    def __init__(self, mixer: TokenMixer) -> None:
        super().__init__()
        self.mixer = mixer

    def forward(self, x: Tensor) -> Tensor:
        return self.mixer(x, Sequences.padded(x))


def attention(d_model: int, num_heads: int = ATTENTION_HEADS) -> Alone:
    """The library's own: one fused QKV projection, PyTorch's fused kernel in its faster dtype, an output projection."""
    return Alone(build_mixer("attention", {"num_heads": num_heads}, d_model=d_model))


class OfficialOrder(nn.Module):
    """Untied HyperMixing in the order of operations of the layer that was published with the paper.

    Written from its description: hypernetworks per head without biases, fed with x sqrt(D) plus a table counted from 1;
    both generated weights formed for every head; values transposed to [B, H, D/H, N], mixed there and transposed back;
    LayerNorm at the end. The table is a buffer made once, so that making it costs the rows nothing.
    """

    table: Tensor

    def __init__(self, d_model: int, d_hidden: int, num_heads: int = 1, max_length: int = 16_385) -> None:
        super().__init__()
        self.d_model, self.num_heads, self.scale = d_model, num_heads, math.sqrt(d_model)
        width, hidden = d_model // num_heads, d_hidden // num_heads
        self.key_hidden, self.key_out = _uniform(num_heads, width, width), _uniform(num_heads, hidden, width)
        self.query_hidden, self.query_out = _uniform(num_heads, width, width), _uniform(num_heads, hidden, width)
        self.norm = nn.LayerNorm(d_model)
        self.register_buffer("table", official_table(max_length, d_model), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, width = x.shape
        z = x * self.scale + self.table[1 : tokens + 1]
        w1 = self._generate(z, self.key_hidden, self.key_out)  # [B, H, N, K/H]
        w2 = self._generate(z, self.query_hidden, self.query_out)
        values = x.transpose(1, 2).reshape(batch, self.num_heads, -1, tokens)  # [B, H, D/H, N]
        mixed = F.gelu(values @ w1) @ w2.transpose(2, 3)  # [B, H, D/H, K/H], then back to tokens
        return self.norm(mixed.reshape(batch, width, tokens).transpose(1, 2))

    def _generate(self, z: Tensor, hidden: Tensor, out: Tensor) -> Tensor:
        z = z.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)  # [B, H, N, D/H]
        return F.gelu(z @ hidden.transpose(1, 2)) @ out.transpose(1, 2)


def official_table(length: int, width: int) -> Tensor:
    """[length, width] float32, even i: sin(p / 10000^(2i/D)) at i, cos(p / 10000^(2(i+1)/D)) at i+1, as published."""
    column = torch.arange(width, dtype=torch.float64)
    angles = torch.arange(length, dtype=torch.float64).unsqueeze(1) / 10_000.0 ** (2 * column / width)
    return torch.where(column % 2 == 0, angles.sin(), angles.cos()).float()


def _uniform(*shape: int) -> nn.Parameter:
    bound = shape[-1] ** -0.5
    return nn.Parameter(torch.empty(shape).uniform_(-bound, bound))


def build(
    peers: Iterable[str],
    *,
    d_model: int,
    d_hidden: int,
    heads: Sequence[int],
    device: torch.device,
    dtype: torch.dtype,
) -> tuple[list[Contender], list[Skipped]]:
    """HyperMixing, tied and untied, for each number of heads, and the named peers; those that cannot run, with why."""
    made: list[Contender] = []
    skipped: list[Skipped] = []

    def add(
        name: str, module: nn.Module, count: int, tied: bool | None = None, note: str | None = None, **more: Any
    ) -> None:
        module = module.to(device, dtype)
        made.append(Contender(name, module, tuple(module.parameters()), count, tied, note, **more))

    for count in heads:
        for tied in (True, False):
            add("hypermixing", HyperMixing(d_model, d_hidden, count, tied=tied), count, tied)
    chosen = set(peers)
    if "attention" in chosen or "compiled" in chosen:
        add("attention", attention(d_model), ATTENTION_HEADS)
    for count in heads:
        if "reference" in chosen:
            for tied in (True, False):
                add("reference", HyperMixing(d_model, d_hidden, count, tied=tied, backend="reference"), count, tied)
        if "dense" in chosen:
            add("dense", HyperMixing(d_model, d_hidden, count, backend="dense"), count, True, "without a compiler")
        if "official_order" in chosen:
            add("official_order", OfficialOrder(d_model, d_hidden, count), count, False)
    for name in MIXER_PEERS:
        if name in chosen:
            mixer = build_mixer(name, {}, d_model=d_model)
            add(name, Alone(mixer), getattr(mixer, "num_heads", 1), max_length=mixer.max_length)
    if "encoder_layer" in chosen:
        layer = nn.TransformerEncoderLayer(
            d_model, ATTENTION_HEADS, d_hidden, 0.0, F.gelu, batch_first=True, norm_first=True
        )
        note = "a whole layer: attention, feature MLP of d_hidden, both LayerNorms and residuals"
        add("encoder_layer", layer.eval(), ATTENTION_HEADS, None, note)
    if "x_transformers" in chosen:
        try:
            module = import_module("x_transformers")
            options = {"dim": d_model, "heads": ATTENTION_HEADS, "dim_head": d_model // ATTENTION_HEADS, "flash": True}
            note = f"x_transformers.Attention {version('x-transformers')}"
            add("x_transformers", module.Attention(**options), ATTENTION_HEADS, None, note)
        except ImportError as error:
            reason = f"x-transformers cannot be imported ({error}): pip install '.[bench]'"
            skipped.append(Skipped("x_transformers", reason))
    if "compiled" in chosen:
        made += [_compiled(c) for c in made if c.name == "attention" or (c.name == "hypermixing" and c.tied)]
    return made, skipped


def _compiled(contender: Contender) -> Contender:
    eager = contender.module
    assert isinstance(eager, nn.Module)
    return Contender(
        f"compiled_{contender.name}",
        torch.compile(eager, dynamic=False),
        contender.parameters,
        contender.heads,
        contender.tied,
        "torch.compile(dynamic=False)",
        eager,
    )

"""A stock PyTorch encoder and a Hugging Face BERT, both turned into linear-time ones.

Both models are tiny and random: nothing is downloaded, and nothing is claimed about what they know. For each, before
and after the swap, on one thread, the time of one text at growing lengths; after it, what padding changes in a result.
"""

import copy
import statistics
import time
from collections.abc import Callable
from typing import Any, NoReturn

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, BertConfig, BertModel
from transformers.masking_utils import flash_attention_mask

from hypermixer import HyperMixing, replace_attention
from hypermixer.machine import machine
from hypermixer.ops.compare import TOLERANCES, error_ratio
from hypermixer.ops.hypermixing.gate import gate_all

WIDTH, LAYERS, HEADS, VOCABULARY = 64, 2, 4, 1000
LENGTHS = (512, 1024, 2048, 4096)
WARMUP, ROUNDS = 2, 3
SHORT, PADDED = 37, 80

#: Texts' ids [B, N] and which tokens are real [B, N] (None: all) -> vectors [B, N, D].
Encode = Callable[[Tensor, Tensor | None], Tensor]


class Stock(nn.Module):
    """Token vectors under PyTorch's own encoder, as many projects write it."""

    def __init__(self) -> None:
        super().__init__()
        self.embeddings = nn.Embedding(VOCABULARY, WIDTH)
        layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 2 * WIDTH, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, LAYERS)

    def forward(self, ids: Tensor, keep: Tensor | None) -> Tensor:
        return self.encoder(self.embeddings(ids), src_key_padding_mask=None if keep is None else ~keep)


class HyperMixingSelfAttention(nn.Module):
    """HyperMixing in place of BertSelfAttention; BERT's output projection, residual and norm stay where they are."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.mixing = HyperMixing(config.hidden_size, num_heads=config.num_attention_heads)

    def forward(self, hidden_states: Tensor, attention_mask: Tensor | None = None, **_: Any) -> tuple[Tensor, None]:
        """hidden_states [B, N, D]; attention_mask [B, N] bool, True = real, or None where every token is."""
        return self.mixing(hidden_states, key_keep=attention_mask), None


def not_swapped(module: nn.Module, *_: Any, **__: Any) -> NoReturn:
    raise TypeError(f"{type(module).__name__} still asks for attention: swap it before calling the model.")


# By default transformers hands each layer a mask [B, 1, N, N]. Under a name of our own it hands over [B, N].
AttentionInterface.register("hypermixing", not_swapped)
AttentionMaskInterface.register("hypermixing", flash_attention_mask)


def swap(bert: BertModel) -> None:
    """Swaps the self-attention of every layer of a BERT encoder, in place."""
    for index in range(bert.config.num_hidden_layers):
        mixing = HyperMixingSelfAttention(bert.config).to(bert.device, bert.dtype)
        bert.set_submodule(f"encoder.layer.{index}.attention.self", mixing)
    bert.set_attn_implementation("hypermixing")


def stock_pair() -> tuple[Encode, Encode]:
    """PyTorch's encoder before and after."""
    before = Stock().eval()
    after = copy.deepcopy(before)
    replace_attention(after)
    return before, after


def bert_pair() -> tuple[Encode, Encode]:
    """BERT before and after."""
    config = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        intermediate_size=2 * WIDTH,
        max_position_embeddings=max(LENGTHS),
    )
    before = BertModel(config, add_pooling_layer=False).eval()
    after = copy.deepcopy(before)
    swap(after)

    def encode(model: BertModel) -> Encode:
        return lambda ids, keep: model(ids, attention_mask=keep).last_hidden_state

    return encode(before), encode(after)


def padding_error(encode: Encode) -> float:
    """Error ratio between the vectors of a text alone and of the same text, padded."""
    ids = torch.randint(VOCABULARY, (1, PADDED))
    keep = torch.arange(PADDED)[None] < SHORT
    return error_ratio(encode(ids, keep)[:, :SHORT], encode(ids[:, :SHORT], None))


def milliseconds(pair: tuple[Encode, Encode], tokens: int) -> list[float]:
    """Median time of one text under each of a pair, in turn, so that a noisy neighbour disturbs both."""
    ids = torch.randint(VOCABULARY, (1, tokens))
    times: list[list[float]] = [[], []]
    for _ in range(WARMUP + ROUNDS):
        for encode, record in zip(pair, times, strict=True):
            start = time.perf_counter()
            encode(ids, None)
            record.append(1000 * (time.perf_counter() - start))
    return [statistics.median(record[WARMUP:]) for record in times]


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    red = [verdict for verdict in gate_all("cpu", torch.float32) if not verdict.passed]
    if red:
        raise SystemExit(f"HyperMixing fails its self-check here, so no time is reported: {red}")
    with torch.inference_mode():
        report()


def report() -> None:
    """Prints the table of both models, before and after."""
    host, console = machine(), Console()
    table = Table("encoder", "mixes by", title=f"Milliseconds for one text of N tokens, {host['device']}, one thread")
    for tokens in LENGTHS:
        table.add_column(f"N={tokens}", justify="right")
    table.add_column(f"{LENGTHS[-1] // LENGTHS[0]}x N costs", justify="right")
    for name, pair in (("PyTorch", stock_pair()), ("BERT", bert_pair())):
        times = zip(*(milliseconds(pair, tokens) for tokens in LENGTHS), strict=True)
        for mixes, row in zip(("attention", "HyperMixing"), times, strict=True):
            table.add_row(name, mixes, *(f"{ms:.1f}" for ms in row), f"{row[-1] / row[0]:.1f}x")
        error = padding_error(pair[1])
        if error > TOLERANCES[torch.float32].rounded:
            raise SystemExit(f"Padding changes the result of {name} with HyperMixing: error ratio {error:.1e}.")
        console.print(f"{name} with HyperMixing: {PADDED - SHORT} tokens of padding change {error:.1g} of the result.")
    console.print(table)
    console.print(f"torch {host['versions']['torch']}, transformers {host['versions']['transformers']}, float32.")


if __name__ == "__main__":
    main()

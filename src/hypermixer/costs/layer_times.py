"""E of Cost(R) ~ E * D * H for one token-mixing layer: the HyperMixer paper's Figure 2 (arXiv 2203.03691, B.3).

One input at a time, forward, d = 256, d' = 512, float32: attention as it is evaluated today and as it was then, tied
HyperMixing as published and in each of our exact forms. Every contender runs once a round, in turn.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hypermixer.costs import operations
from hypermixer.costs.counter import counted
from hypermixer.costs.timing import LEAST_ROUNDS, interleaved, ratio, spread, synchronizer
from hypermixer.errors import InputError, WorkError
from hypermixer.mixers import Attention, HyperMixing, Sequences
from hypermixer.mixers.sequences import position_codes
from hypermixer.ops.hypermixing.gate import gate_all

LENGTHS = (64, 125, 250, 500, 1000, 2000, 4000)
D_MODEL, D_HIDDEN, HEADS = 256, 512, 8
#: Attention today: the first contender, to which all ratios are.
BASELINE = f"attention, {HEADS} heads"
#: Of timing, for each length: repetitions that do not fit are left out, and the row says how many there were.
SECONDS_PER_LENGTH = 22.0
#: Calls that are timed together take about this long at least, far beyond what the clock and a loop cost.
BLOCK_SECONDS = 2e-3
Row = dict[str, Any]


class WrittenOutAttention(Attention):
    """Attention as it was evaluated in the paper's time: softmax(Q K' / sqrt(D/H)) V, with every weight formed."""

    def attend(self, query: Tensor, key: Tensor, value: Tensor, keep: Tensor | None) -> Tensor:
        scores = query @ key.transpose(2, 3) / math.sqrt(query.shape[-1])
        if keep is not None:
            scores = scores.masked_fill(~(keep | ~keep.any(1, keepdim=True))[:, None, None, :], -math.inf)
        return scores.softmax(-1) @ value


class PublishedHyperMixing(nn.Module):
    """Algorithm 1 in plain PyTorch, one head, tied: the weights [N, K] are formed once, and serve both products.

    It has the weights of `mixing`.
    """

    def __init__(self, mixing: HyperMixing) -> None:
        super().__init__()
        self.net, self.norm = mixing.key_net, mixing.norm

    def forward(self, x: Tensor) -> Tensor:
        """[B, N, D] -> [B, N, D]."""
        w1, b1, w2, b2 = (None if t is None else t[0] for t in self.net.weights())
        z = x + position_codes(x, None)
        weights = F.linear(F.gelu(F.linear(z, w1, b1)), w2, b2)  # pyright: ignore[reportArgumentType] - [B, N, K]
        y = weights @ F.gelu(weights.transpose(1, 2) @ x)
        return y if self.norm is None else self.norm(y)


@dataclass(frozen=True)
class _Layer:
    """A contender: what it computes on [B, N, D], the paper's formulas for it, and in words how it is evaluated."""

    name: str
    module: Callable[[Tensor], Tensor]
    printed: Callable[[int], int]
    corrected: Callable[[int], int]
    how: Callable[[int], str]


def layer_times(lengths: Sequence[int] = LENGTHS, *, repetitions: int = 1000, device: torch.device) -> list[Row]:
    """Seconds for 1,000 inputs through one layer: one row for each length and contender.

    Args:
        lengths: tokens of the input, N.
        repetitions: calls of each contender at each length, at most; long inputs get as many as `SECONDS_PER_LENGTH`
            allow, at least `timing.LEAST_ROUNDS`.
        device: where the layers are.

    Returns:
        Rows of plain values for JSON: `contender`, `tokens`, `repetitions` made, `seconds_per_1000` (median, low, high,
        rounds), `ratio_to_attention`: time over that of `BASELINE`, median of the ratios round by round, below 1 where
        it is faster; `operations_counted` (products only), `operations_printed` and `operations_corrected` by the
        paper's formulas; `how` in words; `device`, `dtype`, `threads`.

    Raises:
        InputError: a length or number of repetitions that is not positive.
        WorkError: HyperMixing computes something else than the reference here: nothing is timed.
    """
    for name, value in (*(("lengths", n) for n in lengths), ("repetitions", repetitions)):
        if value < 1:
            raise InputError(f"{name} must be at least 1, got {value}.")
    verdicts = gate_all(device, torch.float32)
    for verdict in verdicts:
        if not verdict.passed:
            raise WorkError(
                f"HyperMixing ({verdict.backend}, {verdict.form}) fails its self-check on {device}, error ratio"
                f" {verdict.worst:.1e} at {verdict.where}: no time is reported."
            )
    torch.manual_seed(0)
    layers = _layers(device, [(verdict.backend, verdict.form) for verdict in verdicts])
    return [row for length in lengths for row in _at_length(layers, length, repetitions, device)]


def _at_length(layers: Sequence[_Layer], length: int, repetitions: int, device: torch.device) -> list[Row]:
    x = torch.randn(1, length, D_MODEL, device=device)
    wait = synchronizer(device)
    with torch.inference_mode():
        calls = _calls_at_once([layer.module for layer in layers], x, repetitions, wait or (lambda: None))
        times = interleaved(
            [lambda layer=layer: _repeat(layer.module, x, calls) for layer in layers],
            budget=SECONDS_PER_LENGTH, rounds=repetitions // calls, synchronize=wait,
        )  # fmt: skip
        counts = [counted(lambda layer=layer: layer.module(x)) for layer in layers]
    return [
        {
            "contender": layer.name, "tokens": length, "repetitions": len(record) * calls,
            "seconds_per_1000": asdict(spread([1e3 * t / calls for t in record])),
            "ratio_to_attention": asdict(ratio(record, times[0])), "operations_counted": count,
            "operations_printed": layer.printed(length), "operations_corrected": layer.corrected(length),
            "how": layer.how(length), "device": str(device), "dtype": "float32", "threads": torch.get_num_threads(),
        }
        for layer, record, count in zip(layers, times, counts, strict=True)
    ]  # fmt: skip


def _repeat(module: Callable[[Tensor], Tensor], x: Tensor, calls: int) -> None:
    for _ in range(calls):
        module(x)


def _calls_at_once(
    modules: Sequence[Callable[[Tensor], Tensor]], x: Tensor, repetitions: int, wait: Callable[[], object]
) -> int:
    """Calls that are timed together: enough for the quickest contender, few enough to leave the least rounds."""
    quickest = math.inf
    for module in modules:
        module(x)
        wait()
        start = time.perf_counter()
        module(x)
        wait()
        quickest = min(quickest, time.perf_counter() - start)
    return max(1, min(math.ceil(BLOCK_SECONDS / quickest), repetitions // LEAST_ROUNDS))


def _layers(device: torch.device, forms: Sequence[tuple[str, str]]) -> list[_Layer]:
    """All contenders, attention today first; `forms` are the backends and forms of HyperMixing that run here."""
    made = []
    for heads in (HEADS, 1):
        config = Attention.Config(num_heads=heads)
        today, then = (kind(config, d_model=D_MODEL).to(device) for kind in (Attention, WrittenOutAttention))
        then.load_state_dict(today.state_dict())
        words = f"{heads} head{'s' * (heads > 1)}"
        made += [
            _attention(f"attention, {words}", today, "scaled_dot_product_attention"),
            _attention(f"written-out attention, {words}", then, "softmax(QK')V with every weight formed"),
        ]
    ours = HyperMixing(D_MODEL, D_HIDDEN).to(device)
    made.append(_hypermixing("hypermixing as published", PublishedHyperMixing(ours), None))
    made.append(_hypermixing("hypermixing", ours, ours))
    for backend, form in forms:
        layer = HyperMixing(D_MODEL, D_HIDDEN, backend=backend, form=form).to(device)
        layer.load_state_dict(ours.state_dict())
        made.append(_hypermixing(f"hypermixing, {backend}, {form}", layer, layer))
    return made


def _attention(name: str, layer: Attention, how: str) -> _Layer:
    def run(x: Tensor) -> Tensor:
        return layer(x, Sequences.padded(x))

    def printed(tokens: int) -> int:
        return operations.attention_printed(tokens, D_MODEL, layer.num_heads)

    def corrected(tokens: int) -> int:
        return operations.attention_corrected(tokens, D_MODEL, layer.num_heads)

    return _Layer(name, run, printed, corrected, lambda _: how)


def _hypermixing(name: str, module: nn.Module, planned: HyperMixing | None) -> _Layer:
    def formula(tokens: int) -> int:  # which is right as printed
        return operations.hypermixer_printed(tokens, D_MODEL, D_HIDDEN)

    def how(tokens: int) -> str:
        if planned is None:
            return "Algorithm 1 in plain PyTorch: weights [N, K] formed"
        plan = planned.how(tokens)
        return f"{plan['form']} form, {plan['backend']} backend ({plan['because']})"

    return _Layer(name, module, formula, formula, how)

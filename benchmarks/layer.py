"""The rows: one layer alone, forward and forward+backward, by length, beside its peers and the machine's limits."""

import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.ceilings import Ceilings, ceilings
from benchmarks.peers import DEFAULT_PEERS, Contender, Skipped, build
from hypermixer import MIXERS, HyperMixing
from hypermixer.costs.timing import interleaved, ratio, spread, synchronizer
from hypermixer.ops.hypermixing.gate import Verdict, gate_all

LENGTHS = (32, 64, 128, 256, 512, 1_024, 2_048, 4_096, 8_192, 16_384)
PASSES = ("forward", "forward+backward")
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16, "float64": torch.float64}
Row = dict[str, Any]
assert "attention" in MIXERS  # its module teaches the FLOP counter the CPU's fused attention kernel


class GateRed(Exception):
    """A form failed the gate on this device and dtype: nothing is timed, nothing is printed."""


@dataclass(frozen=True)
class Request:
    """What to measure. `budget` is in seconds, for all rows together; `tokens` is how many a call holds, about."""

    dtype: torch.dtype
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    lengths: Sequence[int] = LENGTHS
    passes: Sequence[str] = PASSES
    heads: Sequence[int] = (1, 4)
    peers: Sequence[str] = DEFAULT_PEERS
    d_model: int = 256
    d_hidden: int = 512
    tokens: int = 8_192
    budget: float = 270.0


def gated(device: torch.device, dtype: torch.dtype) -> list[Verdict]:
    """The gate's verdicts, all green.

    Raises:
        GateRed: one is not.
    """
    verdicts = gate_all(device, dtype)
    for verdict in verdicts:
        if not verdict.passed:
            raise GateRed(
                f"The gate is red for {verdict.backend}, {verdict.form}, in {dtype} on {device}, error ratio "
                f"{verdict.worst:.1e} at {verdict.where}: no timing is reported."
            )
    return verdicts


def measure(request: Request, limits: Callable[..., Ceilings] = ceilings) -> tuple[list[Row], list[Skipped], Ceilings]:
    """Rows of every pass, length and contender; contenders that could not run; the limits of this very run.

    The limits are measured before and after the rows, and the higher counts. Long inputs go first: the budget that they
    overdraw is then taken from the rounds of the short ones.

    Raises:
        GateRed: HyperMixing computes something else than the reference here.
    """
    gated(request.device, request.dtype)
    before = limits(request.device, request.dtype)
    torch.manual_seed(0)
    contenders, skipped = build(
        request.peers, d_model=request.d_model, d_hidden=request.d_hidden, heads=request.heads,
        device=request.device, dtype=request.dtype,
    )  # fmt: skip
    groups = [(length, name) for length in sorted(request.lengths, reverse=True) for name in request.passes]
    end = time.perf_counter() + request.budget
    rows: list[Row] = []
    for i, (length, pass_name) in enumerate(groups):
        budget = max(0.0, end - time.perf_counter()) / (len(groups) - i)
        made, failed = _group(request, contenders, length, pass_name, budget)
        rows += made
        skipped += [s for s in failed if s not in skipped]
        print(f"{pass_name}, {length:,} tokens: {made[0]['seconds']['rounds']} rounds", file=sys.stderr)
    best = before.better(limits(request.device, request.dtype))
    for row in rows:
        row |= asdict(best)
        row["fraction_of_matrix_rate"] = row["flops"] / row["seconds"]["median"] / best.matrix_flops_per_second
        row["least_seconds"] = best.least_seconds(row["flops"], row["bytes"])
    rows.sort(key=lambda row: (request.passes.index(row["pass"]), row["length"]))
    return rows, skipped, best


def _group(
    request: Request, contenders: Iterable[Contender], length: int, pass_name: str, budget: float
) -> tuple[list[Row], list[Skipped]]:
    """One pass at one length: all contenders in turn."""
    batch = max(1, request.tokens // length)
    x = torch.randn(batch, length, request.d_model, device=request.device).to(request.dtype)
    ready: list[tuple[Contender, Callable[[], object], tuple[int, str]]] = []
    skipped: list[Skipped] = []
    start = time.perf_counter()
    for contender in contenders:
        longest = contender.max_length
        if longest is not None and length > longest:
            skipped.append(Skipped(f"{contender.name}, {length:,} tokens", f"it takes {longest} tokens at most"))
            continue
        if contender.eager is not None:
            torch.compiler.reset()  # one graph a shape: what is known of other lengths would count against the limit
        try:
            run = call(contender.module, contender.parameters, x, pass_name)
            counted = count_flops(contender, x, pass_name)
            if contender.eager is not None:
                run()  # compiles, or says here that it cannot
        except Exception as error:
            if contender.eager is None:
                raise
            reason = f"{type(error).__name__}: {str(error).strip().splitlines()[0]}" if str(error) else repr(error)
            skipped.append(Skipped(f"{contender.name}, {contender.heads} heads, {pass_name} of {length:,}", reason))
            continue
        ready.append((contender, run, counted))
    spent = time.perf_counter() - start
    wait = synchronizer(request.device)
    times = interleaved([run for _, run, _ in ready], budget=budget - spent, synchronize=wait)
    baseline = next((t for (c, _, _), t in zip(ready, times, strict=True) if c.name == "attention"), None)
    rows = []
    for (contender, _, (flops, source)), record in zip(ready, times, strict=True):
        row: Row = {
            "pass": pass_name, "length": length, "batch": batch, "heads": contender.heads, "tied": contender.tied,
            "dtype": str(request.dtype).removeprefix("torch."), "contender": contender.name,
            "d_model": request.d_model, "d_hidden": request.d_hidden, "plan": plan_of(contender, x),
            "seconds": asdict(spread(record)), "rounds": [round(t, 7) for t in record],
            "flops": flops, "flops_from": source, "bytes": least_bytes(contender.parameters, x, pass_name),
            "ratio_to_attention": None if baseline is None else asdict(ratio(baseline, record)),
        }  # fmt: skip
        rows.append(row | ({"note": contender.note} if contender.note else {}))
    return rows, skipped


def call(
    module: Callable[[Tensor], Tensor], parameters: Sequence[nn.Parameter], x: Tensor, pass_name: str
) -> Callable[[], object]:
    """One forward pass without a graph, or one training step's: output, and the gradients of x and every parameter."""
    if pass_name == "forward":

        def forward() -> object:
            with torch.inference_mode():
                return module(x)

        return forward
    leaf, grad = x.detach().clone().requires_grad_(), torch.randn_like(x)

    def step() -> object:
        for tensor in (leaf, *parameters):
            tensor.grad = None
        return module(leaf).backward(grad)

    return step


def count_flops(contender: Contender, x: Tensor, pass_name: str) -> tuple[int, str]:
    """Operations (two per multiply-add) of the products, and who says so: the layer's formula, or the counter.

    The counter counts what runs: where a backward pass computes something again, that is in it.
    """
    if isinstance(contender.module, HyperMixing) and contender.name == "hypermixing" and pass_name == "forward":
        return x.shape[0] * contender.module.flops(x.shape[1]), "layer.flops"
    fused = torch.backends.mha.get_fastpath_enabled()  # one kernel for a whole layer, which the counter takes for free
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with FlopCounterMode(display=False) as counter:
            call(contender.eager or contender.module, contender.parameters, x, pass_name)()
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
    return counter.get_total_flops(), "FlopCounterMode"


def least_bytes(parameters: Sequence[nn.Parameter], x: Tensor, pass_name: str) -> int:
    """The least that must move: x and parameters read, y written; with backward also dy read, dx and theirs written.

    forward: 2 B N D + P elements; forward+backward: 4 B N D + 2 P.
    """
    size = sum(p.numel() for p in parameters)
    times = 1 if pass_name == "forward" else 2
    return times * (2 * x.numel() + size) * x.element_size()


def plan_of(contender: Contender, x: Tensor) -> dict[str, Any] | None:
    module = contender.eager or contender.module
    if not isinstance(module, HyperMixing) or contender.name == "reference":
        return None
    return module.how(x.shape[1], batch=x.shape[0], element_bytes=x.element_size())


def printed(rows: Iterable[Row]) -> str:
    """The rows as a table for the screen."""
    lines = [
        "pass              length  contender              heads  tied   form             ms (quartiles)     "
        "x attention  GFLOP/s  ceiling  fraction   GB/s  ceiling"
    ]
    for row in rows:
        s, best, plan = row["seconds"], row["ratio_to_attention"], row["plan"]
        ms, low, high = (1e3 * s[name] for name in ("median", "low", "high"))
        tied = {True: "tied", False: "untied", None: "-"}[row["tied"]]
        lines.append(
            f"{row['pass']:16s} {row['length']:7,d}  {row['contender']:22s} {row['heads']:5d}  {tied:6s} "
            f"{plan['form'] if plan else '-':9s} {ms:9.2f} {f'({low:.2f}-{high:.2f})':19s} "
            f"{best['median'] if best else float('nan'):7.2f}  {row['flops'] / ms / 1e6:9.0f} "
            f"{row['matrix_flops_per_second'] / 1e9:8.0f} {row['fraction_of_matrix_rate']:9.0%} "
            f"{row['bytes'] / ms / 1e6:6.1f} {row['copy_bytes_per_second'] / 1e9:8.1f}"
        )
    return "\n".join(lines)

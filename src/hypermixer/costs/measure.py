"""E of Cost(R) ~ E * D * H on this machine: time, memory, operations and energy of classifiers by length of text.

Every contender runs once a round, in turn. Texts of one length are measured together and have no padding.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from hypermixer.costs.contender import Contender, Stepper, memory_ran_out, random_batch
from hypermixer.costs.counter import operations
from hypermixer.costs.energy import energy_used
from hypermixer.costs.peak import Peak, Request, peaks
from hypermixer.costs.timing import interleaved, ratio, spread, synchronizer
from hypermixer.errors import InputError
from hypermixer.mixers import longest_sequence

__all__ = ["Contender", "by_length"]

#: A forward pass is a third of a step, and its part of the time is somewhat more, as its calls are shorter.
FORWARD_SHARE = 0.3
ROUNDS = 100
#: Long beside a millisecond, after which energy counters are renewed.
ENERGY_SECONDS = 0.5
Row = dict[str, Any]
_UNKNOWN: Row = {
    name: None for kind in ("forward", "step") for name in (f"{kind}_ms", f"{kind}_ms_per_1000_tokens", f"{kind}_ratio")
}


@dataclass(frozen=True)
class _Bench:
    """What all contenders of a run have in common."""

    vocab_size: int
    num_labels: int
    device: torch.device
    bf16: bool

    def stepper(self, contender: Contender) -> Stepper:
        return Stepper(contender, **vars(self))

    def batch(self, rows: int, length: int) -> dict[str, Tensor]:
        return random_batch(rows, length, vocab_size=self.vocab_size, num_labels=self.num_labels, device=self.device)

    def request(self, contender: Contender, rows: int, length: int) -> Request:
        return Request(contender, rows, length, self.vocab_size, self.num_labels, self.bf16)


def by_length(
    contenders: Mapping[str, Contender],
    lengths: Sequence[int],
    *,
    batch_tokens: int,
    vocab_size: int,
    num_labels: int,
    device: torch.device,
    bf16: bool,
    seconds: float,
) -> list[Row]:
    """One row for each length and contender that takes so many tokens, in this order.

    Args:
        contenders: by name; ratios are to the first.
        lengths: tokens of each text.
        batch_tokens: tokens in a batch, about: as many whole texts as they hold, at least one.
        vocab_size, num_labels: of every classifier.
        device: where they run.
        bf16: whether products are taken in bfloat16, by autocast.
        seconds: for timing one length, warm-up included; at least `timing.LEAST_ROUNDS` rounds are made, so slow
            contenders may take longer. Memory comes on top, and energy where it is counted: about a step each.

    Returns:
        Rows of plain values for JSON: `contender`, `mixer`, `options`, `length`, `batch` (texts), `device`, `bf16`,
        `threads`, `parameters`; `forward_ms` and `step_ms` a batch, the same `_per_1000_tokens` (median, low, high,
        rounds), `forward_ratio` and `step_ratio`: time over the first contender's, median of the ratios round by round,
        below 1 where it is faster, None where the first was not timed; `peak_bytes` of a step beyond the parameters;
        `operations` of one text (`costs.counter.Operations`); `joules_per_1000_tokens` of training steps, with
        `energy_source` or `energy_reason`. Where `out_of_memory` is true, what could not be measured is None.

    Raises:
        InputError: no contenders, a length, batch or time that is not positive, an unknown mixer or option.
    """
    _check(contenders, lengths, batch_tokens, seconds)
    bench = _Bench(vocab_size, num_labels, device, bf16)
    longest = {name: _longest(bench, contender) for name, contender in contenders.items()}
    cases = [
        (name, length, max(1, batch_tokens // length))
        for length in lengths
        for name, contender in contenders.items()
        if length <= (longest[name] or length)
    ]
    # Memory first: what the system would kill for it dies in a process of its own, and is not tried in this one.
    requests = [bench.request(contenders[name], batch, length) for name, length, batch in cases]
    measured = dict(zip(cases, peaks(requests, device) if requests else [], strict=True))
    rows: list[Row] = []
    for length in dict.fromkeys(lengths):
        here = {name: (batch, measured[name, n, batch]) for name, n, batch in cases if n == length}
        rows += _at_length(bench, contenders, here, length, seconds)
    return rows


def _check(contenders: Mapping[str, Contender], lengths: Sequence[int], batch_tokens: int, seconds: float) -> None:
    if not contenders:
        raise InputError("There are no contenders to measure.")
    for name, value in (*(("lengths", n) for n in lengths), ("batch_tokens", batch_tokens), ("seconds", seconds)):
        if not value > 0:
            raise InputError(f"{name} must be positive, got {value}.")


def _longest(bench: _Bench, contender: Contender) -> int | None:
    config = contender.config(bench.vocab_size, bench.num_labels)
    return longest_sequence(config.mixer, config.mixer_options, d_model=config.encoder().hidden_size)


def _at_length(
    bench: _Bench,
    contenders: Mapping[str, Contender],
    here: Mapping[str, tuple[int, Peak]],
    length: int,
    seconds: float,
) -> list[Row]:
    ready: dict[str, tuple[Stepper, dict[str, Tensor]]] = {}
    for name, (rows, peak) in here.items():
        if not peak.out_of_memory and (made := _ready(bench, contenders[name], rows, length)):
            ready[name] = made
    timed = {name: dict(_UNKNOWN) for name in here}
    baseline = next(iter(contenders))
    parts = (("forward", Stepper.forward, FORWARD_SHARE), ("step", Stepper.step, 1 - FORWARD_SHARE))
    for kind, run, share in parts:
        runs = [partial(run, stepper, batch) for stepper, batch in ready.values()]
        times = dict(zip(ready, _interleaved(runs, share * seconds, bench.device), strict=True))
        for name, record in times.items():
            timed[name] |= _timed(kind, record, times.get(baseline), here[name][0] * length)
    return [
        {
            "contender": name, "mixer": contenders[name].mixer, "options": dict(contenders[name].options),
            "length": length, "batch": rows, "device": str(bench.device), "bf16": bench.bf16,
            "threads": torch.get_num_threads(),
            "parameters": ready[name][0].parameters if name in ready else None,
            **timed[name], "peak_bytes": peak.bytes, "operations": _operations(bench, contenders[name], length),
            **_energy(bench, ready.get(name)), "out_of_memory": name not in ready,
        }
        for name, (rows, peak) in here.items()
    ]  # fmt: skip


def _ready(bench: _Bench, contender: Contender, rows: int, length: int) -> tuple[Stepper, dict[str, Tensor]] | None:
    """A classifier that has made a step on the batch; None where memory ran out."""
    try:
        stepper, batch = bench.stepper(contender), bench.batch(rows, length)
        stepper.step(batch)
    except (RuntimeError, MemoryError) as error:
        if not memory_ran_out(error):
            raise
        return None
    return stepper, batch


def _interleaved(runs: Sequence[Callable[[], object]], seconds: float, device: torch.device) -> list[list[float]]:
    if not runs:
        return []
    return interleaved(runs, budget=seconds, rounds=ROUNDS, synchronize=synchronizer(device))


def _timed(kind: str, record: list[float], first: list[float] | None, tokens: int) -> Row:
    milliseconds = [1e3 * t for t in record]
    return {
        f"{kind}_ms": asdict(spread(milliseconds)),
        f"{kind}_ms_per_1000_tokens": asdict(spread([1e3 * t / tokens for t in milliseconds])),
        f"{kind}_ratio": None if first is None else asdict(ratio(record, first)),
    }


def _operations(bench: _Bench, contender: Contender, length: int) -> dict[str, int]:
    sizes = {"num_labels": bench.num_labels, "device": bench.device, **contender.encoder}
    return asdict(operations(contender.mixer, contender.options, tokens=length, **sizes))


def _energy(bench: _Bench, ready: tuple[Stepper, dict[str, Tensor]] | None) -> Row:
    """Of training steps for `ENERGY_SECONDS`, where there is a counter."""
    if ready is None:
        return {"joules_per_1000_tokens": None, "energy_source": None, "energy_reason": "memory ran out"}
    stepper, batch = ready
    steps, wait = 0, synchronizer(bench.device)
    with energy_used(bench.device) as used:
        end = time.perf_counter() + ENERGY_SECONDS
        while used.reason is None and time.perf_counter() < end:
            stepper.step(batch)
            steps += 1
            if wait is not None:
                wait()
    joules = None if used.joules is None else 1e3 * used.joules / (steps * batch["input_ids"].numel())
    return {"joules_per_1000_tokens": joules, "energy_source": used.source, "energy_reason": used.reason}

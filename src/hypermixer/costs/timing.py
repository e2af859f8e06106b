"""Interleaved timing: every contender runs once a round, so that a noisy neighbour disturbs all alike.

A ratio of two contenders is the median of the ratios round by round, not the ratio of their medians: the two calls of
one round lie within seconds of each other, so what slows the machine for a while leaves their ratio alone.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

ROUNDS, LEAST_ROUNDS = 15, 3
#: A contender slower than this, in seconds, is warm after one call.
SLOW = 0.25


@dataclass(frozen=True)
class Spread:
    """Median and quartiles over the rounds."""

    median: float
    low: float
    high: float
    rounds: int


def interleaved(
    contenders: Sequence[Callable[[], object]],
    *,
    budget: float = 12.0,
    rounds: int = ROUNDS,
    synchronize: Callable[[], object] | None = None,
) -> list[list[float]]:
    """Seconds of every call: one list a contender, one entry a round.

    Args:
        contenders: calls without arguments; each is warmed up first, twice where it is quick.
        budget: seconds after which no further round begins, warm-up included, once `LEAST_ROUNDS` are done.
        rounds: how many rounds at most.
        synchronize: waits for the device, where calls return before their work is done.
    """
    wait = synchronize or (lambda: None)
    start = time.perf_counter()
    for run in contenders:
        if _once(run, wait) < SLOW:
            _once(run, wait)
    times: list[list[float]] = [[] for _ in contenders]
    begun = time.perf_counter()
    for done in range(rounds):
        now = time.perf_counter()
        if done >= min(LEAST_ROUNDS, rounds) and now - start + (now - begun) / done > budget:
            break
        for i in range(len(contenders)):  # another one begins each round: what a neighbour leaves in cache evens out
            place = (i + done) % len(contenders)
            times[place].append(_once(contenders[place], wait))
    return times


def _once(run: Callable[[], object], wait: Callable[[], object]) -> float:
    wait()
    before = time.perf_counter()
    run()
    wait()
    return time.perf_counter() - before


def synchronizer(device: torch.device) -> Callable[[], object] | None:
    """What waits for `device`, or None where calls return when they are done."""
    return (lambda: torch.cuda.synchronize(device)) if device.type == "cuda" else None


def spread(values: Sequence[float]) -> Spread:
    """Median and quartiles of `values`; one value is its own quartiles."""
    if len(values) == 1:
        return Spread(values[0], values[0], values[0], 1)
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(median, low, high, len(values))


def ratio(over: Sequence[float], under: Sequence[float]) -> Spread:
    """How many times longer `over` took than `under`, round by round: of the same interleaved run."""
    return spread([a / b for a, b in zip(over, under, strict=True)])

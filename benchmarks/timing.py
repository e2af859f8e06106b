"""Interleaved timing: every contender runs once a round, so that a noisy neighbour disturbs all alike."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

WARMUP = 2
ROUNDS = 15
BUDGET_SECONDS = 12.0


@dataclass(frozen=True)
class Spread:
    """Seconds of one call: median and quartiles over the rounds."""

    median: float
    low: float
    high: float
    rounds: int


def seconds(contenders: Sequence[Callable[[], object]]) -> list[Spread]:
    """Times the contenders in turn: at most `ROUNDS` rounds, fewer (at least 5) where they would take too long."""
    for _ in range(WARMUP):
        for run in contenders:
            run()
    times: list[list[float]] = [[] for _ in contenders]
    start = time.perf_counter()
    for done in range(1, ROUNDS + 1):
        for run, record in zip(contenders, times, strict=True):
            before = time.perf_counter()
            run()
            record.append(time.perf_counter() - before)
        if done >= 5 and time.perf_counter() - start > BUDGET_SECONDS:
            break
    return [_spread(record) for record in times]


def _spread(record: list[float]) -> Spread:
    low, median, high = statistics.quantiles(record, n=4)
    return Spread(median, low, high, len(record))

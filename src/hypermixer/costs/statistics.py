"""How sure a result is: means, deviations and bootstrap intervals over examples and runs; and which results to keep."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hypermixer.errors import InputError

#: The most (draw, example) cells that are held at once.
_CELLS = 2_000_000


@dataclass(frozen=True)
class Interval:
    """A mean and the percentiles of its resamples."""

    mean: float
    low: float
    high: float


def bootstrap_mean(a: np.ndarray, *, level: float = 0.95, draws: int = 10_000, seed: int = 0) -> Interval:
    """Accuracy of one model and how far it moves with other examples and other runs.

    Args:
        a: bool [runs, n], whether each run answered each of n examples correctly.
        level, draws, seed: as in `paired_bootstrap`.

    Raises:
        InputError: as `paired_bootstrap`.
    """
    correct = _correctness(a, "a")
    return paired_bootstrap(correct, np.zeros_like(correct[:1]), level=level, draws=draws, seed=seed)


def paired_bootstrap(
    a: np.ndarray, b: np.ndarray, *, level: float = 0.95, draws: int = 10_000, seed: int = 0
) -> Interval:
    """Accuracy of `a` less that of `b`, and how far it moves with other examples and other runs.

    A resample has n of the examples, the same for both sides, and as many runs as each side has, drawn for each side by
    itself; all with replacement. With few runs their part of the spread comes out too small, by (runs - 1) / runs.

    Args:
        a, b: bool [runs, n], whether each run answered each of the same n examples correctly.
        level: of the interval, in (0, 1).
        draws: resamples.
        seed: of the resamples.

    Raises:
        InputError: not two axes, no run or example, another n, a level or a number of draws out of range.

    Source: Efron and Tibshirani 1993, chapter 13 (percentiles); Koehn 2004 (paired resamples of test examples).
    """
    a, b = _correctness(a, "a"), _correctness(b, "b")
    if a.shape[1] != b.shape[1]:
        raise InputError(f"a and b must be about the same examples, got {a.shape[1]:,} and {b.shape[1]:,}.")
    if not 0 < level < 1:
        raise InputError(f"level must lie in (0, 1), got {level}.")
    if draws < 1:
        raise InputError(f"draws must be at least 1, got {draws}.")
    differences = _differences(a, b, draws, np.random.default_rng(seed))
    low, high = np.quantile(differences, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(a.mean() - b.mean()), float(low), float(high))


def mean_and_deviation(values: Sequence[float] | np.ndarray) -> tuple[float, float | None]:
    """The mean and the standard deviation (n - 1) of some runs; one run has no deviation.

    Raises:
        InputError: no values.
    """
    numbers = np.asarray(values, dtype=np.float64)
    if not numbers.size:
        raise InputError("There are no results to take the mean of.")
    return float(numbers.mean()), float(numbers.std(ddof=1)) if numbers.size > 1 else None


def pareto_front(costs: Sequence[float], scores: Sequence[float]) -> list[int]:
    """Places of the results that no other one beats, being at least as cheap and at least as good.

    Args:
        costs: less is better.
        scores: of the same results, more is better.

    Returns:
        By rising cost; of equal results the first. What is not a number is on no front.

    Raises:
        InputError: not one score for each cost.
    """
    if len(costs) != len(scores):
        raise InputError(f"There must be one score for each cost, got {len(scores)} and {len(costs)}.")
    finite = [i for i in range(len(costs)) if np.isfinite(costs[i]) and np.isfinite(scores[i])]
    front: list[int] = []
    for i in sorted(finite, key=lambda i: (costs[i], -scores[i], i)):
        if not front or scores[i] > scores[front[-1]]:
            front.append(i)
    return front


def _correctness(given: np.ndarray, name: str) -> np.ndarray:
    correct = np.asarray(given, dtype=bool)
    if correct.ndim != 2 or not correct.size:
        raise InputError(f"{name} must be [runs, n] with at least one run and one example, got {list(correct.shape)}.")
    return correct


def _differences(a: np.ndarray, b: np.ndarray, draws: int, random: np.random.Generator) -> np.ndarray:
    """Accuracy of a less that of b in each resample: float64 [draws].

    Once the runs of a resample are drawn, an example is only the number of correct answers on each side. So the n
    examples need not be drawn one by one: how many of them have which numbers is one multinomial draw, exactly.
    """
    (runs_a, n), runs_b = a.shape, len(b)
    patterns, sizes = np.unique(np.vstack([a, b]), axis=1, return_counts=True)
    of_a, of_b = patterns[:runs_a].astype(np.float32), patterns[runs_a:].astype(np.float32)
    kinds = (runs_a + 1) * (runs_b + 1)
    difference = np.subtract.outer(np.arange(runs_a + 1) / runs_a, np.arange(runs_b + 1) / runs_b).ravel()
    results = np.empty(draws)
    chunk = max(1, _CELLS // (len(sizes) + kinds))
    for start in range(0, draws, chunk):
        part = results[start : start + chunk]
        times_a, times_b = (
            random.multinomial(runs, [1 / runs] * runs, len(part)).astype(np.float32) for runs in (runs_a, runs_b)
        )
        kind = (times_a @ of_a * (runs_b + 1) + times_b @ of_b).astype(np.intp)  # [part, patterns]
        kind += np.arange(len(part))[:, None] * kinds
        counts = np.bincount(kind.ravel(), np.tile(sizes, len(part)), len(part) * kinds).reshape(len(part), kinds)
        part[:] = random.multinomial(n, counts / n) @ difference / n
    return results

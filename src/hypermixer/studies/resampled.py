"""How far a number moves that is made from several models' results, with other examples, runs or trials."""

from collections.abc import Callable, Sequence

import numpy as np

from hypermixer.costs.statistics import Interval
from hypermixer.costs.tuning import expected_maximum

DRAWS = 2000
_ENDS = (0.025, 0.975)


def resampled(
    correct: Sequence[np.ndarray], number: Callable[[np.ndarray], np.ndarray], *, draws: int = DRAWS, seed: int = 0
) -> Interval:
    """A number made from the accuracies of several models, and 95 % of its resamples.

    A resample has as many of the examples, the same for all models, and as many runs as each model has, with
    replacement. One run of each model leaves only the examples to resample.

    Args:
        correct: of each model bool [runs, n], whether each run answered each of the same n examples correctly.
        number: from accuracies float64 [models, draws], fractions, to [draws].
        draws: resamples.
        seed: of the resamples.

    Source: Efron and Tibshirani 1993, chapter 13 (percentiles).
    """
    random = np.random.default_rng(seed)
    # Examples that all runs answer alike are one kind; how many of each are drawn is one multinomial draw, exactly.
    kinds, sizes = np.unique(np.vstack(correct), axis=1, return_counts=True)
    n = int(sizes.sum())
    by_run = random.multinomial(n, sizes / n, draws) @ kinds.T.astype(np.float64) / n  # [draws, all runs]
    accuracies, first = [], 0
    for one in correct:
        runs = len(one)
        times = random.multinomial(runs, [1 / runs] * runs, draws)
        accuracies.append((times * by_run[:, first : first + runs]).sum(axis=1) / runs)
        first += runs
    measured = np.array([[one.mean()] for one in correct])
    low, high = np.quantile(number(np.array(accuracies)), _ENDS)
    return Interval(float(number(measured)[0]), float(low), float(high))


def resampled_trials(
    first: Sequence[float], second: Sequence[float], *, draws: int = DRAWS, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Expected best of k = 1 .. n trials of two searches, in resamples of the trials: float64 [draws, n] each.

    Args:
        first, second: results of the same n trials, in the same order; a resample has the same trials on both sides.
        draws: resamples.
        seed: of the resamples.
    """
    random = np.random.default_rng(seed)
    places = random.integers(len(first), size=(draws, len(first)))
    one, other = (np.asarray(values, dtype=np.float64)[places] for values in (first, second))
    return np.array([expected_maximum(v) for v in one]), np.array([expected_maximum(v) for v in other])


def ends(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """95 % of resamples [draws, ...]: their lower and upper ends."""
    low, high = np.quantile(numbers, _ENDS, axis=0)
    return low, high

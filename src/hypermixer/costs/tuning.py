"""H of Cost(R) ~ E * D * H: what validation performance to expect after k trials of a random search.

Sources: Dodge et al. 2019 (arXiv 1909.03004), in its exact finite-sample form; the unbiased variant after Tang et al.
2020 (arXiv 2004.13705) and Dodge et al. 2021 (arXiv 2110.00613).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

import numpy as np

from hypermixer.errors import InputError

#: Validation results of n trials, in any order.
Results = Sequence[float] | np.ndarray


def expected_maximum(results: Results) -> np.ndarray:
    """E[best of k trials], k = 1 .. n: float64 [n]; trials drawn with replacement from the n results (V-statistic).

    With results in rising order, E_k = sum_i v_i ((i / n)^k - ((i - 1) / n)^k): exact for the empirical distribution,
    and too low for the distribution that the results came from, more so as k nears n.

    Raises:
        InputError: no results, or one that is not a number.
    """
    values = _sorted(results)
    ranks = np.arange(len(values) + 1) / len(values)
    powers = ranks ** np.arange(1, len(values) + 1)[:, None]  # [k, i]
    return np.diff(powers, axis=1) @ values


def expected_maximum_unbiased(results: Results) -> np.ndarray:
    """E[best of k trials], k = 1 .. n: float64 [n]; trials drawn without replacement (U-statistic, unbiased).

    E_k = sum_i v_i C(i - 1, k - 1) / C(n, k); the last one is the best result.
    """
    values = _sorted(results)
    n = len(values)
    weights = [[comb(i, k - 1) / comb(n, k) for i in range(n)] for k in range(1, n + 1)]
    return np.array(weights) @ values


@dataclass(frozen=True)
class Band:
    """What a curve of n trials could have been.

    Attributes:
        low, high: float64 [n], for k = 1 .. n.
    """

    low: np.ndarray
    high: np.ndarray


def bootstrap_band(
    results: Results, *, level: float = 0.95, draws: int = 2000, seed: int = 0, unbiased: bool = False
) -> Band:
    """Percentiles of the curve over resamples of the trials, each of n with replacement.

    Args:
        results: of n trials.
        level: of the interval, in (0, 1).
        draws: resamples.
        seed: of the resamples.
        unbiased: of the curve of `expected_maximum_unbiased`, else of `expected_maximum`.

    Raises:
        InputError: as `expected_maximum`, or a level outside (0, 1).
    """
    values = _sorted(results)
    if not 0 < level < 1:
        raise InputError(f"level must lie in (0, 1), got {level}.")
    curve = expected_maximum_unbiased if unbiased else expected_maximum
    random = np.random.default_rng(seed)
    curves = np.array([curve(random.choice(values, len(values))) for _ in range(draws)])
    low, high = np.quantile(curves, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return Band(low, high)


def _sorted(results: Results) -> np.ndarray:
    values = np.sort(np.asarray(results, dtype=np.float64))
    if not len(values):
        raise InputError("There are no trials, so there is nothing to expect.")
    if not np.isfinite(values).all():
        raise InputError("A trial's result is not a number: give a diverged trial the result it has, such as chance.")
    return values

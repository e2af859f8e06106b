"""Expected best of k trials, against all draws written out."""

from collections.abc import Callable
from itertools import combinations, product

import numpy as np
import pytest

from hypermixer.costs.tuning import bootstrap_band, expected_maximum, expected_maximum_unbiased
from hypermixer.errors import InputError

RESULTS = [0.5, 0.9, 0.1, 0.9, 0.3]


def test_with_replacement_it_is_the_mean_over_all_draws() -> None:
    expected = [np.mean([max(draw) for draw in product(RESULTS, repeat=k)]) for k in range(1, 6)]
    assert expected_maximum(RESULTS) == pytest.approx(expected, abs=1e-12)


def test_without_replacement_it_is_the_mean_over_all_subsets() -> None:
    expected = [np.mean([max(draw) for draw in combinations(RESULTS, k)]) for k in range(1, 6)]
    assert expected_maximum_unbiased(RESULTS) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("curve", [expected_maximum, expected_maximum_unbiased])
def test_curves_start_at_the_mean_and_rise(curve: Callable[..., np.ndarray]) -> None:
    values = curve(np.random.default_rng(0).random(37))
    assert values[0] == pytest.approx(np.random.default_rng(0).random(37).mean())
    assert (np.diff(values) >= 0).all()


def test_one_trial() -> None:
    assert expected_maximum([0.4]).tolist() == expected_maximum_unbiased([0.4]).tolist() == [0.4]


def test_the_unbiased_curve_is_unbiased_and_the_other_too_low() -> None:
    """Uniform results: the best of k has mean k / (k + 1)."""
    random, k = np.random.default_rng(0), 5
    draws = random.random((4000, 8))
    unbiased = np.mean([expected_maximum_unbiased(d)[k - 1] for d in draws])
    biased = np.mean([expected_maximum(d)[k - 1] for d in draws])
    assert abs(unbiased - k / (k + 1)) < 0.005 and biased < unbiased - 0.02


def test_bands_hold_the_curve_and_repeat() -> None:
    results = np.random.default_rng(1).random(20)
    band = bootstrap_band(results, draws=300)
    curve = expected_maximum(results)
    assert (band.low <= curve + 1e-12).all() and (curve <= band.high + 1e-12).all()
    assert (band.low == bootstrap_band(results, draws=300).low).all()
    narrow = bootstrap_band(results, draws=300, level=0.5)
    assert (narrow.high - narrow.low).mean() < (band.high - band.low).mean()


@pytest.mark.parametrize("results", [[], [0.5, float("nan")]])
def test_no_trials_and_no_numbers_are_refused(results: list[float]) -> None:
    with pytest.raises(InputError):
        expected_maximum(results)

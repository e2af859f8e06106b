"""Resamples of numbers made from several models' results."""

import numpy as np
import pytest

from hypermixer.costs.statistics import paired_bootstrap
from hypermixer.studies.resampled import resampled, resampled_trials

RIGHT = np.arange(400)[None] % 10


def test_a_difference_has_the_interval_of_the_paired_bootstrap():
    random = np.random.default_rng(1)
    a, b = random.random((3, 500)) < 0.7, random.random((2, 500)) < 0.6
    ours, other = resampled([a, b], lambda x: x[0] - x[1], draws=20_000), paired_bootstrap(a, b)
    assert ours.mean == pytest.approx(a.mean() - b.mean())
    assert (ours.low, ours.high) == pytest.approx((other.low, other.high), abs=0.004)


def test_examples_are_the_same_for_all_models():
    """A model beside itself differs by nothing; a ratio of 80 to 50 % is 1.6, and lies within its ends."""
    same = resampled([RIGHT < 8, RIGHT < 8], lambda x: x[0] - x[1])
    assert (same.mean, same.low, same.high) == (0, 0, 0)
    ratio = resampled([RIGHT < 8, RIGHT < 5], lambda x: x[0] / x[1])
    assert ratio.mean == pytest.approx(1.6) and 1.4 < ratio.low < 1.6 < ratio.high < 1.85


def test_runs_are_resampled_too():
    apart = np.stack([np.ones(400, bool), np.zeros(400, bool)])
    found = resampled([apart], lambda x: x[0])
    assert (found.mean, found.low, found.high) == (0.5, 0, 1)


def test_trials_are_the_same_on_both_sides():
    one, other = resampled_trials([1, 2, 4], [0, 1, 3], draws=50)
    assert one.shape == other.shape == (50, 3) and np.allclose(one - other, 1) and one[:, 0].std() > 0

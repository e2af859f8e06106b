"""Intervals against resamples drawn one by one and against the binomial; fronts and means by hand."""

import time
from math import nan, sqrt

import numpy as np
import pytest

from hypermixer.costs.statistics import bootstrap_mean, mean_and_deviation, paired_bootstrap, pareto_front
from hypermixer.errors import InputError

RNG = np.random.default_rng(7)


def outcomes(runs, n, p):
    return np.random.default_rng(runs * n).random((runs, n)) < p


def one_by_one(a, b, draws):
    """The same resamples, drawn as indices."""
    rng = np.random.default_rng(1)
    results = []
    for _ in range(draws):
        examples = rng.integers(0, a.shape[1], a.shape[1])
        sides = [side[rng.integers(0, len(side), len(side))][:, examples].mean() for side in (a, b)]
        results.append(sides[0] - sides[1])
    return np.array(results)


@pytest.mark.parametrize(("runs_a", "runs_b", "n"), [(3, 2, 60), (1, 1, 31), (1, 4, 200)])
def test_equals_resamples_drawn_one_by_one(runs_a, runs_b, n):
    hard = RNG.random(n)
    a, b = (hard < RNG.uniform(0.5, 0.9, (runs, 1)) for runs in (runs_a, runs_b))
    expected = np.quantile(one_by_one(a, b, 20_000), [0.05, 0.95])
    interval = paired_bootstrap(a, b, level=0.9, draws=20_000)
    assert interval.mean == pytest.approx(a.mean() - b.mean())
    # An accuracy of these runs moves in steps of 1 / (runs n); quantiles may fall on the next one.
    assert (interval.low, interval.high) == pytest.approx(expected, abs=1.01 / n)


def test_one_run_has_the_width_of_the_binomial():
    n, p = 40_000, 0.8
    a = np.arange(n)[None] < p * n
    interval = bootstrap_mean(a, draws=20_000)
    half = 1.96 * sqrt(p * (1 - p) / n)
    assert interval.mean == p
    assert (interval.low, interval.high) == pytest.approx((p - half, p + half), abs=0.05 * half)


def test_examples_are_paired():
    a = outcomes(1, 500, 0.7)
    b = a.copy()
    b[0, np.flatnonzero(a[0])[:10]] = False
    interval = paired_bootstrap(a, b)
    assert interval.mean == pytest.approx(0.02) and 0.005 < interval.low < interval.high < 0.035
    same = paired_bootstrap(a, a)
    assert (same.mean, same.low, same.high) == (0, 0, 0)


def test_runs_that_differ_widen_the_interval_with_examples_fixed():
    # All examples alike within a run: only the choice of runs can move the mean, over 0, 1/2 and 1.
    a = np.array([[True] * 50, [False] * 50])
    interval = bootstrap_mean(a, level=0.9)
    assert (interval.mean, interval.low, interval.high) == (0.5, 0, 1)


def test_seeded_and_without_effect_of_order():
    a, b = outcomes(3, 400, 0.8), outcomes(2, 400, 0.7)
    assert paired_bootstrap(a, b, seed=3) == paired_bootstrap(a, b, seed=3) != paired_bootstrap(a, b, seed=4)
    order = RNG.permutation(400)
    assert paired_bootstrap(a[:, order], b[:, order]) == paired_bootstrap(a, b)


def test_awkward_sizes():
    one = np.ones((1, 1), bool)
    interval = paired_bootstrap(one, ~one, draws=1)
    assert (interval.mean, interval.low, interval.high) == (1, 1, 1)
    assert bootstrap_mean(outcomes(7, 3, 0.5), draws=50).low >= 0


def test_forty_thousand_examples_and_ten_runs_are_quick():
    rng = np.random.default_rng(0)
    hard = rng.normal(1.2, 1.5, 40_000)
    a, b = (hard + rng.normal(0, 0.8, (10, 40_000)) > 0 for _ in range(2))
    began = time.process_time()
    interval = paired_bootstrap(a, b)
    assert time.process_time() - began < 6  # 2 on a quiet machine
    assert interval.low < interval.mean < interval.high


@pytest.mark.parametrize(
    ("a", "b", "more", "words"),
    [
        (np.ones((2, 5)), np.ones((2, 6)), {}, "5 and 6"),
        (np.ones(5), np.ones((1, 5)), {}, r"\[5\]"),
        (np.ones((0, 5)), np.ones((1, 5)), {}, r"a .*\[0, 5\]"),
        (np.ones((1, 5)), np.ones((1, 0)), {}, r"b .*\[1, 0\]"),
        (np.ones((1, 5)), np.ones((1, 5)), {"level": 1}, "level"),
        (np.ones((1, 5)), np.ones((1, 5)), {"draws": 0}, "draws"),
    ],
)
def test_wrong_requests(a, b, more, words):
    with pytest.raises(InputError, match=words):
        paired_bootstrap(a, b, **more)


def test_mean_and_deviation_by_hand():
    assert mean_and_deviation([1, 2, 6]) == (3, pytest.approx(sqrt(7)))
    assert mean_and_deviation([0.5]) == (0.5, None)
    with pytest.raises(InputError, match="no results"):
        mean_and_deviation([])


@pytest.mark.parametrize(
    ("costs", "scores", "front"),
    [
        ([3, 1, 2], [0.9, 0.5, 0.7], [1, 2, 0]),
        ([3, 1, 2], [0.6, 0.5, 0.7], [1, 2]),
        ([1, 1, 1], [0.5, 0.7, 0.6], [1]),
        ([2, 1, 1], [0.5, 0.5, 0.5], [1]),
        ([1, 2, nan, 0], [0.5, nan, 0.9, 0.1], [3, 0]),
        ([], [], []),
    ],
)
def test_pareto_front_by_hand(costs, scores, front):
    assert pareto_front(costs, scores) == front


def test_pareto_front_by_definition():
    for _ in range(50):
        costs, scores = RNG.integers(0, 6, (2, 12)).tolist()
        front = pareto_front(costs, scores)
        points = list(zip(costs, scores, strict=True))
        beaten = [
            any(c <= cost and s >= score and (c, s) != (cost, score) for c, s in points) for cost, score in points
        ]
        assert {points[i] for i in front} == {p for p, lost in zip(points, beaten, strict=True) if not lost}
        assert len({points[i] for i in front}) == len(front)


def test_a_score_for_each_cost():
    with pytest.raises(InputError, match="1 and 2"):
        pareto_front([1, 2], [3])

"""Rounds, budgets, ratios."""

import time

from hypermixer.costs.timing import LEAST_ROUNDS, interleaved, ratio, spread


def test_every_contender_runs_once_a_round_and_another_begins_each() -> None:
    calls: list[str] = []
    times = interleaved([lambda: calls.append("a"), lambda: calls.append("b")], rounds=4)
    assert [len(record) for record in times] == [4, 4]
    assert calls[-8:] == ["a", "b", "b", "a", "a", "b", "b", "a"]


def test_times_belong_to_their_contender() -> None:
    slow, quick = interleaved([lambda: time.sleep(0.02), lambda: None], rounds=5)
    assert min(slow) >= 0.02 > max(quick)


def test_a_spent_budget_leaves_the_least_rounds() -> None:
    assert [len(r) for r in interleaved([lambda: time.sleep(0.01)], budget=0.0)] == [LEAST_ROUNDS]
    assert [len(r) for r in interleaved([lambda: None], rounds=1)] == [1]


def test_the_device_is_waited_for_around_every_call() -> None:
    waits: list[int] = []
    interleaved([lambda: None], rounds=3, synchronize=lambda: waits.append(1))
    assert len(waits) == 2 * (2 + 3)


def test_a_ratio_is_the_median_of_the_rounds_ratios() -> None:
    ours, theirs = [1.0, 10.0, 2.0], [2.0, 20.0, 40.0]  # one bad round for both, one for theirs alone
    assert ratio(theirs, ours).median == 2.0
    assert spread([3.0]).median == spread([3.0]).low == spread([3.0]).high == 3.0
    five = spread([5.0, 1.0, 3.0, 2.0, 4.0])
    assert (five.low, five.median, five.high, five.rounds) == (2.0, 3.0, 4.0, 5)

"""The clock: every second belongs to one part, and an interruption is a pause."""

import itertools

import pytest

from hypermixer.costs import clock
from hypermixer.costs.clock import PARTS, Clock


@pytest.fixture
def ticks(monkeypatch):
    """Each look at the stopwatch is one second later; the calendar stands at 1000."""
    seconds = itertools.count()
    monkeypatch.setattr(clock.time, "perf_counter", lambda: float(next(seconds)))
    monkeypatch.setattr(clock.time, "time", lambda: 1000.0)


def test_one_part_at_a_time(ticks):
    watch = Clock()
    watch.switch("training")  # 0
    with watch.part("evaluation"), watch.part("saving"):  # 1, 2
        pass  # 3, 4
    watch.switch(None)  # 5
    assert watch.seconds == {"training": 2.0, "evaluation": 2.0, "compilation": 0.0, "saving": 1.0, "pauses": 0.0}
    watch.switch("training")
    assert watch.seconds["training"] == 2.0


def test_a_part_that_fails_ends(ticks):
    watch = Clock()
    with pytest.raises(ValueError), watch.part("evaluation"):
        raise ValueError
    assert watch.switch(None) is None
    assert watch.seconds["evaluation"] == 1.0


def test_state_holds_the_part_under_way_and_does_not_stop_it(ticks):
    watch = Clock()
    watch.switch("saving")
    assert watch.state() == {"seconds": dict.fromkeys(PARTS, 0.0) | {"saving": 1.0}, "at": 1000.0}
    watch.switch(None)
    assert watch.seconds["saving"] == 2.0


def test_resumption_adds_and_counts_the_pause(ticks):
    state = {"seconds": dict.fromkeys(PARTS, 3.0), "at": 940.0}
    again = Clock(Clock(state).state())
    assert again.seconds == dict.fromkeys(PARTS, 3.0) | {"pauses": 63.0}


def test_states_without_a_part_or_from_the_future(ticks):
    assert Clock({"seconds": {"training": 2.0}}).seconds == dict.fromkeys(PARTS, 0.0) | {"training": 2.0}
    assert Clock({"seconds": {}, "at": 2000.0}).seconds["pauses"] == 0.0

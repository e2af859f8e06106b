"""How much fits into a time."""

import pytest

from hypermixer.convert import schedule
from hypermixer.convert.schedule import fitted, fixed, shares

THREE = ["layerwise", "whole", "masked"]


def test_a_fixed_number_of_steps_is_shared():
    made = fixed(THREE, 100, 0.2, [10] * 77, 64)
    assert made.steps == {"layerwise": 20, "whole": 40, "masked": 40} and made.pieces == 77 and made.measured == {}
    assert fixed(["whole"], 100, 0.2, [10] * 77, 64).steps == {"whole": 100}
    assert fixed(["layerwise", "whole"], 2, 0.15, [10], 64).steps == {"layerwise": 1, "whole": 1}
    assert fixed(["whole", "masked"], 100, 0.2, [10], 64).steps == {"whole": 50, "masked": 50}


def test_a_few_steps_reach_a_few_pieces():
    assert fixed(["whole"], 3, 0.2, [10] * 77, 64).pieces == 20
    assert fixed(THREE, 10, 0.2, [10] * 77, 64).pieces == 26  # those of the longest stage, of four steps


def test_shares_go_by_cost_and_leave_no_stage_out():
    assert shares(["layerwise", "whole"], {"layerwise": 2.0, "whole": 0.5}, 40.0, 0.25) == {"layerwise": 5, "whole": 60}
    assert shares(["layerwise", "whole"], {"layerwise": 2.0, "whole": 0.5}, 0.0, 0.25) == {"layerwise": 1, "whole": 1}


def test_all_texts_are_used_where_there_is_time():
    made = fitted(["whole"], 100.0, {"whole": 0.5}, 1000.0, [10] * 200, 100, 0.15)
    # 2,000 tokens take the teacher 2 seconds, and 98 are left.
    assert made.pieces == 200 and made.steps == {"whole": 196}
    assert made.measured == {"whole step seconds": 0.5, "teacher tokens per second": 1000.0}


def test_as_many_texts_as_one_pass_has_time_for():
    # The student learns from 200 tokens a second, the teacher answers 200: of 10 seconds each has half.
    made = fitted(["whole"], 10.0, {"whole": 0.5}, 200.0, [10] * 5000, 100, 0.15)
    assert made.pieces == 100 and made.steps == {"whole": 10}
    assert sum([10] * made.pieces) == made.steps["whole"] * 100


def test_the_time_is_kept_with_several_stages():
    cost = {"layerwise": 0.3, "whole": 0.2, "masked": 0.1}
    lengths = [7, 20, 3] * 400
    made = fitted(THREE, 60.0, cost, 500.0, lengths, 64, 0.2)
    spent = sum(cost[name] * steps for name, steps in made.steps.items()) + sum(lengths[: made.pieces]) / 500
    assert 58 < spent <= 60


def test_a_teacher_that_is_not_asked_takes_no_time():
    made = fitted(["masked"], 100.0, {"masked": 0.5}, float("inf"), [10] * 200, 100, 0.15)
    assert made.pieces == 200 and made.steps == {"masked": 200} and made.measured == {"masked step seconds": 0.5}


@pytest.mark.parametrize("seconds", [0.0, 1e-9, 1.0])
def test_something_is_done_however_short_the_time(seconds):
    made = fitted(["layerwise", "whole"], seconds, {"layerwise": 9.0, "whole": 9.0}, 1.0, [50] * 9, 100, 0.15)
    assert made.pieces == 1 and made.steps == {"layerwise": 1, "whole": 1}


def test_the_median_of_calls_after_one_that_warms_up(monkeypatch):
    now, calls = [0.0], []
    monkeypatch.setattr(schedule.time, "perf_counter", lambda: now[0])

    def run():
        calls.append(1)
        now[0] += [100.0, 3.0, 50.0, 4.0][len(calls) - 1]

    assert schedule.timed(run) == 4.0 and len(calls) == 4

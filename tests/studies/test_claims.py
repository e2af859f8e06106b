"""Verdicts on the paper's claims, from rows whose answers are known."""

from dataclasses import replace
from typing import Any

import pytest

from hypermixer.studies.beside_paper import FLOOR, cells
from hypermixer.studies.claims import FAILS, HOLDS, OPEN, Claim, section, tally, verdicts
from hypermixer.studies.models import HYPERMIXER, LINEAR_TRANSFORMER, MAIN, TRANSFORMER
from hypermixer.studies.study import Result
from hypermixer.studies.tasks import SMOKE, Task
from tests.studies.synthetic import DIVERGED, MISSING, filled_by, seen, tables

CLAIM = Claim(HYPERMIXER, TRANSFORMER)


def judged(by_row: dict[str, Any], claim: Claim = CLAIM, paper: str = "MNLI"):
    """The verdict where models have these accuracies, and the rest 0.5."""
    task = replace(SMOKE.tasks[0], paper=paper)
    scale = replace(SMOKE, tasks=(task,))
    filled = filled_by(lambda results: cells(scale, MAIN, results), lambda tags: by_row.get(tags["row"], 0.5))
    (found,) = verdicts(filled, scale, [claim])
    return found


def test_holds_does_not_hold_cannot_be_decided():
    assert judged({"HyperMixer": 0.8, "Transformer": 0.6}).word == HOLDS
    assert judged({"HyperMixer": 0.6, "Transformer": 0.8}).word == FAILS
    assert judged({"HyperMixer": 0.61, "Transformer": 0.6}).word == OPEN
    assert judged({"HyperMixer": 0.6, "Transformer": 0.6}).word == OPEN


def test_the_difference_is_that_of_the_accuracies():
    found = judged({"HyperMixer": 0.8, "Transformer": 0.6})
    assert found.interval is not None
    assert found.interval.mean == pytest.approx(0.2) and found.interval.low < 0.2 < found.interval.high
    assert found.printed == pytest.approx(66.2 - 65.4) and found.part == "test"


def test_where_the_paper_has_the_other_order():
    """On MNLI the paper's Linear Transformer is the better one: a HyperMixer above it contradicts the paper."""
    claim = Claim(HYPERMIXER, LINEAR_TRANSFORMER)
    scores = {"HyperMixer": 0.8, "Linear Transformer": 0.6}
    assert judged(scores, claim).word == FAILS
    assert judged(scores, claim, "QQP").word == HOLDS


def test_both_below_the_linear_baseline():
    assert judged({"HyperMixer": 0.8, "Transformer": 0.6, FLOOR: 0.9}).weak is True
    assert judged({"HyperMixer": 0.8, "Transformer": 0.6, FLOOR: 0.7}).weak is False
    assert judged({"HyperMixer": 0.8, "Transformer": 0.6, FLOOR: MISSING}).weak is None


def test_validation_counts_where_there_is_no_test():
    found = judged({"HyperMixer": (0.8, None), "Transformer": (0.6, None)})
    assert found.part == "evaluation" and found.word == HOLDS


def test_runs_that_are_not_there():
    assert judged({"HyperMixer": MISSING}).word == "HyperMixer: not run"
    assert judged({"Transformer": DIVERGED}).word == "Transformer: 2 of 2 runs diverged"
    assert judged({"HyperMixer": MISSING, "Transformer": DIVERGED}).interval is None


def test_tally_and_table():
    found = [
        judged({"HyperMixer": 0.8, "Transformer": 0.6, FLOOR: 0.9}),
        judged({"HyperMixer": 0.6, "Transformer": 0.8}),
        judged({}),
        judged({"HyperMixer": MISSING}),
    ]
    assert tally(found) == (
        "Of 4 comparisons of two models in the paper, these runs confirm 1, contradict 1 and cannot decide 1."
        " 1 lack runs. In 1 of them both models stay below the linear baseline."
    )
    assert tally(found[3:]).startswith("No claim of the paper can be checked yet")
    made = tables(Result("x", (section(found),)))["Claims"]
    assert [seen(row[2]) for row in made.rows] == [HOLDS, FAILS, OPEN, "HyperMixer: not run"]


@pytest.mark.parametrize(("paper", "text"), [("MNLI", "+0.8"), ("SST", "+1.7 *"), ("QQP", "+2.8"), ("SNLI", "+1.0")])
def test_the_papers_differences_with_a_star_within_its_deviations(paper, text):
    """0.21 + 0.51 on MNLI, 0.84 + 0.86 on SST, 0.20 + 0.22 on QQP, 0.27 + 0.40 on SNLI."""
    made = tables(Result("x", (section([judged({}, paper=paper)]),)))["Claims"]
    assert seen(made.rows[0][5]) == text


def test_a_task_is_named_with_the_part_that_counts():
    found = judged({"HyperMixer": 0.8, "Transformer": 0.6})
    assert isinstance(found.task, Task)
    row = tables(Result("x", (section([found]),)))["Claims"].rows[0]
    assert row[0] == "HyperMixer above Transformer" and row[1] == "builtin:nli (test)"

"""What runs say together."""

import numpy as np
import pytest

from hypermixer.studies.cell import Cell, Row
from hypermixer.studies.correctness import packed
from hypermixer.studies.fill import Filled
from hypermixer.studies.scores import Runs, matching, minus, picked, runs_of
from tests.studies.samples import cell

DIVERGED: Row = {"outcome": "diverged", "chance": 0.4}


def answers(*correct: bool, part: str = "evaluation", **more: object) -> Row:
    values = np.array(correct)
    metrics = {"accuracy": float(values.mean()), "examples": len(values)}
    return {"outcome": "done", "metrics": {part: metrics}, "correct": {part: packed(values)}, **more}


def runs(*rows: Row) -> Runs:
    cells = [cell(number) for number in range(len(rows))]
    return runs_of(cells, {c.key: r for c, r in zip(cells, rows, strict=True)})


def test_mean_and_deviation_in_percent() -> None:
    three = runs(answers(True, True, True, False), answers(True, True, False, False), answers(True, False, True, True))
    mean, deviation = three.summary("evaluation")
    assert mean == pytest.approx(200 / 3)
    assert deviation == pytest.approx(25 / 3**0.5)  # 75, 50, 75: squares 8.33^2 (1 + 4 + 1) / 2
    assert three.accuracies("evaluation") == [0.75, 0.5, 0.75]
    assert runs(answers(True, False)).summary("evaluation") == (50, None)


def test_which_examples_were_right() -> None:
    first, second = [True] * 11, [True, False] * 5 + [False]
    correct = runs(answers(*first), answers(*second)).correct("evaluation")
    assert correct.dtype == bool and correct.tolist() == [first, second]


def test_intervals() -> None:
    random = np.random.default_rng(0)
    good, bad = (runs(*[answers(*(random.random(501) < p)) for _ in range(3)]) for p in (0.8, 0.6))
    alone = good.interval("evaluation")
    assert alone.mean == pytest.approx(np.mean(good.accuracies("evaluation")))
    assert alone.low < alone.mean < alone.high and 0.02 < alone.high - alone.low < 0.12
    difference = minus(good, bad, "evaluation")
    assert difference.mean == pytest.approx(
        np.mean(good.accuracies("evaluation")) - np.mean(bad.accuracies("evaluation"))
    )
    assert 0 < difference.low < difference.mean < difference.high
    nothing = minus(good, good, "evaluation")
    assert nothing.mean == 0 and nothing.low <= 0 <= nothing.high
    same = minus(runs(answers(True, False, True)), runs(answers(True, False, True)), "evaluation")
    assert (same.mean, same.low, same.high) == (0, -1, 1)  # three examples on both sides: 3 / 3


def test_an_interval_is_never_a_point() -> None:
    everything, nothing = (runs(*[answers(*[value] * 100)] * 2) for value in (True, False))
    best, worst = everything.interval("evaluation"), nothing.interval("evaluation")
    # Wilson: n / (n + z^2), z = 1.96
    assert (best.mean, best.low, best.high) == (1, pytest.approx(100 / 103.8416), 1)
    assert (worst.mean, worst.low, worst.high) == (0, 0, pytest.approx(3.8416 / 103.8416))
    equal, far = minus(everything, everything, "evaluation"), minus(everything, nothing, "evaluation")
    assert (equal.mean, equal.low, equal.high) == (0, pytest.approx(-0.03), pytest.approx(0.03)), "the rule of three"
    assert (far.mean, far.low, far.high) == (1, pytest.approx(0.97), 1)
    back = minus(nothing, everything, "evaluation")
    assert (back.mean, back.low, back.high) == (-1, -1, pytest.approx(-0.97))


def test_what_did_not_diverge_counts() -> None:
    some = runs(answers(True, True), DIVERGED, answers(True, False))
    assert some.answered("evaluation") and not some.answered("test") and not some.has("evaluation")
    assert some.accuracies("evaluation") == [1, 0.5] and some.correct("evaluation").shape == (2, 2)
    assert some.summary("evaluation")[0] == 75 and len(some.done) == 2
    assert not runs(DIVERGED, DIVERGED).answered("evaluation") and not runs_of([], {}).answered("evaluation")


def test_diverged_and_missing_runs() -> None:
    wanted = [cell(0), cell(1), cell(2), cell(0, final=True)]
    some = runs_of(wanted, {cell(0).key: answers(True), cell(2).key: DIVERGED})
    assert (len(some.rows), some.missing, some.diverged) == (2, 1, 1)
    assert [c.config["number"] for c in some.cells] == [0, 2]
    assert not some.has("evaluation")
    none = runs_of(wanted, {})
    assert (none.rows, none.missing, none.diverged, none.has("evaluation")) == ((), 3, 0, False)
    assert none.part() == some.part() == "evaluation"


def test_which_texts_count() -> None:
    both = answers(True, False)
    both["metrics"]["test"] = {"accuracy": 1.0, "examples": 1}
    assert runs(both).part() == "test" and runs(both).has("test")
    assert runs(both, answers(True)).part() == "evaluation"


def test_medians() -> None:
    three = runs(*[answers(True, cost={"seconds": s, "parameters": 5}) for s in (3.0, 100.0, 1.0)])
    assert three.median("cost", "seconds") == 3 and three.median("cost", "parameters") == 5
    assert runs(answers(True, cost={"s": 2}), DIVERGED).median("cost", "s") == 2  # what did not end took no time


def test_picked_by_tags() -> None:
    cells: list[Cell] = [
        cell(0, row="a", data="x"),
        cell(1, row="a", data="y"),
        cell(2, row="b"),
        cell(0, row="a", data="x", final=True),
    ]
    assert matching(cells, row="a") == [cells[0], cells[1], cells[3]]
    assert [c.tags.get("final") for c in matching(cells, row="a", data="x", final=None)] == [None]
    assert len(matching(cells, data=None)) == 1 and matching(cells, row="c") == []
    filled = Filled(cells, {cell(0).key: answers(True), cell(1).key: answers(False)})
    found = picked(filled, row="a")
    assert (len(found.rows), found.missing) == (2, 0)
    assert picked(filled, row="b").missing == 1

"""What to choose: sentences over correctness made by hand."""

import re

import numpy as np
import pytest

from hypermixer.costs.statistics import Interval, paired_bootstrap
from hypermixer.studies.cell import Cell
from hypermixer.studies.scores import Runs
from hypermixer.studies.standing import advice, in_seconds, standings
from tests.studies.comparisons import diverged, right, row


def runs(name: str, *answers: np.ndarray, seconds: float = 1.0, kind: str = "train", part: str = "test") -> Runs:
    cells = tuple(Cell(kind, {"name": name, "seed": seed}, None, {"row": name}) for seed in range(len(answers)))
    made = [row(a, a if part == "test" else None, seconds=seconds) for a in answers]
    return Runs(cells, tuple(made), 0)


def said(*rows: tuple[str, Runs], part: str = "test", diverged: tuple[str, ...] = (), chance: float = 0.1) -> str:
    return advice(standings(rows, rows[-1][0] if rows else "", part), part, chance, diverged)


def first(count: int, among: int = 400) -> np.ndarray:
    return np.arange(among) < count


def test_a_clear_winner_is_named_with_the_next_and_the_interval() -> None:
    a, b, c = first(360), first(300), first(200)
    lead = paired_bootstrap(np.stack([a, a]), np.stack([b, b]))
    assert said(("a", runs("a", a, a, seconds=30)), ("b", runs("b", b, b)), ("c", runs("c", c, c))) == (
        "Choose a: 90.0 % on 400 test texts, the best; the next, b, has 75.0 % (15.0 points less, 95 % interval"
        f" {100 * lead.low:.1f} to {100 * lead.high:.1f})."
    )
    assert 0.10 < lead.low < lead.high < 0.20


def test_of_a_tie_the_cheaper_is_chosen_and_the_better_told() -> None:
    sentence = said(("a", runs("a", *[first(300)] * 2, seconds=12)), ("b", runs("b", *[first(299)] * 2, seconds=3)))
    assert sentence == (
        "Choose b: 74.8 % on 400 test texts, for 3.0 s of training; a has 75.0 % for 12.0 s of training, and these"
        " texts cannot tell the two apart (0.2 points less, 95 % interval 0.0 to 0.8)."
    )


def test_a_tie_that_few_texts_leave_wide_says_so() -> None:
    few, some = right(20, 30, seed=1), right(17, 30, seed=2)
    sentence = said(("a", runs("a", few, few, seconds=12)), ("b", runs("b", some, some, seconds=3)))
    assert sentence.startswith(
        "Too few texts to choose by: 30 test texts leave much to luck. Choose b: 56.7 % on 30 test texts"
    )
    assert sentence.endswith("More test texts could change this.")


@pytest.mark.parametrize("count", [29, 30])
def test_few_texts_are_said_whoever_wins(count: int) -> None:
    clear = said(("a", runs("a", *[first(count, 30)] * 2)), ("b", runs("b", *[first(2, 30)] * 2)))
    alone = said(("a", runs("a", first(count, 30))))
    level = said(("a", runs("a", *[first(count, 30)] * 2)), ("b", runs("b", *[first(count, 30)] * 2)))
    for sentence in (clear, alone, level):
        assert sentence.startswith("Too few texts to choose by: 30 ") and "More test texts could change" in sentence
    assert "Too few" in said(("a", runs("a", first(150, 199)))) and "Too few" not in said(
        ("a", runs("a", first(150, 200)))
    )


def test_a_choice_that_is_not_told_from_the_commonest_label_says_so() -> None:
    words = "a is not told from answering always with the commonest label, which is right on 72.0 %."
    rows = ("a", runs("a", *[first(300)] * 2, seconds=1)), ("b", runs("b", *[first(100)] * 2))
    assert words in said(*rows, chance=0.72) and words in said(rows[0], chance=0.72)
    assert "commonest" not in said(*rows, chance=0.65)
    assert "commonest" in said(("a", runs("a", *[first(30, 30)] * 2)), chance=0.9), "all right, and yet few"
    assert "commonest" not in said(("a", runs("a", *[first(400)] * 2)), chance=0.9)


def test_a_diverged_run_leaves_the_others() -> None:
    kept = Runs((Cell("train", {}, None, {}),) * 2, (row(right(5), first(300)), diverged()), 0)
    (one,) = standings([("a", kept)], "a", "test")
    assert one.interval.mean == pytest.approx(0.75) and one.seconds == 1


@pytest.mark.parametrize(
    ("others", "words"),
    [(("b",), "these texts cannot tell b from it, which costs as much or more."),
     (("b", "c"), "these texts cannot tell b and c from it, which cost as much or more."),
     (("b", "c", "d"), "these texts cannot tell b, c and d from it, which cost as much or more.")],
)  # fmt: skip
def test_the_best_that_is_cheapest_too_names_those_beside_it(others: tuple[str, ...], words: str) -> None:
    level = [(name, runs(name, *[first(299)] * 2, seconds=9)) for name in others]
    far = ("far", runs("far", *[first(100)] * 2, seconds=0.1))
    sentence = said(("a", runs("a", *[first(300)] * 2, seconds=2)), *level, far)
    assert sentence == f"Choose a: 75.0 % on 400 test texts, for 2.0 s of training, the highest; {words}"


def test_equal_rows_at_equal_cost_are_a_tie() -> None:
    sentence = said(("a", runs("a", *[first(300)] * 2)), ("b", runs("b", *[first(300)] * 2)))
    assert sentence.startswith("Choose a: 75.0 %") and "cannot tell b from it" in sentence


def test_a_baseline_can_win() -> None:
    baseline = runs("TF-IDF", first(380), kind="baseline", seconds=0.04)
    sentence = said(("TF-IDF", baseline), ("a", runs("a", *[first(300)] * 2)))
    assert sentence.startswith("Choose TF-IDF: 95.0 % on 400 test texts, the best; the next, a, has 75.0 %")


def test_one_seed_is_no_spread_and_the_sentence_says_so() -> None:
    baseline = ("TF-IDF", runs("TF-IDF", first(380), kind="baseline"))
    once, twice = ("a", runs("a", first(300))), ("b", runs("b", *[first(300)] * 2))
    assert said(baseline, once).endswith(" Mixers ran with one seed: what another would change is in no interval.")
    assert "one seed" not in said(baseline, twice)
    assert "one seed" not in said(baseline), "a baseline has no seed"


def test_without_test_texts_the_choice_was_made_on_the_same_ones() -> None:
    rows = [(name, runs(name, *[first(n)] * 2, part="evaluation")) for name, n in (("a", 350), ("b", 200))]
    assert said(*rows, part="evaluation").startswith(
        "Choose a: 87.5 % on 400 validation texts, which chose the settings too, the best; the next, b,"
    )


def test_one_row_none_and_those_that_diverged() -> None:
    one = ("TF-IDF", runs("TF-IDF", first(380), kind="baseline"))
    assert said(one) == "Only TF-IDF has results: 95.0 % on 400 test texts."
    assert said(one, diverged=("a",)).endswith(" a had a run that diverged: try a lower learning rate.")
    assert said(one, diverged=("a", "b")).endswith(" a and b had runs that diverged: try a lower learning rate.")
    assert said() == "There are no results yet."


def test_standings_hold_means_leads_costs_and_the_front() -> None:
    rows = [("a", runs("a", first(300), first(200), seconds=10)), ("b", runs("b", first(260), seconds=5)),
            ("worse", runs("worse", first(100), seconds=7)), ("lost", Runs((), (diverged(),), 0))]  # fmt: skip
    found = {one.name: one for one in standings(rows, "a", "test")}
    assert list(found) == ["a", "b", "worse"]
    assert [found[n].on_front for n in found] == [False, True, False], "a: 62.5 % at 10 s; b: 65 % at 5 s"
    assert found["a"].lead is None and found["a"].interval.mean == pytest.approx(0.625)
    lead = found["b"].lead
    assert isinstance(lead, Interval) and lead.mean == pytest.approx(0.025) and lead.low < 0 < lead.high
    assert (found["b"].seconds, found["b"].per_1000) == (5, pytest.approx(0.5)), "0.2 s for 400 texts"


def test_without_the_reference_there_are_no_leads() -> None:
    rows = [("a", Runs((), (diverged(),), 0)), ("b", runs("b", first(260)))]
    assert [one.lead for one in standings(rows, "a", "test")] == [None]


def test_seconds_keep_the_digits_that_tell_something() -> None:
    assert [in_seconds(t) for t in (0.0123, 0.5, 1, 12.34, 99.94, 100, 12345.6)] == [
        "0.012", "0.5", "1.0", "12.3", "99.9", "100", "12,346",
    ]  # fmt: skip
    assert re.fullmatch(r"0", in_seconds(0))

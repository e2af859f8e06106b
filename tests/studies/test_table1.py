"""Tables 1, 3 and 4: three views of the same cells."""

from dataclasses import replace

import pytest

from hypermixer.studies import table1
from hypermixer.studies.study import study
from hypermixer.studies.tasks import SMOKE
from tests.studies.synthetic import DIVERGED, MISSING, filled_by, tables, texts

TITLE = "builtin:nli beside the paper's MNLI (other texts)"
NAMES = ("FNet", "Linear Transformer", "Transformer", "MLPMixer", "gMLP", "HyperMixer")


def result(name, score):
    made = study(name, "smoke")
    found = made.result(filled_by(made.plan, score))
    return found, tables(found)


def leader(tags):
    return 0.9 if tags["row"] == "HyperMixer" else 0.5


def test_summary_of_table_1():
    found, made = result("table1", leader)
    assert found.summary == (
        "HyperMixer is ahead of all others by more than noise on 1 (builtin:nli, test texts) of 1 data sets, and behind"
        " some other on 0. Of 5 comparisons of two models in the paper, these runs confirm 4, contradict 1 and cannot"
        " decide 0."
    )
    assert len(made["Claims"].rows) == 5
    assert texts(made["Parameters in millions"], "FNet") == {"model": "FNet", "paper": "9.5", "builtin:nli": "2.50"}
    others, _ = result("table1", lambda tags: 0.9 if tags["row"] == "gMLP" else 0.5)
    assert others.summary.startswith(
        "HyperMixer is ahead of all others by more than noise on 0 of 1 data sets, and behind some other on 1"
        " (builtin:nli, test texts). Of 5"
    )
    noise, _ = result("table1", lambda tags: 0.51 if tags["row"] == "HyperMixer" else 0.5)
    assert "noise on 0 of 1 data sets, and behind some other on 0. Of 5" in noise.summary
    chosen_by, _ = result("table1", lambda tags: (leader(tags), None))
    assert "(builtin:nli, validation texts)" in chosen_by.summary
    some, _ = result("table1", lambda tags: MISSING if tags["row"] == "FNet" else 0.5)
    assert some.summary.startswith("On no data set can the first place be told: runs are missing, or diverged.")


@pytest.mark.parametrize("name", ["table1", "table3", "table4"])
@pytest.mark.parametrize("score", [MISSING, DIVERGED])
def test_no_numbers_at_all(name, score):
    found, made = result(name, lambda tags: score)
    assert found.summary
    head = made[TITLE].head
    column = next(head.index(h) for h in ("validation, %", "test, %") if h in head)
    words = [texts(made[TITLE], model)[head[column]] for model in NAMES]
    assert set(words) <= {"not run", "diverged", "2 of 2 runs diverged"} and len(set(words)) == 1
    printed = [texts(made[TITLE], model)["paper, %"] for model in NAMES]
    assert None not in printed


def test_table_3_shows_the_best_rate_of_one_seed():
    found, made = result("table3", lambda tags: 0.7 if tags.get("lr") == 3e-4 else 0.6)
    row = texts(made[TITLE], "gMLP")
    assert row["validation, %"] == "70.0" and row["learning rate"] == "0.0003"
    assert row["paper, %"] == "61.5" and row["paper's rate"] == "0.001" and row["difference"] == "+8.5"
    assert row["at the edge of our grid"] == "yes"
    assert "in 6 of 6 cases" in found.summary


def test_table_3_knows_the_inside_of_a_grid(monkeypatch):
    monkeypatch.setitem(table1.SCALES, "smoke", replace(SMOKE, lrs=(1e-3, 5e-4, 2e-4)))
    found, made = result("table3", lambda tags: 0.7 if tags.get("lr") == 5e-4 else 0.6)
    assert texts(made[TITLE], "HyperMixer")["at the edge of our grid"] == "no"
    assert "in 0 of 6 cases" in found.summary


def test_the_screen_has_ours_the_papers_the_difference_and_the_claims():
    found, _ = result("table1", leader)
    accuracy, claims = found.main
    assert accuracy.title == TITLE and claims.title == "Claims" and len(claims.rows) == 5
    row = texts(accuracy, "HyperMixer")
    assert list(row) == ["model", "validation, %", "paper, %", "difference", "within the deviations", "test, %"]
    assert row["validation, %"] == "90.0 (0.00)" and row["difference"] == "+23.8"


@pytest.mark.parametrize("name", ["table3", "table4"])
def test_views_send_to_table_1_for_claims(name):
    found, made = result(name, leader)
    assert "stands with table 1" in str(found.sections[0].body[0]) and found.main == tuple(made.values())


def test_table_3_says_how_much_of_a_grid_is_there():
    found, made = result("table3", lambda tags: MISSING if tags.get("lr") == 3e-4 else 0.5)
    assert texts(made[TITLE], "FNet")["validation, %"] == "1 of 2 runs done"
    assert found.summary == "No grid of learning rates is complete."


def test_table_4_takes_the_lower_of_two_middle_seeds():
    """Of validation 60 and 70 % the median run, the lower of an even number, is the first: 55 % on test."""

    def score(tags):
        if tags["row"] == "HyperMixer" and tags.get("final"):
            return (0.7, 0.45) if tags["seed"] else (0.6, 0.55)
        return (0.6, 0.55) if tags["row"] == "HyperMixer" else (0.5, 0.5)

    found, made = result("table4", score)
    row = texts(made[TITLE], "HyperMixer")
    assert row["test, %"] == "55.0" and row["paper, %"] == "64.9" and row["difference"] == "-9.9"
    assert "ahead of the Transformer's on the test texts of 1 of 1 data sets" in found.summary


def test_table_4_takes_the_middle_of_three_seeds(monkeypatch):
    monkeypatch.setitem(table1.SCALES, "smoke", replace(SMOKE, seeds=(0, 1, 2)))
    by_seed = {0: (0.8, 0.1), 1: (0.6, 0.2), 2: (0.7, 0.3)}
    _, made = result("table4", lambda tags: by_seed[tags["seed"]] if "seed" in tags else 0.5)
    assert texts(made[TITLE], "FNet")["test, %"] == "30.0"


def test_table_4_without_test_texts():
    found, made = result("table4", lambda tags: (0.6, None))
    assert texts(made[TITLE], "FNet")["test, %"] == "no labelled test texts"
    assert found.summary == "On no data set has every mixer the test accuracy of a median seed."

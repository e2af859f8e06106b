"""Figure 4: expected maxima of a random search, by hand for three trials."""

import pytest

from hypermixer.report.page import Page
from hypermixer.studies import figure4
from hypermixer.studies.figure4 import PRINTED, expectation
from hypermixer.studies.study import study
from tests.studies.synthetic import DIVERGED, MISSING, filled_by, tables, texts

STUDY = study("figure4", "smoke")
TITLE = "builtin:nli: expected best validation accuracy"


def score(tags):
    return (0.3, 0.5, 0.6)[tags["trial"]] if tags["row"] == "HyperMixer" else 0.4


def test_expected_maxima_by_hand():
    """Of 30, 50 and 60 %: the best of two draws with replacement is 30 once, 50 thrice and 60 five times in nine."""
    filled = filled_by(STUDY.plan, score)
    found = expectation(filled, row="HyperMixer")
    assert found is not None
    assert found.exact == pytest.approx([140 / 3, (30 + 3 * 50 + 5 * 60) / 9, (30 + 7 * 50 + 19 * 60) / 27])
    assert found.unbiased == pytest.approx([140 / 3, (50 + 60 + 60) / 3, 60])
    assert found.diverged == 0 and (found.band.low <= found.exact).all() and (found.exact <= found.band.high).all()


def test_gains_beside_the_papers():
    found = STUDY.result(filled_by(STUDY.plan, score))
    row = texts(tables(found)[TITLE], "2")
    assert row["HyperMixer, %"] == "53.3" and row["Transformer, %"] == "40.0" and row["gain, %"] == "+33.3"
    assert row["gain, unbiased, %"] == "+41.7" and row["paper's gain, %"] == "+3.5" and row["difference"] == "+29.8"
    assert "is +16.7 % after one trial and +40.7 % after 3" in found.summary


BETTER = "HyperMixer's best of k trials is the better one"


def claims_by(ours, theirs):
    """Where the trials of the two have these accuracies."""
    found = STUDY.result(
        filled_by(STUDY.plan, lambda tags: (ours if tags["row"] == "HyperMixer" else theirs)[tags["trial"]])
    )
    return found, tables(found)["Claims"]


def test_where_the_claims_hold():
    """Of 30, 50 and 60 % beside 40 % thrice one trial decides nothing; of 60 % thrice it does."""
    even, high, mixed = (0.4, 0.4, 0.4), (0.6, 0.6, 0.6), (0.3, 0.5, 0.6)
    for ours, theirs, word in (
        (mixed, even, "cannot be decided"), (high, even, "holds"), (even, high, "does not hold"),
    ):  # fmt: skip
        found, made = claims_by(ours, theirs)
        row = texts(made, BETTER, "k = 1, builtin:nli")
        assert row["in these runs"] == word and row["paper's"] == "+2.2 %"
        assert found.main[-1] == made and len(made.rows) == 4
    found, made = claims_by(mixed, even)
    assert texts(made, BETTER, "k = 1, builtin:nli")["ours"] == "+6.7 points"
    assert texts(made, BETTER, "k = 1, builtin:nli")["95 % interval"] == "-10.0 to +20.0"
    row = texts(made, "HyperMixer's gain is greater after one trial than after all", "1 beside 3, builtin:nli")
    assert row["ours"] == "-24.1 %" and row["paper's"] == "-1.9 %"
    assert f"That {BETTER} holds for k = 1, builtin:nli, k = 2" in claims_by(high, even)[0].summary


def test_trials_are_resampled_together():
    """Both models differ from trial to trial, and by 10 points in every one of them: that is no noise."""
    row = texts(claims_by((0.3, 0.5, 0.6), (0.2, 0.4, 0.5))[1], BETTER, "k = 1, builtin:nli")
    assert row["in these runs"] == "holds" and row["95 % interval"] == "+10.0 to +10.0"


def test_a_diverged_trial_counts_as_the_commonest_label():
    filled = filled_by(STUDY.plan, lambda tags: DIVERGED if tags["trial"] == 0 else 0.5)
    found = expectation(filled, row="HyperMixer")
    assert found is not None and found.diverged == 1 and found.exact[0] == pytest.approx((34 + 50 + 50) / 3)
    made = tables(STUDY.result(filled))
    assert "Diverged: 1 of HyperMixer's trials, 1 of the Transformer's." in made[TITLE].note
    assert texts(made["builtin:nli: all trials"], "0")["HyperMixer, %"] == "diverged"


def test_a_trial_that_is_missing():
    filled = filled_by(STUDY.plan, lambda tags: MISSING if tags["trial"] == 2 else 0.5)
    assert expectation(filled, row="HyperMixer") is None and expectation(filled, row="no such row") is None
    found = STUDY.result(filled)
    made = tables(found)
    assert TITLE not in made and found.summary == "builtin:nli: not all trials are done, the table says which."
    assert texts(made["builtin:nli: all trials"], "2")["Transformer, %"] == "not run"
    nothing = STUDY.result(filled_by(STUDY.plan, lambda tags: MISSING))
    assert len(tables(nothing)["builtin:nli: all trials"].rows) == 3


def test_several_data_sets_have_a_figure_each(monkeypatch):
    from dataclasses import replace

    from hypermixer.studies.tasks import SMOKE

    other = replace(SMOKE.tasks[0], name="other", source="builtin:nli,n=240,seed=1", paper="SNLI")
    monkeypatch.setitem(figure4.SCALES, "smoke", replace(SMOKE, tasks=(SMOKE.tasks[0], other)))
    made = study("figure4", "smoke")
    found = made.result(filled_by(made.plan, score))
    page = Page("t", found.summary, found.sections)
    assert [figure.name for figure in page.figures] == ["random-search-mnli", "random-search-snli"]


def test_both_models_get_the_same_trials():
    cells = STUDY.plan({})
    drawn = {
        row: [(c.config["training"]["lr"], c.config["encoder"]) for c in cells if c.tags["row"] == row]
        for row in ("HyperMixer", "Transformer")
    }
    assert drawn["HyperMixer"] == drawn["Transformer"] and len({lr for lr, _ in drawn["HyperMixer"]}) == 3


def test_numbers_typed_again():
    assert all(len(values) == 20 for values in PRINTED.values())
    assert PRINTED["QNLI"][:6] == (7.3, 11.4, 13.6, 14.7, 15.1, 15.3) and PRINTED["QNLI"][-1] == 10.8
    assert PRINTED["SST"][:4] == (2.9, 1.8, 1.1, 0.8) and PRINTED["SST"][-1] == 0.5
    assert PRINTED["MNLI"][3] == 4.3 and PRINTED["QQP"][0] == 5.1 and PRINTED["SNLI"][:2] == (6.6, 5.9)

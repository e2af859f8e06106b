"""Table 5: ablations beside HyperMixer."""

from hypermixer.studies.study import study
from tests.studies.synthetic import MISSING, filled_by, tables, texts

STUDY = study("table5", "smoke")


def test_claims_and_table():
    found = STUDY.result(filled_by(STUDY.plan, lambda tags: 0.9 if tags["row"] == "HyperMixer" else 0.5))
    assert found.summary == (
        "Of 4 comparisons of two models in the paper, these runs confirm 4, contradict 0 and cannot decide 0."
    )
    made = tables(found)
    names = [row[0] for row in made["Claims"].rows]
    assert names == [
        "HyperMixer above Feature mixing only (token mixing matters)",
        "HyperMixer above Token mixing only (feature mixing matters)",
        "HyperMixer above Shared weight-vector (dynamics matter)",
        "HyperMixer above HyperMixer, untied (tying helps)",
    ]
    accuracy = made["builtin:nli beside the paper's MNLI (other texts)"]
    assert "paper's test, %" not in accuracy.head
    assert texts(accuracy, "Shared weight-vector")["paper, %"] == "57.1 (2.38)"
    assert texts(accuracy, "HyperMixer, untied")["difference"] == "-15.8"


def test_an_ablation_that_is_missing_leaves_the_other_claims():
    filled = filled_by(STUDY.plan, lambda tags: MISSING if tags["row"] == "Token mixing only" else 0.5)
    found = STUDY.result(filled)
    assert "cannot decide 3. 1 lack runs." in found.summary
    assert "Token mixing only: not run" in str(tables(found)["Claims"].rows)

"""Tables of ours beside the paper's, from rows with known accuracies."""

from dataclasses import replace

import pytest

from hypermixer.report.page import Value
from hypermixer.studies.beside_paper import FLOOR, best_of_grid, cells, final, gap, mean, table
from hypermixer.studies.models import ABLATIONS, FNET, HYPERMIXER, MAIN, TRANSFORMER
from hypermixer.studies.paper_texts import heading, own_texts, remark
from hypermixer.studies.tasks import SMOKE
from tests.studies.synthetic import DIVERGED, MISSING, filled_by, texts

TASK = SMOKE.tasks[0]
#: As if the texts were the paper's own.
OWN = replace(TASK, same_data=True, note="")
MNLI = 392_702


def plan(results):
    return cells(SMOKE, MAIN, results)


def scores(tags):
    """HyperMixer: best at 0.0003, 66.0 and 66.5 % on validation there; its second seed is the better one."""
    if tags["row"] != "HyperMixer":
        return 0.5
    if tags["lr"] == 1e-3:
        return 0.6
    return (0.66, 0.70) if tags["seed"] == 0 else (0.665, 0.60)


def test_means_deviations_and_the_difference():
    filled = filled_by(plan, scores, train=MNLI)
    row = texts(table(filled, OWN, MAIN), "HyperMixer")
    assert row["learning rate"] == "0.0003"
    assert row["validation, %"] == "66.2 (0.35)" and row["paper, %"] == "66.2 (0.21)"
    assert row["difference"] == "+0.0" and row["within the deviations"] == "yes"
    assert row["test, %"] == "65.0 (7.07)"
    assert row["test of the best seed, %"] == "60.0" and row["paper's test, %"] == "66.1"
    other = texts(table(filled, OWN, MAIN), "FNet")
    assert other["validation, %"] == "50.0 (0.00)" and other["difference"] == "-9.7"
    assert other["within the deviations"] == "no"


@pytest.mark.parametrize(("first", "second", "within"), [(0.665, 0.67, "yes"), (0.67, 0.675, "no")])
def test_within_means_at_most_both_deviations_together(first, second, within):
    """Ours 0.35, the paper's 0.21: a mean of 66.75 is 0.55 above the paper's 66.2, one of 67.25 is 1.05 above."""

    def score(tags):
        return second if tags["row"] == "HyperMixer" and tags["seed"] else first

    row = texts(table(filled_by(plan, score, train=MNLI), OWN, MAIN), "HyperMixer")
    assert row["within the deviations"] == within, row


def test_of_other_texts_nothing_is_said_of_the_deviations():
    """Neither where they are described as others, nor where a set of the paper's name has another size."""
    for task, train in ((TASK, MNLI), (OWN, 240)):
        made = table(filled_by(plan, scores, train=train), task, MAIN)
        row = texts(made, "HyperMixer")
        assert row["within the deviations"] is None and row["difference"] == "+0.0"
        assert made.title.endswith("(other texts)") and "empty where the texts are not the paper's" in made.note
    assert not table(filled_by(plan, scores, train=MNLI), OWN, MAIN).title.endswith("(other texts)")


def test_the_papers_test_column_is_there_where_the_paper_has_it():
    filled = filled_by(plan, scores)
    assert "paper's test, %" in table(filled, TASK, MAIN).head
    assert "paper's test, %" not in table(filled, TASK, ABLATIONS).head


def test_one_seed_has_no_deviation():
    one = replace(SMOKE, seeds=(0,))
    filled = filled_by(lambda results: cells(one, MAIN, results), scores)
    assert texts(table(filled, TASK, MAIN), "HyperMixer")["validation, %"] == "66.0"


def test_texts_without_a_labelled_test_part():
    filled = filled_by(plan, lambda tags: (0.6, None))
    made = table(filled, TASK, MAIN)
    row = texts(made, "HyperMixer")
    assert row["test, %"] is None and row["test of the best seed, %"] is None
    assert "no labelled test part" in made.note
    assert "no labelled test part" not in table(filled_by(plan, scores), TASK, MAIN).note


def test_what_is_missing_is_said():
    def score(tags):
        if tags["row"] == "HyperMixer" and tags["seed"] == 1:
            return MISSING
        if tags["row"] == "FNet":
            return MISSING
        if tags["row"] == "Transformer" and tags["seed"] == 1:
            return DIVERGED
        return MISSING if tags["row"] == FLOOR else 0.6

    filled = filled_by(plan, score)
    made = table(filled, TASK, MAIN)
    assert texts(made, "HyperMixer")["validation, %"] == "60.0, 1 of 2 runs done"
    assert texts(made, "FNet")["validation, %"] == "not run" == texts(made, "FNet")["test, %"]
    assert texts(made, "FNet")["difference"] is None
    assert texts(made, "Transformer")["validation, %"] == "1 of 2 runs diverged"
    assert texts(made, FLOOR)["validation, %"] == "not run"
    assert gap(final(filled, TASK, "MLPMixer")) == ""


def test_the_column_still_sorts_as_numbers():
    entry = mean(final(filled_by(plan, lambda tags: MISSING), TASK, "FNet"), "evaluation")
    assert isinstance(entry, Value)
    from hypermixer.report.contents import sort_key

    assert sort_key(entry) is None and entry.text == "not run"


def test_the_best_of_a_grid():
    filled = filled_by(plan, scores)
    best = best_of_grid(filled, row="HyperMixer", data=TASK.name, final=None)
    assert best.cell is not None and best.cell.tags["lr"] == 3e-4
    assert best.percent == pytest.approx(66)
    half = filled_by(plan, lambda tags: MISSING if tags.get("lr") == 3e-4 else 0.5)
    entry = best_of_grid(half, row="FNet", data=TASK.name, final=None)
    assert entry.percent is None and isinstance(entry.entry, Value) and entry.entry.text == "1 of 2 runs done"
    failed = filled_by(plan, lambda tags: DIVERGED if tags["row"] == "FNet" else 0.5)
    diverged = best_of_grid(failed, row="FNet", data=TASK.name, final=None)
    assert diverged.percent is None and isinstance(diverged.entry, Value) and diverged.entry.text == "diverged"
    nothing = best_of_grid(filled, row="no such row").entry
    assert isinstance(nothing, Value) and nothing.text == "not run"


def test_a_set_of_the_papers_name_and_another_size_is_not_the_papers():
    task = replace(TASK, paper="QNLI", same_data=True, note="official")
    same, other = (filled_by(plan, lambda tags: 0.5, train=train) for train in (104_743, 23_754))
    assert remark(same, task) == "The paper's own texts: official."
    assert remark(other, task).startswith("Not the paper's QNLI") and "23,754" in remark(other, task)
    assert own_texts(same, task) and not own_texts(other, task) and heading(other, task).endswith("(other texts)")
    for row in same.rows.values():
        row["texts"] = {**row["texts"], "evaluation": {"examples": 5_462}}
    assert "5,462 validation texts, not 5,463" in remark(same, task)
    assert remark(filled_by(plan, lambda tags: MISSING), task) == "The paper's own texts: official."


def test_the_plan_has_the_floor_first_then_grids_then_seeds():
    wanted = plan({})
    assert [cell.tags["row"] for cell in wanted[:3]] == [FLOOR, "FNet", "FNet"]
    assert len(wanted) == 1 + 6 * 2 and not any(cell.tags.get("final") for cell in wanted[1:])
    filled = filled_by(plan, scores)
    seeds = [c.tags["seed"] for c in filled.cells if c.tags.get("final") and c.tags["row"] == "HyperMixer"]
    assert seeds == [0, 1]
    assert {m.variant.name for m in (FNET, TRANSFORMER, HYPERMIXER)} <= {cell.tags["row"] for cell in filled.cells}

"""The page of a comparison against the cells it is made from."""

from collections import Counter
from typing import Any

import numpy as np
import pytest

from hypermixer.costs.statistics import bootstrap_mean
from hypermixer.data.example import Dataset, Example
from hypermixer.data.parts import Parts, parts_of
from hypermixer.report.page import Page, Table, Value, to_dict
from hypermixer.studies.cell import Cell, Row
from hypermixer.studies.compare import Comparison
from hypermixer.studies.compare_data import commonest_share, reported, seen_before
from hypermixer.studies.compare_page import Findings, findings
from hypermixer.studies.fill import Filled
from hypermixer.studies.matching import as_it_is, matched
from tests.studies.comparisons import COMMON, comparison, diverged, filled_by, right, row, seeded


def found(made: Comparison, filled: Filled) -> Findings:
    page = findings(made, [matched(v, made.common) for v in made.variants], filled)
    assert to_dict(Page("title", page.summary, page.sections)), "the page can be built"
    return page


def tables(page: Findings) -> dict[str, Table]:
    return {part.title: part for s in page.sections for part in s.body if isinstance(part, Table)}


def line(table: Table, name: str) -> dict[str, Any]:
    rows = [[e.text if isinstance(e, Value) else e for e in r] for r in table.rows]
    return next(dict(zip(table.head, r, strict=True)) for r in rows if r[0] == name)


def rows(cell: Cell) -> Row | None:
    """hypermixing: 80 and 70 % of the test texts with two seeds, at its best rate of 0.01; attention 60 %."""
    if cell.kind == "baseline":
        cost = {"train_seconds": 0.5, "search_seconds": 3.0, "examples": 60}
        return row(right(100), right(100, seed=9), cost=cost, chosen={"features": "words", "C": 1.0})
    best = cell.tags["lr"] == 0.01
    if cell.tags["row"] == "attention":
        return row(right(250 if best else 260), right(240, seed=3 + cell.tags["seed"]), seconds=40)
    test = right(320 if cell.tags["seed"] == 0 else 280, seed=cell.tags["seed"])
    return row(right(330 if best else 100), test, seconds=20 + 10 * cell.tags["seed"])


MADE = comparison("hypermixing", "attention", lrs=(0.001, 0.01), seeds=(0, 1))


def test_the_main_table_is_made_of_the_cells() -> None:
    filled = filled_by(MADE, rows)
    page = found(MADE, filled)
    table = tables(page)["All models"]
    mine = line(table, "hypermixing")
    final = [c for c in filled.cells if c.tags.get("final") and c.tags["row"] == "hypermixing"]
    measured = [100 * filled.rows[c.key]["metrics"]["test"]["accuracy"] for c in final]
    assert measured == [80.0, 70.0] and mine["test, %"] == "75.0 (7.07)"
    interval = bootstrap_mean(np.stack([right(320, seed=0), right(280, seed=1)]))
    assert mine["95 % interval"] == f"{100 * interval.low:.1f} to {100 * interval.high:.1f}"
    assert mine["at"] == "0.01" and mine["runs"] == "2" and mine["parameters"] == "1,000"
    assert (
        mine["one fit, s"] == "25.0" and mine["1,000 answers, s"] == "0.5" and mine["difference to hypermixing"] is None
    )
    # The grid: 20 s each; the second seed at the best rate: 30 s.
    assert mine["with the search, s"] == "70.0" and mine["macro F1, %"] == "37.5"
    other = line(table, "attention")
    assert other["at"] == "0.001" and other["test, %"] == "60.0 (0.00)" and other["on the front"] == "no"
    assert other["difference to hypermixing"].startswith("-15.0 points, ")
    baseline = line(table, "TF-IDF + logistic regression")
    assert (
        baseline["at"] == "features words, C 1" and baseline["parameters"] is None and baseline["one fit, s"] == "0.5"
    )
    assert baseline["with the search, s"] == "3.0"
    assert "on 400 test texts" in table.note and "flatters" not in table.note
    assert "Always the commonest label: " in table.note and "above 0 is better than hypermixing" in table.note
    assert page.summary.startswith("Choose hypermixing: 75.0 % on 400 test texts, the best; the next, attention,")


def test_programs_and_the_screen_have_the_same_numbers() -> None:
    page = found(MADE, filled_by(MADE, rows))
    assert page.record["part"] == "test"
    baseline, mine, other = page.record["rows"]
    assert [r["model"] for r in page.record["rows"]] == ["TF-IDF + logistic regression", "hypermixing", "attention"]
    assert mine["accuracy"] == pytest.approx(0.75) and mine["deviation"] == pytest.approx(0.0707, abs=1e-4)
    assert mine["interval"][0] < 0.75 < mine["interval"][1] and mine["lead"] is None and mine["runs"] == 2
    assert (mine["train_seconds"], mine["parameters"], mine["on_front"]) == (25.0, 1000, True)
    assert other["lead"]["points"] == pytest.approx(-0.15) and other["lead"]["high"] < 0
    assert baseline["deviation"] is None and baseline["parameters"] is None
    assert (mine["search_seconds"], baseline["search_seconds"]) == (70.0, 3.0) and mine["macro_f1"] == 0.375
    assert page.record["commonest_share"] == commonest_share(reported(MADE, "test"))
    assert page.table.head == (
        "model", "test, %", "95 % interval", "difference to hypermixing", "runs", "one fit, s", "with the search, s",
        "on the front",
    )  # fmt: skip
    assert line(page.table, "hypermixing")["test, %"] == "75.0 (7.07)"


def test_every_point_that_was_tried() -> None:
    tried = tables(found(MADE, filled_by(MADE, rows)))["Learning rates and layouts"]
    assert [tuple(e.text if isinstance(e, Value) else e for e in r) for r in tried.rows] == [
        ("hypermixing", "0.001", "pre", "25.0"), ("hypermixing", "0.01", "pre", "82.5"),
        ("attention", "0.001", "pre", "65.0"), ("attention", "0.01", "pre", "62.5"),
    ]  # fmt: skip


def test_without_test_texts_the_table_says_what_that_means() -> None:
    made = comparison("none")
    page = found(made, filled_by(made, lambda cell: row(right(200))))
    table = tables(page)["All models"]
    assert table.head[1] == "validation, %" and "flatters all" in table.note and page.record["part"] == "validation"
    assert "validation texts, which chose the settings too" in page.summary


def losing(*seeds: int):
    def some(cell: Cell) -> Row:
        lost = cell.tags["row"] == "none" and cell.tags.get("seed") in seeds
        return diverged() if lost else seeded(cell, 200)

    return some


def test_a_mixer_whose_runs_all_diverged_has_words_where_numbers_would_be() -> None:
    made = comparison("none", "shift", seeds=(0, 1))
    page = found(made, filled_by(made, losing(0, 1)))
    assert line(tables(page)["All models"], "none")["test, %"] == "2 of 2 runs diverged"
    assert line(tables(page)["All models"], "shift")["difference to none"] is None, "there is nothing to hold against"
    assert "none had a run that diverged" in page.summary
    assert page.record["rows"][1] == {"model": "none", "runs": 2, "diverged": 2, "accuracy": None}


def test_one_diverged_seed_leaves_the_mean_of_the_others() -> None:
    made = comparison("none", "shift", seeds=(0, 1, 2))
    page = found(made, filled_by(made, losing(1)))
    row = line(tables(page)["All models"], "none")
    assert row["test, %"] == "50.0 (0.00)" and row["runs"] == "1 of 3 diverged" and row["one fit, s"] == "1.0"
    assert row["with the search, s"] == "3.0", "two runs of a second, and all of the one that diverged"
    assert line(tables(page)["All models"], "shift")["difference to none"] is not None
    assert "none had a run that diverged" in page.summary
    plain = page.record["rows"][1]
    assert (plain["runs"], plain["diverged"], plain["accuracy"]) == (3, 1, 0.5)


def test_data_and_settings_are_told() -> None:
    made = comparison("none", lrs=(1e-3, 1e-2), seeds=(3, 4))

    def cut(cell: Cell) -> Row:
        made_by_hand = seeded(cell, 200)
        made_by_hand["cost"] |= {"cut": 7, "evaluation_cut": 0}
        made_by_hand["metrics"]["test"]["cut"] = 2
        return made_by_hand

    table = tables(found(made, filled_by(made, cut)))["Data and settings"]
    told = {r[0]: r[1].text if isinstance(r[1], Value) else r[1] for r in table.rows}
    parts = parts_of(made.texts)
    assert parts.test is not None
    assert told["source"] == "builtin:nli,n=60" and told["training texts"] == "60 of builtin:nli,n=60, split train"
    assert str(told["test texts"]).startswith(f"{len(parts.test)} of ")
    counts = Counter(e.label for e in parts.test.examples)
    for label, count in counts.items():
        assert f"{label} {100 * count / len(parts.test):.1f} %" in str(told["labels, test"])
    assert told["texts cut"] == "training 7, validation 0, test 2"
    assert {name: told[name] for name in list(told)[8:]} == {
        "tokens of a text, at most": "512", "vocabulary": "60 entries at most", "epochs, at most": "1",
        "batches": "64 texts", "learning rates": "0.001, 0.01", "warm-up, part of the steps": "0.06",
        "weight decay": "0.01", "patience, evaluations": "3",
        "steps between evaluations in an epoch, about": "1,000", "dropout": "0.1", "seeds": "3, 4", "layout": "pre",
    }  # fmt: skip
    assert commonest_share(parts.test) == max(counts.values()) / len(parts.test)


def test_texts_that_training_has_seen_are_counted() -> None:
    def data(*rows: tuple[str, str | None]) -> Dataset:
        return Dataset.of("t", [Example(*row, "x", "t") for row in rows])

    train = data(("a", None), ("b", None), ("c", "d"))
    said = seen_before(Parts(train, data(("a", None), ("a", None), ("e", None)), data(("c", None), ("c", "d"))))
    assert said == [
        "Of 3 validation texts, 2 stand in the training texts, too: remembering is enough there.",
        "Of 2 test texts, 1 stand in the training texts, too: remembering is enough there.",
    ]
    assert seen_before(Parts(train, data(("e", None)), None)) == []


def test_a_grid_that_time_cut_short_shows_its_best_so_far_and_says_so() -> None:
    page = found(MADE, filled_by(MADE, lambda cell: None if cell.tags.get("lr") == 0.01 else rows(cell)))
    table = tables(page)["All models"]
    assert line(table, "hypermixing")["test, %"] == "80.0" and line(table, "hypermixing")["at"] == "0.001"
    assert "the best so far stands here: hypermixing 1 of 2, attention 1 of 2." in table.note
    assert "one seed" in page.summary


def test_runs_that_are_missing_are_counted() -> None:
    page = found(MADE, filled_by(MADE, lambda c: None if c.tags.get("final") and c.tags.get("seed") == 1 else rows(c)))
    assert line(tables(page)["All models"], "hypermixing")["runs"] == "1 of 2"


def test_nothing_is_there_yet() -> None:
    page = found(MADE, filled_by(MADE, lambda cell: None))
    assert page.summary == "There are no results yet."
    assert line(tables(page)["All models"], "hypermixing")["validation, %"] == "not run"


def test_conditions_are_those_of_the_settings() -> None:
    made = comparison("hypermixing", "none", layouts=("pre", "post"))
    matches = [matched(made.variants[0], COMMON), as_it_is(made.variants[1], COMMON, "--no-match was given")]
    page = findings(made, matches, filled_by(made, lambda cell: seeded(cell, 200)))
    text = page.sections[-1].body[0]
    assert isinstance(text, str) and all(one.startswith("- ") for one in text.split("\n"))
    assert "trained on the training texts; texts are cut at 512 tokens" in text
    assert "layers: 1, width: 16, dropout: 0.1, the layout that suits each mixer best" in text
    assert "Batches of 64 texts, epochs: 1 at most" in text
    assert f"hypermixing: {matches[0].ratio:.2f} of attention's parameters" in text
    assert "none: 0.00 of attention's parameters in mixing (--no-match was given, so it is not matched)." in text

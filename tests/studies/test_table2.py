"""Table 2: counts of examples beside the paper's."""

from hypermixer.studies.fill import Filled
from hypermixer.studies.study import study
from tests.studies.synthetic import tables, texts

STUDY = study("table2", "smoke")


def result(examples):
    cells = list(STUDY.plan({}))
    rows = {} if examples is None else {cells[0].key: {"outcome": "done", "examples": examples}}
    return STUDY.result(Filled(cells, rows))


def test_counts_and_a_part_that_a_set_has_not():
    found = result({"train": 1234, "evaluation": 20})
    row = texts(tables(found)["Examples of each part"], "builtin:nli")
    assert row["training"] == "1,234" and row["validation"] == "20" and row["test"] is None
    assert row["paper's training"] == "392,702" and row["paper's test"] == "9,796" and row["stands for"] == "MNLI"
    assert found.summary == "0 of 1 data sets have the paper's own training and validation texts."


def test_nothing_counted():
    row = texts(tables(result(None))["Examples of each part"], "builtin:nli")
    assert row["training"] == row["validation"] == row["test"] == "not counted"
    assert row["paper's validation"] == "9,815"

"""Table 2: counts of examples beside the paper's."""

import gzip
import json
from pathlib import Path

import pytest

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
    assert row["difference in training"] == "-391,468" and row["difference in test"] is None


def counted(examples):
    """The paper's SST, with so many texts."""
    made = study("table2", "full")
    cells = [cell for cell in made.plan({}) if cell.tags["data"] == "SST-2"]
    return made.result(Filled(cells, {cells[0].key: {"outcome": "done", "examples": examples}}))


@pytest.fixture
def sst(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A set of that name, so that its cell has a key; the counts are the tests' own."""
    folder = tmp_path / "sst2"
    folder.mkdir()
    for split in ("train", "validation", "test"):
        rows = [{"text": f"{split} {n}", "label": "ab"[n % 2]} for n in range(4)]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{split}.jsonl.gz").write_bytes(gzip.compress(text.encode()))
    monkeypatch.setenv("HYPERMIXER_DATA", str(tmp_path))


@pytest.mark.usefixtures("sst")
def test_whose_the_texts_are_follows_from_the_counts():
    same = counted({"train": 67_349, "evaluation": 872})
    assert same.summary.startswith("1 of 5 data sets have the paper's own") and "4 are not counted" in same.summary
    for examples in ({"train": 6_920, "evaluation": 872}, {"train": 67_349, "evaluation": 871}):
        found = counted(examples)
        assert found.summary.startswith("0 of 5 data sets have the paper's own")
        row = texts(tables(found)["Examples of each part"], "SST-2")
        assert row["what it is"] == "not the paper's SST: another number of texts"


def test_the_screen_has_the_counts():
    (shown,) = result({"train": 1234, "evaluation": 20}).main
    assert texts(shown, "builtin:nli")["difference in validation"] == "-9,795"


def test_nothing_counted():
    row = texts(tables(result(None))["Examples of each part"], "builtin:nli")
    assert row["training"] == row["validation"] == row["test"] == "not counted"
    assert row["paper's validation"] == "9,815"

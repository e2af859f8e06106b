"""hypermixer reproduce: every study at the smoke scale by the real command, bad requests, and Ctrl-C."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from hypermixer.report.contents import MISSING
from hypermixer.studies.study import STUDIES
from tests.cli.test_bad_input import refused

#: Numbers of the paper that stand on each page.
ON_THE_PAGE = {
    "table1": ("66.2 (0.21)", "65.4 (0.51)", "66.1"),
    "table2": ("392,702", "9,815", "9,796"),
    "table3": ("66.5", "0.0001", "61.5"),
    "table4": ("64.9", "62.9", "58.8"),
    "table5": ("54.5 (0.25)", "59.0 (0.79)", "57.1 (2.38)"),
    "table6": ("65.7", "56.8", "35.5"),
    "figure2": ("4.63", "7.16", "0.67"),
    "figure3": ("+7.6", "+1.4"),
    "figure4": ("+2.2", "+3.5", "+4.1"),
    "products": (),
    "convert": (),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Where each study goes: tables 3 and 4 into table 1's folder."""
    root = tmp_path_factory.mktemp("studies")
    return {name: root / ("table1" if name in ("table3", "table4") else name) for name in STUDIES}


@pytest.mark.parametrize("name", STUDIES)
def test_smoke(command, folders, name):
    out = folders[name]
    if out.name != name:
        command("reproduce", out.name, "--scale", "smoke", "--out", out)
    result = command("reproduce", name, "--scale", "smoke", "--out", out, "--json")
    assert result.code == 0, result.err
    said = json.loads(result.out)
    assert (said["ran"] == 0) == (name in ("table3", "table4")) and said["cells"] > 0
    page = (out / "report.md").read_text(encoding="utf-8")
    assert all(f" {number} " in page for number in ON_THE_PAGE[name])
    assert "## What differs from the paper" in page and "Failed" not in page and "not there yet" not in page
    assert not re.search(r"\b(nan|inf|None)\b", page)
    assert page.index("## What differs") < page.index("\n| ") < page.index("## How this was run")
    assert f"hypermixer reproduce {name} --scale smoke --out" in page
    html = (out / "report.html").read_text(encoding="utf-8")
    assert all(number in html for number in ON_THE_PAGE[name]) and said["summary"].split("'")[0] in html
    assert len(list((out / "cells").glob("*.json"))) == said["cells"]
    assert result.err == "", "a program reads along"
    shown = said["tables"]
    assert shown and all(row for table in shown for row in table["rows"])
    assert (shown[-1]["title"] == "Claims") == (name not in ("table2", "table3", "table4", "products", "convert"))
    tables = [part for s in json.loads((out / "report.json").read_text())["sections"] for part in s["body"]]
    assert any(part["kind"] == "table" and part["rows"] for part in tables)
    assert all(row[0]["text"] != MISSING for part in tables if part["kind"] == "table" for row in part["rows"])


def test_run_again_and_in_words(command, folders):
    """After `test_smoke`, or by itself: what is done is not run again."""
    call = ("reproduce", "table2", "--scale", "smoke", "--out", folders["table2"])
    command(*call)
    again = command(*call)
    assert again.code == 0 and again.err == ""
    assert "0 of 1 data sets" in again.out and "cells: 1, of which run now: 0." in again.out


def test_the_screen_and_programs_have_the_main_tables(command, tmp_path):
    call = ("reproduce", "table2", "--scale", "smoke", "--out", tmp_path / "out")
    first = command(*call)
    assert "[1/1] builtin:nli" in first.err
    title, head, row, empty, summary, *_ = first.out.splitlines()
    assert title == "Examples of each part" and empty == "" and summary.startswith("0 of 1 data sets")
    assert head.split()[:3] == ["data", "set", "training"] and "difference in validation" in head
    assert row.split()[0] == "builtin:nli" and "392,702" in row
    (table,) = json.loads(command(*call, "--json").out)["tables"]
    (record,) = table["rows"]
    assert table["title"] == title and record["paper's training"] == {"text": "392,702", "value": 392702}
    ours, less = record["training"]["value"], record["difference in training"]["value"]
    assert 0 < ours <= 240 and less == ours - 392702 and f"{ours:.0f}" in row


def test_the_folder_is_named_from_here(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "results" / "a table"
    assert command("reproduce", "table2", "--scale", "smoke", "--out", out).code == 0
    page = (out / "report.md").read_text(encoding="utf-8")
    assert "hypermixer reproduce table2 --scale smoke --out 'results/a table'\n" in page
    assert str(tmp_path) not in page


def test_reuse_takes_finished_cells(command, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    assert command("reproduce", "table2", "--scale", "smoke", "--out", first).code == 0
    result = command("reproduce", "table2", "--scale", "smoke", "--out", second, "--reuse", first, "--json")
    assert json.loads(result.out)["ran"] == 0
    assert f"--reuse {first}" in (second / "report.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["tabel1"], ["'tabel1'", "'table1'"]),
        (["table7"], ["'table7'", "table6"]),
        (["table2", "--scale", "smal"], ["--scale smal", "'small'"]),
        (["table2", "--scale", "smoke", "--workers", "0"], ["--workers", "0"]),
        (["table2", "--scale", "smoke", "--workers", "10000"], ["--workers 10000", "cores"]),
        (["table2", "--scale", "smoke", "--engine", "rai"], ["--engine rai", "'ray'"]),
        (["table2", "--scale", "smoke", "--reuse", "nowhere"], ["--reuse nowhere"]),
        (["table2", "--scal", "smoke"], ["--scal", "--scale"]),
    ],
)
def test_bad_requests(command, tmp_path, arguments, names):
    refused(command("reproduce", *arguments, "--out", tmp_path / "out"), *names)
    assert not (tmp_path / "out").exists()


def test_folders_that_are_taken(command, tmp_path):
    out = tmp_path / "out"
    assert command("reproduce", "table2", "--scale", "smoke", "--out", out).code == 0
    before = (out / "report.html").read_bytes()
    refused(command("reproduce", "table5", "--scale", "smoke", "--out", out), "--out", "table2", "table5")
    refused(command("reproduce", "table2", "--scale", "small", "--out", out), "--out", "smoke", "small")
    assert (out / "report.html").read_bytes() == before
    (tmp_path / "file").write_text("x")
    refused(command("reproduce", "table2", "--scale", "smoke", "--out", tmp_path / "file"), "--out", "file")
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").write_text("x")
    refused(command("reproduce", "table2", "--scale", "smoke", "--out", other), "--out", "other")


def test_ctrl_c_keeps_what_is_done(tmp_path):
    out = tmp_path / "out"
    code = "import sys; from hypermixer.cli import main; sys.exit(main())"
    arguments = ["reproduce", "table6", "--scale", "smoke", "--out", str(out)]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    try:
        while len(list(out.glob("cells/*.json"))) < 2 and process.poll() is None:
            time.sleep(0.05)
        assert process.poll() is None, "it ended before it could be stopped"
        process.send_signal(signal.SIGINT)
        told, said = process.communicate(timeout=60)
    finally:
        process.kill()
    kept = len(list(out.glob("cells/*.json")))
    assert process.returncode == 1 and told == ""
    last = said.splitlines()[-1]
    assert last.startswith("Stopped; ") and f"finished cells: {kept}," in last and "run it again" in last
    assert "Traceback" not in said and not (out / "report.html").exists()

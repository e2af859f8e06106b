"""`hypermixer compare` as its user sees it: one small comparison, run again, stopped, and asked for what cannot be."""

import csv
import io
import json
import os
import random
from pathlib import Path
from types import SimpleNamespace

import optuna
import pytest

from hypermixer.cli.app import run
from hypermixer.cli.cells import _Progress, fitting
from hypermixer.studies import engines
from hypermixer.studies.cell import Cell
from tests.cli.conftest import write_csv

TINY = ["--layers", "1", "--d-model", "16", "--epochs", "1", "--batch-size", "16", "--device", "cpu",
        "--set", "encoder.intermediate_size=16", "--set", "tokens.vocab_size=60"]  # fmt: skip
NLI = "builtin:nli,n=60"


def labelled(path: Path, rows: int, seed: int) -> Path:
    """Texts in a file with tabs, and labels that a page must not take for its own."""
    draw = random.Random(seed)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter="\t")
        writer.writerow(["text", "label"])
        for number in range(rows):
            label = "<script>alert(1)</script>" if number % 2 else "a | b"
            word = draw.choice(["yes", "oh"]) if number % 2 else "no"
            writer.writerow([f"{word}, film {number} of {seed}", label])
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> SimpleNamespace:
    """One comparison with learning curves and a search."""
    folder = tmp_path_factory.mktemp("compared")
    train, test = labelled(folder / "train.tsv", 80, 1), labelled(folder / "test.tsv", 30, 2)
    arguments = ["compare", str(train), "--test", str(test), "--mixers", "hypermixing,none",
                 "--out", str(folder / "out"), "--seeds", "2", "--lr", "1e-3,1e-2", "--baselines", "tfidf",
                 "--cost", "d,h", "--fractions", "50", "--trials", "2", *TINY]  # fmt: skip
    assert run(arguments) == 0
    return SimpleNamespace(out=folder / "out", arguments=arguments, train=train, test=test)


def cells(out: Path) -> list[dict]:
    return [json.loads(path.read_text()) for path in (out / "cells").glob("*.json")]


def test_the_folder_holds_the_page_in_three_forms_and_every_cell(made) -> None:
    there = {path.name for path in made.out.iterdir()}
    assert {"report.html", "report.md", "report.json", "cells", "search.db"} <= there
    # 2 of the baseline; 2 mixers with 2 rates, a further seed, half of the texts with 2 seeds, 2 trials
    assert len(cells(made.out)) == 2 + 2 * (2 + 1 + 2 + 2)
    page = json.loads((made.out / "report.json").read_text())
    assert [s["title"] for s in page["sections"]] == [
        "Accuracy and cost", "What was tried", "D: what training texts are worth", "H: what tuning costs",
        "Equal conditions", "How this was run",
    ]  # fmt: skip
    html = (made.out / "report.html").read_text()
    assert "<script>alert" not in html
    study = optuna.load_study(study_name="none", storage=f"sqlite:///{made.out / 'search.db'}")
    assert len(study.trials) == 2


def test_the_numbers_of_the_page_are_those_of_the_cells(made) -> None:
    page = json.loads((made.out / "report.json").read_text())
    table = next(part for part in page["sections"][0]["body"] if part["kind"] == "table")
    shown = {row[0]["text"]: row[1]["value"] for row in table["rows"]}
    assert list(shown) == ["TF-IDF + logistic regression", "hypermixing", "none"]
    whole = [c for c in cells(made.out) if c["texts"]["train"]["examples"] == 72]
    (baseline,) = [c for c in whole if c["kind"] == "baseline"]
    assert shown["TF-IDF + logistic regression"] == 100 * baseline["metrics"]["test"]["accuracy"]
    for mixer in ("hypermixing", "none"):
        runs = [c for c in whole if c["kind"] == "train" and c["config"]["mixer"]["name"] == mixer
                and "hidden_dropout_prob" not in c["config"]["encoder"]["options"]]  # fmt: skip
        first = [c for c in runs if c["config"]["runtime"]["seed"] == 0]
        assert len(first) == 2 and len(runs) == 3
        best = max(first, key=lambda c: (c["metrics"]["evaluation"]["accuracy"], -c["metrics"]["evaluation"]["loss"]))
        final = [c for c in runs if c["config"]["training"]["lr"] == best["config"]["training"]["lr"]]
        assert shown[mixer] == pytest.approx(sum(100 * c["metrics"]["test"]["accuracy"] for c in final) / 2)


def test_all_models_had_the_same_texts(made) -> None:
    contents = {json.dumps(c["texts"], sort_keys=True) for c in cells(made.out)}
    assert len(contents) == 2, "all of them, and half of them"
    assert {c["config"]["tokens"]["max_length"] for c in cells(made.out) if c["kind"] == "train"} == {512}


def test_run_again_it_does_nothing_and_says_the_same(made, command) -> None:
    again = command(*made.arguments)
    assert again.code == 0 and again.err == ""
    assert "cells: 16, of which run now: 0." in again.out
    head, *rows = again.out.splitlines()[:4]
    assert head.split()[0] == "model" and [row.split()[0] for row in rows] == ["TF-IDF", "hypermixing", "none"]
    assert json.loads((made.out / "report.json").read_text())["summary"] in again.out


def test_a_program_gets_one_line_with_the_results(made, command) -> None:
    result = command(*made.arguments, "--json")
    assert result.code == 0 and result.err == "" and len(result.out.splitlines()) == 1
    said = json.loads(result.out)
    assert (said["out"], said["cells"], said["ran"], said["left_out"]) == (str(made.out), 16, 0, 0)
    assert said["part"] == "test" and said["notes"] == []
    assert [row["model"] for row in said["rows"]] == ["TF-IDF + logistic regression", "hypermixing", "none"]
    assert all(row["interval"][0] <= row["accuracy"] <= row["interval"][1] for row in said["rows"])
    assert all(row["train_seconds"] > 0 for row in said["rows"])


def test_the_page_is_opened_where_there_are_windows(made, command, monkeypatch) -> None:
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr("sys.platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    assert command(*made.arguments, "--open").code == 0 and opened == []
    monkeypatch.setenv("DISPLAY", ":0")
    assert command(*made.arguments).code == 0 and opened == []
    assert command(*made.arguments, "--open").code == 0
    assert opened == [(made.out / "report.html").as_uri()]


def test_another_folder_takes_cells_that_are_done(made, command, tmp_path) -> None:
    arguments = [str(tmp_path / "new") if a == str(made.out) else a for a in made.arguments]
    result = command(*arguments, "--reuse", made.out, "--json")
    assert json.loads(result.out)["ran"] == 0


def test_each_cell_is_told_where_no_person_watches_and_nothing_to_a_program(command, tmp_path) -> None:
    arguments = ["compare", NLI, "--mixers", "none", "--seeds", "1", "--baselines", "tfidf", *TINY]
    plain = command(*arguments, "--out", tmp_path / "a")
    lines = plain.err.splitlines()
    assert len(lines) == 2 and lines[0].startswith("[1/2] TF-IDF + logistic regression, 100 % of the texts: ")
    assert lines[1].startswith("[2/2] none, lr 0.0005, seed 0: ") and " % in " in lines[1]
    assert "One learning rate, 0.0005, was tried" in plain.out
    quiet = command(*arguments, "--out", tmp_path / "b", "--json")
    assert quiet.code == 0 and quiet.err == "" and json.loads(quiet.out)["ran"] == 2


def test_a_person_sees_one_line_with_what_is_left_and_the_best(monkeypatch, tmp_path) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("sys.stderr", screen)
    assert run(["compare", NLI, "--mixers", "none,shift", "--seeds", "1", "--baselines", "tfidf", *TINY, "--json",
                "--out", str(tmp_path / "out")]) == 0  # fmt: skip
    shown = screen.getvalue().split("\r\x1b[K")
    assert "\n" not in screen.getvalue() and shown[-1] == "", "the line is taken away in the end"
    assert any("[2/3, about " in line and " left] " in line and "; best so far " in line for line in shown), shown


def test_a_stop_says_what_is_kept_and_the_next_run_goes_on(command, tmp_path, monkeypatch) -> None:
    arguments = ["compare", NLI, "--mixers", "none,shift", "--seeds", "1", "--baselines", "tfidf", *TINY]
    there, begun = engines.run_here, []

    def stopped(cell):
        begun.append(cell)
        if len(begun) == 3:
            raise KeyboardInterrupt
        return there(cell)

    with monkeypatch.context() as patched:
        patched.setattr(engines, "run_here", stopped)
        result = command(*arguments, "--out", tmp_path / "out")
    assert result.code == 1 and "Traceback" not in result.err
    last = result.err.splitlines()[-1]
    assert last == f"Stopped; finished cells: 2, kept in {tmp_path / 'out' / 'cells'}; run it again to go on."
    again = command(*arguments, "--out", tmp_path / "out", "--json")
    assert json.loads(again.out)["ran"] == 1


def test_a_budget_says_on_screen_and_page_what_it_leaves_out(command, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("hypermixer.studies.budget.expected_run", lambda whole, variant, threads: 300.0)
    monkeypatch.setattr("hypermixer.studies.budget.expected_baseline", lambda whole, name: 0.0)
    arguments = ["compare", NLI, "--mixers", "none,shift", "--lr", "1e-3,1e-2", "--cost", "e", "--baselines", "tfidf",
                 *TINY]  # fmt: skip
    result = command(*arguments, "--budget", "15m", "--out", tmp_path / "out")
    assert result.code == 0 and "cells: 3, of which run now: 3." in result.out
    page = (tmp_path / "out" / "report.md").read_text()
    for said in ("learning rates and layouts tried: 1 of 2.", "seeds run: 1 of 3.", "costs left out: e."):
        assert f"To keep the budget, {said}" in result.out and f"To keep the budget, {said}" in page
    assert {c["config"]["training"]["lr"] for c in cells(tmp_path / "out") if c["kind"] == "train"} == {1e-3}
    small = command(*arguments, "--budget", "9m", "--out", tmp_path / "other")
    assert small.code == 2 and "--budget: 9 min is too little" in small.err and "take about 10 min" in small.err
    assert not (tmp_path / "other").exists(), "nothing was begun"


def test_a_refused_budget_begins_nothing_in_a_folder_that_is_there(made, command, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("hypermixer.studies.budget.expected_run", lambda whole, variant, threads: 300.0)
    (tmp_path / "out").mkdir()
    monkeypatch.setattr(engines, "run_here", lambda cell: pytest.fail("work was begun"))
    arguments = ["compare", NLI, "--mixers", "none", "--baselines", "tfidf", *TINY, "--out", tmp_path / "out"]
    result = command(*arguments, "--budget", "3m")
    assert result.code == 2 and "--budget: 3 min is too little" in result.err
    again = command(*made.arguments, "--budget", "1m", "--json")
    assert again.code == 0 and json.loads(again.out)["ran"] == 0, "what is there takes no time"


def test_time_that_runs_out_still_gives_a_page(command, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("hypermixer.studies.budget.expected_run", lambda whole, variant, threads: 50.0)
    there = engines.run_here

    def slow(cell):
        monkeypatch.setattr("hypermixer.studies.budget.Budget.left", 20.0)  # the baseline took longer than expected
        return there(cell)

    monkeypatch.setattr(engines, "run_here", slow)
    result = command("compare", NLI, "--mixers", "none", "--baselines", "tfidf", *TINY, "--out", tmp_path / "out",
                     "--budget", "90s")  # fmt: skip
    assert result.code == 0 and "For want of time, cells left out: 1." in result.out, result
    assert "Only TF-IDF" in (tmp_path / "out" / "report.md").read_text()


def test_measuring_has_the_threads_of_a_cell(command, tmp_path, monkeypatch) -> None:
    seen = []
    monkeypatch.setattr("hypermixer.cores.cores", lambda: 6)
    monkeypatch.setattr("hypermixer.studies.budget.expected_run", lambda whole, v, threads: seen.append(threads) or 9e9)
    command("compare", NLI, "--mixers", "none", "--baselines", "tfidf", *TINY, "--out", tmp_path / "out",
            "--budget", "9m", "--workers", "3")  # fmt: skip
    assert seen == [2]


def test_a_limit_of_one_mixer_holds_for_all(command, tmp_path) -> None:
    result = command("compare", NLI, "--mixers", "none,gmlp:max_length=12", "--seeds", "1", "--baselines", "tfidf",
                     *TINY, "--out", tmp_path / "out", "--no-match", "--json")  # fmt: skip
    said = json.loads(result.out)
    assert said["notes"][0] == "All texts are cut at 12 tokens, the most that gmlp:max_length=12 takes."
    trained = [c for c in cells(tmp_path / "out") if c["kind"] == "train"]
    assert {c["config"]["tokens"]["max_length"] for c in trained} == {12}
    assert "--no-match was given" in (tmp_path / "out" / "report.md").read_text()


def test_the_device_is_what_cells_can_see(command, tmp_path, monkeypatch) -> None:
    seen, there = [], engines.run_here

    def looked(cell):
        seen.append(os.environ.get("CUDA_VISIBLE_DEVICES"))
        return there(cell)

    monkeypatch.setattr(engines, "run_here", looked)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    result = command(
        "compare", NLI, "--mixers", "none", "--seeds", "1", "--baselines", "tfidf", *TINY, "--out", tmp_path / "o"
    )
    assert result.code == 0 and set(seen) == {""} and "CUDA_VISIBLE_DEVICES" not in os.environ


def test_a_folder_that_holds_something_else_is_left_alone(made, command, tmp_path) -> None:
    other = write_csv(tmp_path / "other.csv", 40, seed=3)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("dear")
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "study.json").write_text('{"study": "table1", "scale": "small"}')
    for out, names in (
        (other, ["--out", "file"]),
        (tmp_path / "full", ["--out", "not empty"]),
        (tmp_path / "study", ["--out", "table1", "compare"]),
        (made.out, ["--out", "train.tsv", "other.csv"]),
    ):
        result = command("compare", other, "--mixers", "none", "--out", out, *TINY)
        assert result.code == 2 and all(name in result.err for name in names), result.err
        assert len(result.err.splitlines()) == 1
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["letter.txt"]


def test_a_folder_is_told_by_the_content_of_its_data(command, tmp_path, monkeypatch) -> None:
    write_csv(tmp_path / "odd.csv", 40, seed=3)
    monkeypatch.chdir(tmp_path)
    arguments = ["--mixers", "none", "--seeds", "1", "--baselines", "tfidf", *TINY, "--out", "out", "--json"]
    assert command("compare", "odd.csv", *arguments).code == 0
    again = command("compare", "./odd.csv", *arguments)
    assert again.code == 0 and json.loads(again.out)["ran"] == 0
    assert command("compare", "odd.csv", *arguments, "--limit", "20").code == 0, "a part of the same texts"
    write_csv(tmp_path / "odd.csv", 40, seed=4)
    other = command("compare", "odd.csv", *arguments)
    assert other.code == 2 and "--out out" in other.err


def test_cells_that_were_set_aside_and_texts_seen_before_are_in_the_notes(command, tmp_path) -> None:
    train = tmp_path / "train.csv"
    train.write_text("text,label\n" + "".join(f"a {w} film,{w}\n" for w in ("good", "bad")) * 20)
    out = tmp_path / "out"
    arguments = ["compare", train, "--test", train, "--mixers", "none", "--seeds", "1", "--baselines", "tfidf", *TINY,
                 "--lr", "1e-3,1e-2", "--out", out]  # fmt: skip
    first = json.loads(command(*arguments, "--json").out)
    assert first["notes"] == [
        "Of 4 validation texts, 4 stand in the training texts, too: remembering is enough there.",
        "Of 40 test texts, 40 stand in the training texts, too: remembering is enough there.",
    ]
    next((out / "cells").glob("*.json")).write_text("{")
    again = json.loads(command(*arguments, "--json").out)
    said = "Damaged or edited cells, set aside and run anew: 1; see the page."
    assert again["ran"] == 1 and said in again["notes"]
    assert said in command(*arguments).out


@pytest.mark.parametrize("width", [200, 80, 60, 40, 10])
def test_a_narrow_line_keeps_the_best(width: int) -> None:
    best = "; best so far hypermixing 81.2 %"
    shown = fitting("[12/345", ", about 12 min left] ", "hypermixing:tied=false, lr 0.001, seed 0", best, width)
    assert len(shown) <= width and shown.startswith("[12/345"[:width])
    assert shown.endswith(best) == (width >= 60 or width == 41), shown
    assert ("…" in shown) == (width == 80)
    assert ("seed 0" in shown) == (width == 200)


def test_time_left_is_told_from_cells_of_the_same_kind() -> None:
    progress = _Progress(quiet=True)
    baseline, first, second, third = (Cell(kind, {"n": n}) for n, kind in enumerate(["baseline", *["train"] * 3]))
    progress(baseline, None, 0, 11)
    progress(baseline, {"seconds": 500.0}, 1, 11)
    assert progress._left(first) == "" and progress._left(baseline) == ", about 83 min left"
    for cell in (first, second):
        progress(cell, None, 1, 11)
    progress(first, {"seconds": 10.0}, 2, 11)
    progress(third, None, 2, 11)
    assert progress._left(third) == ", about 45 s left", "nine of ten seconds, two at a time"


def test_the_help_page_names_everything(command) -> None:
    shown = command("compare", "--help").out
    for name in ("--mixers", "--budget", "--cost", "--workers", "min_gru", "default: 10,25,50", "default: 3"):
        assert name in " ".join(shown.split()), name

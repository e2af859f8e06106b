"""What README.md says is what the files of rows hold, of several machines too."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import readme

Document = dict[str, Any]

START, END = "<!-- results: ", "<!-- end of results -->"


def put(folder: Path, document: Document, **changes: Any) -> Document:
    made = copy.deepcopy(document)
    for key, value in changes.items():
        if key in ("slug", "device"):
            made["machine"][key] = value
        elif key == "torch":
            made["machine"]["versions"]["torch"] = value
        else:
            made[key] = value
    for row in made["rows"]:
        row["dtype"] = made["dtype"]
    here = made["machine"]
    (folder / f"layer-{here['slug']}-torch{here['versions']['torch']}-{made['dtype']}.json").write_text(
        json.dumps(made)
    )
    return made


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(readme, "RESULTS", tmp_path)
    monkeypatch.setattr(readme, "ACCURACY", tmp_path / "absent.json")
    return tmp_path


def test_machines_newest_first_and_dtypes_in_order(folder: Path, document: Document) -> None:
    put(folder, document, dtype="bfloat16")
    put(folder, document)
    put(folder, document, slug="b-chip", date="2026-03-01T00:00:00")
    put(folder, document, slug="b-chip", torch="2.9.0", date="2026-02-01T00:00:00")
    put(folder, document, slug="old", format=1, date="2027-01-01T00:00:00")
    found = [
        [(d["machine"]["slug"], d["machine"]["versions"]["torch"], d["dtype"]) for d in g] for g in readme.machines()
    ]
    assert found == [
        [("b-chip", "2.13.0", "float32")],
        [("a-chip", "2.13.0", "float32"), ("a-chip", "2.13.0", "bfloat16")],
    ]


def test_the_newest_machine_stands_open_and_the_others_fold(folder: Path, document: Document) -> None:
    put(folder, document)
    put(folder, document, slug="b-chip", device="B Chip", date="2026-03-01T00:00:00")
    text = readme.body()
    assert text.index("layer-b-chip-torch2.13.0.svg") < text.index("<details><summary>A Chip, torch 2.13.0")
    assert text.count("<details>") == 1 and text.count(".svg") == 1


def test_rendering_twice_changes_nothing_and_keeps_the_rest(folder: Path, document: Document) -> None:
    put(folder, document)
    text = (
        f"before\n{START}made by a program -->\nold\n{END}\nafter\n<!-- parameters: x -->\n<!-- end of parameters -->\n"
    )
    once = readme.render(text)
    assert readme.render(once) == once
    assert once.startswith(f"before\n{START}made by a program -->\n") and f"{END}\nafter\n<!-- parameters: x" in once
    assert "\nold\n" not in once and "| attention | 10,977,792 | 1,579,008 | 11 |" in once


def test_the_summary_holds_every_ratio(folder: Path, document: Document) -> None:
    text = readme.summary([put(folder, document)])
    for row in document["rows"]:
        if row["contender"] == "hypermixing" and row["tied"]:
            line = next(x for x in text.splitlines() if x.startswith(f"| float32 | {row['pass']} | {row['heads']} |"))
            assert f" {row['ratio_to_attention']['median']:.2f} |" in line


def test_the_page_holds_every_row_target_and_skipped_peer(folder: Path, document: Document) -> None:
    made = put(folder, document, skipped=[{"name": "x_transformers", "reason": "not installed"}])
    text = readme.page([made])
    assert "Not measured: x_transformers: not installed" in text and "over the official order" in text
    assert sum(line.startswith(("| forward |", "| forward+backward |")) for line in text.splitlines()) == len(
        made["rows"]
    )


def test_write_makes_figure_page_and_readme(folder: Path, document: Document, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    made = put(folder, document)
    target = folder / "README.md"
    target.write_text(f"{START}x -->\n{END}\n")
    monkeypatch.setattr(readme, "DOCUMENTS", (target,))
    readme.write()
    assert (folder / f"{readme.stem([made])}.svg").exists() and (folder / f"{readme.stem([made])}.md").exists()
    assert readme.render(target.read_text()) == target.read_text()


def test_steps_of_the_machine_measured_last(folder: Path) -> None:
    row = {
        "case": "sst2", "contender": "attention, 8 heads", "steps": 3, "packed": 0, "ms": {"median": 12.3},
        "tokens_per_second": 4567.8, "x_attention": 1.0, "wanted": None,
    }  # fmt: skip
    for name, day, speed in (("a", "2026-01-01", 1111.0), ("b", "2026-02-01", 2222.0)):
        surroundings = {"device": name, "threads": 2, "precision": "bf16", "versions": {"torch": "2.13.0"}}
        document = {"date": day, "environment": surroundings, "rows": [row | {"tokens_per_second": speed}]}
        (folder / f"training-{name}.json").write_text(json.dumps(document))
    text = readme.body()
    assert text.startswith("**Training steps of whole classifiers on b**\n") and "2,222" in text and "1,111" not in text


def test_accuracies_of_table_1(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "results" / "table1" / "report.json"
    path.parent.mkdir(parents=True)
    monkeypatch.setattr(readme, "ACCURACY", path)
    monkeypatch.setattr(readme, "ROOT", folder)
    cell = {"text": "81.5 (0.3)", "value": 81.5}
    tables = [
        {"kind": "table", "title": title, "head": ["model", "validation, %"], "rows": [[{"text": name}, cell]]}
        for title, name in (("SST-2", "FNet"), ("QNLI", "gMLP"))
    ]
    sections = [
        {"title": "What differs from the paper", "body": [{"kind": "text", "text": "- One epoch."}]},
        {"title": "Accuracy", "body": [{"kind": "text", "text": "Read on."}, *tables]},
    ]
    path.write_text(json.dumps({"title": "Table 1", "summary": "Ahead on one.", "sections": sections}))
    text = readme.body()
    assert "Ahead on one." in text and "results/table1/report.md" in text
    assert "*SST-2*" in text and "| FNet | 81.5 (0.3) |" in text and "gMLP" not in text

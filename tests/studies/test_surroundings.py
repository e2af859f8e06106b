"""The last section of a page: what is not on it, and how to have it again."""

from pathlib import Path
from typing import Any

from hypermixer.studies.cell import Row
from hypermixer.studies.fill import Filled
from hypermixer.studies.folder import Folder
from hypermixer.studies.surroundings import surroundings
from tests.studies.samples import cell, row


def ran(seconds: float, threads: int = 1, **more: Any) -> Row:
    machine = {"device": "Chip 9", "threads": threads, "versions": {"torch": "2.13", "python": "3.11.7"}}
    return row(**{"kind": "counts", "machine": machine, "seconds": seconds, **more})


def said(filled: Filled, folder: Folder, *notes: str) -> str:
    section = surroundings(filled, folder, ["compare", "my file.csv", "--lr", "1e-3"], notes)
    assert section.title == "How this was run"
    assert all(isinstance(part, str) and part for part in section.body)
    return "\n".join(str(part) for part in section.body)


def test_where_and_how_long(tmp_path: Path) -> None:
    folder = Folder(tmp_path, {"study": "x"})
    cells = [cell(n) for n in range(3)]
    same = Filled(cells, {c.key: ran(50.0) for c in cells})
    text = said(same, folder)
    assert "3 cells took 2 minutes of running time" in text and "cannot be compared" not in text
    assert "- 3 cells on Chip 9, threads: 1, torch 2.13, Python 3.11.7" in text
    assert "    hypermixer compare 'my file.csv' --lr 1e-3" in text
    assert all(word not in text for word in ("there yet", "left out", "Failed", "other code", "Set aside"))
    same.rows[cells[0].key] = ran(7200.0, 2, kind="train", environment={"precision": "bf16"})
    same.rows[cells[1].key] = ran(50.0, kind="layer", environment={"precision": "fp32"})
    text = said(same, folder)
    assert "2.0 hours" in text and "cannot be compared" in text
    assert "- 2 cells on" in text and "- 1 cell on Chip 9, threads: 2, torch" in text
    assert "Mixers were trained in bf16." in text


def test_what_is_not_there(tmp_path: Path) -> None:
    folder = Folder(tmp_path, {"study": "x"})
    cells = [cell(n) for n in range(5)] + [cell(0, final=True)]
    folder.write(cell(17), row())
    (folder.cells / f"{cells[0].key}.json").write_text("{")
    folder.read(cells[0])
    filled = Filled(cells, {cells[0].key: ran(1.0)}, failed=[(cells[1], "No memory."), (cells[2], "No memory.")])
    filled.left_out = [cells[3], cells[4]]
    text = said(filled, Folder(tmp_path, {"study": "x"}), "Shorter than the paper's.")  # a later run says it, too
    assert text.startswith("- Shorter than the paper's.")
    assert "- 4 of 5 cells that are known to be wanted are not there yet." in text
    assert "- For want of time 2 cells were left out." in text
    assert text.count("- Failed: No memory.") == 1
    assert "- 1 cell in this folder is of other code, data or settings: kept, and not on this page." in text
    assert f"- Set aside and run anew: {cells[0].key}.json: is cut short or no cell." in text


def test_nothing_at_all(tmp_path: Path) -> None:
    text = said(Filled([cell(0)]), Folder(tmp_path, {"study": "x"}))
    assert "1 of 1 cells" in text and "running time" not in text

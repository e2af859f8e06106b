"""A folder of cells: whole files, checked when read; nothing of others is mixed in or lost."""

import errno
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hypermixer.errors import InputError, WorkError
from hypermixer.studies import cell_file
from hypermixer.studies.folder import Folder
from tests.studies.samples import cell, row

STUDY = {"study": "table1", "scale": "small"}


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "out", STUDY)


def file_of(folder: Folder, number: int) -> Path:
    return folder.path / "cells" / f"{cell(number).key}.json"


def test_what_is_read_is_what_was_written(folder: Folder) -> None:
    assert folder.read(cell(1)) is None
    awkward = row(1 / 3, more={10: (1, 2), 9: "ä\n"}, nothing=None, least=5e-324)
    written = folder.write(cell(1), awkward)
    assert written["more"] == {"10": [1, 2], "9": "ä\n"} and written["config"] == {"number": 1}
    assert folder.read(cell(1)) == written == Folder(folder.path, STUDY).read(cell(1))
    assert folder.read(cell(2)) is None and folder.set_aside == []
    assert [path.name for path in folder.cells.iterdir()] == [f"{cell(1).key}.json"]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda text: text[: len(text) // 2], "cut short"),
        (lambda text: "", "cut short"),
        (lambda text: "[1, 2]", "no cell"),
        (lambda text: "7", "no cell"),
        (lambda text: '{"key": 1}', "no cell"),
        (lambda text: text.replace("0.25", "0.99"), "edited"),
        (lambda text: text.replace('"format": 1', '"format": 0'), "format 0"),
        (lambda text: text.replace(cell(1).key, cell(2).key), "another cell"),
    ],
)
def test_damaged_files_are_set_aside(folder: Folder, damage, reason: str) -> None:
    folder.write(cell(1), row(0.25))
    path = file_of(folder, 1)
    for time in range(2):
        damaged = damage(path.read_text())
        path.write_text(damaged)
        assert folder.read(cell(1)) is None and not path.exists()
        kept = folder.path / "set-aside" / f"{cell(1).key}-{time}.json"
        assert kept.read_text() == damaged
        assert len(folder.set_aside) == time + 1 and reason in folder.set_aside[time]
        assert path.name in folder.set_aside[time]
        folder.write(cell(1), row(0.25))
    assert folder.read(cell(1)) is not None


def test_what_was_set_aside_is_never_written_over(folder: Folder) -> None:
    for number in (1, 2, 2):
        file_of(folder, number).write_text(f"{number}")
        folder.read(cell(number))
    (folder.path / "set-aside" / f"{cell(1).key}-0.json").unlink()
    file_of(folder, 2).write_text("third")
    folder.read(cell(2))
    assert sorted(p.read_text() for p in (folder.path / "set-aside").iterdir()) == ["2", "2", "third"]


def test_what_earlier_runs_set_aside_is_told(folder: Folder) -> None:
    folder.write(cell(1), row(0.25))
    path = file_of(folder, 1)
    path.write_text(path.read_text().replace("0.25", "0.75"))
    assert folder.read(cell(1)) is None
    file_of(folder, 2).write_text("{")
    assert folder.read(cell(2)) is None
    later = Folder(folder.path, STUDY)
    said = [f"{cell(1).key}.json: was edited after it was written", f"{cell(2).key}.json: is cut short or no cell"]
    assert later.set_aside == sorted(said) == folder.set_aside
    (folder.path / "set-aside" / f"{cell(2).key}-0.json").unlink()
    assert later.set_aside == said[:1]


def test_a_damaged_file_that_cannot_be_set_aside(folder: Folder) -> None:
    file_of(folder, 1).write_text("{")
    (folder.path / "set-aside").write_text("a file")
    with pytest.raises(WorkError, match=r"cells: File exists; 1 finished cells are kept"):
        folder.read(cell(1))


def test_bytes_that_are_no_text(folder: Folder) -> None:
    file_of(folder, 1).write_bytes(b"\xff\xfe\x00")
    assert folder.read(cell(1)) is None and "cut short" in folder.set_aside[0]


def test_set_aside_by_another_process_meanwhile(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    file_of(folder, 1).write_text("{")
    read = Path.read_text

    def gone(path: Path, *args, **kwargs) -> str:
        text = read(path, *args, **kwargs)
        path.unlink()
        return text

    monkeypatch.setattr(Path, "read_text", gone)
    assert folder.read(cell(1)) is None and folder.set_aside == []


def test_other_cells_are_kept_and_counted(folder: Folder) -> None:
    for number in (1, 2, 3):
        folder.write(cell(number), row())
    assert folder.others([cell(1), cell(9)]) == sorted(f"{cell(n).key}.json" for n in (2, 3))
    assert folder.others([cell(n) for n in (1, 2, 3)]) == []
    assert len(list(folder.cells.iterdir())) == 3


def test_another_study(folder: Folder) -> None:
    with pytest.raises(InputError, match="holds study table1, scale small, and this is study table1, scale full"):
        Folder(folder.path, {**STUDY, "scale": "full"})
    (folder.path / "study.json").write_text("[1]")
    with pytest.raises(InputError, match="holds something else"):
        Folder(folder.path, STUDY)
    (folder.path / "study.json").write_bytes(b'{"study\xff')
    with pytest.raises(InputError, match=r"study\.json: is damaged; remove it \(cells are kept\)"):
        Folder(folder.path, STUDY)


def test_a_study_that_was_removed_is_written_anew(folder: Folder) -> None:
    folder.write(cell(1), row())
    (folder.path / "study.json").unlink()
    for name in ("report.html", "report.md", "report.json", "search.db", "search.db-journal"):
        (folder.path / name).write_text("")
    for name in ("figures", "set-aside"):
        (folder.path / name).mkdir()
    assert Folder(folder.path, STUDY).read(cell(1)) is not None
    assert json.loads((folder.path / "study.json").read_text()) == STUDY
    (folder.path / "study.json").unlink()
    (folder.path / "thesis.tex").write_text("mine")
    with pytest.raises(InputError, match="is not empty and holds no study"):
        Folder(folder.path, STUDY)


def test_a_page_without_cells_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "report.md").write_text("mine")
    with pytest.raises(InputError, match="is not empty and holds no study"):
        Folder(tmp_path, STUDY)
    assert [path.name for path in tmp_path.iterdir()] == ["report.md"]


def test_data_is_told_by_content_not_by_name(tmp_path: Path) -> None:
    study = {"study": "compare", "data": "a.csv", "content": {"train": "12ab"}}
    Folder(tmp_path, study)
    Folder(tmp_path, {**study, "data": "./a.csv"})
    assert json.loads((tmp_path / "study.json").read_text()) == study
    other = {**study, "content": {"train": "34cd"}}
    with pytest.raises(
        InputError, match=r"holds study compare, data a\.csv, with other texts behind that name; choose"
    ):
        Folder(tmp_path, other)
    with pytest.raises(InputError, match=r"holds study compare, data a\.csv, and this is study compare, data b\.csv;"):
        Folder(tmp_path, {**other, "data": "b.csv"})
    for wrong in ({**study, "study": "table1"}, {"study": "compare", "data": "a.csv"}):
        with pytest.raises(InputError, match=r"--out .*: holds study compare, data a\.csv, "):
            Folder(tmp_path, wrong)
    Folder(tmp_path / "named", {"data": "a.csv"})
    with pytest.raises(InputError, match=r"holds data a\.csv, and this is data b\.csv"):
        Folder(tmp_path / "named", {"data": "b.csv"})


def test_a_study_is_the_same_after_it_was_written(tmp_path: Path) -> None:
    study = {"mixers": ("none", "fnet"), "lrs": {1: 0.1}}
    Folder(tmp_path, study)
    assert Folder(tmp_path, study).cells.is_dir()


def test_places_that_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match=r"--out .*file: .*is a file"):
        Folder(tmp_path / "file", STUDY)
    with pytest.raises(InputError, match=r"--out .*file/deeper: .*is not a directory"):
        Folder(tmp_path / "file" / "deeper", STUDY)
    with pytest.raises(InputError, match="is not empty and holds no study"):
        Folder(tmp_path, STUDY)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]  # nothing was left there

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(InputError, match=r"--out .*new: cannot be written \(Read-only file system\)"):
        Folder(tmp_path / "new", STUDY)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a place where nobody can write: /proc")
def test_a_place_where_nobody_can_write() -> None:
    with pytest.raises(InputError, match=r"--out /proc/out: cannot be written"):
        Folder(Path("/proc/out"), STUDY)


def test_an_empty_folder_and_one_whose_beginning_was_killed(tmp_path: Path) -> None:
    (tmp_path / ".study.json.4711").write_text('{"stu')
    Folder(tmp_path, STUDY).write(cell(1), row())
    (tmp_path / "locks").rmdir()
    assert Folder(tmp_path, STUDY).read(cell(1))


def test_many_may_begin_at_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        for n in range(20):
            folders = list(pool.map(lambda _, n=n: Folder(tmp_path / f"{n}", STUDY), range(8)))
            assert all(folder.cells.is_dir() for folder in folders)

            def begin(scale: int, n: int = n) -> bool:
                try:
                    Folder(tmp_path / f"other-{n}", {"scale": scale})
                except InputError as error:
                    return "holds scale" not in str(error)
                return True

            assert sum(pool.map(begin, range(8))) == 1


def test_a_full_disk(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.write(cell(1), row())

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("hypermixer.whole_file.os.fsync", full)
    with pytest.raises(WorkError, match=r"No space left on device; 1 finished cells are kept, run the command again"):
        folder.write(cell(2), row())
    assert [path.name for path in folder.cells.iterdir()] == [f"{cell(1).key}.json"]
    with pytest.raises(WorkError, match="No space left"):
        Folder(folder.path, STUDY, [copy_of(folder, folder.path.parent / "copy", 2)]).read(cell(2))
    with pytest.raises(InputError, match=r"cannot be written \(No space left on device\)"):
        Folder(folder.path.parent / "new", STUDY)


def test_writers_on_several_machines_do_not_meet(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two machines may give their processes the same number."""
    replace, names = Path.replace, set()

    def seen(path: Path, target: Path) -> Path:
        names.add(path.name)
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", seen)
    for _ in range(2):
        folder.write(cell(1), row())
    assert len(names) == 2 and all(name.startswith(".") and not name.endswith(".json") for name in names)


def test_a_lock_that_cannot_be_made(folder: Folder) -> None:
    (folder.path / "locks").rmdir()
    (folder.path / "locks").write_text("a file")
    with pytest.raises(WorkError, match=r"cells: .*; 0 finished cells are kept"):
        folder.lock(cell(1))


def copy_of(folder: Folder, path: Path, number: int) -> Path:
    """Another folder with one cell, written without `os.fsync`."""
    (path / "cells").mkdir(parents=True)
    content = {"format": 1, "key": cell(number).key, **row(0.75)}
    (path / "cells" / f"{cell(number).key}.json").write_text(
        json.dumps({**content, "checksum": cell_file.checksum(content)})
    )
    return path


def test_cells_of_another_folder_are_taken(folder: Folder, tmp_path: Path) -> None:
    other = copy_of(folder, tmp_path / "other", 1)
    damaged = other / "cells" / f"{cell(2).key}.json"
    damaged.write_text("{")
    taking = Folder(tmp_path / "taking", STUDY, [folder.path, other])
    taken = taking.read(cell(1))
    assert taken is not None and taken["metrics"]["evaluation"]["accuracy"] == 0.75
    assert taking.read(cell(2)) is None and taking.set_aside == [] and damaged.exists()
    assert Folder(taking.path, STUDY).read(cell(1)) == taken  # it is there now
    with pytest.raises(InputError, match=r"--reuse .*nowhere: holds no cells"):
        Folder(tmp_path / "taking", STUDY, [tmp_path / "nowhere"])


def test_a_lock_is_for_one_and_ends_with_its_process(folder: Folder) -> None:
    script = (
        "import sys\nfrom filelock import FileLock\n"
        "lock = FileLock(sys.argv[1]).acquire()\nprint('held', flush=True)\nsys.stdin.read()"
    )
    arguments = [sys.executable, "-c", script, str(folder.path / "locks" / cell(1).key)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        assert folder.lock(cell(1)) is None
        mine = folder.lock(cell(2))
        assert mine is not None
        assert Folder(folder.path, STUDY).lock(cell(2)) is None
        mine.release()
        other.kill()
        other.wait()
    lock = folder.lock(cell(1))
    assert lock is not None
    lock.release()

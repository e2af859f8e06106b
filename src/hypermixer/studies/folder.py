"""A folder of cells: one file each, written whole or not at all, checked when read; another study's is refused."""

import json
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

from filelock import FileLock

from hypermixer.errors import InputError, WorkError
from hypermixer.studies.cell import Cell, Row
from hypermixer.studies.cell_file import FORMAT, checked, checksum
from hypermixer.studies.locks import Claim, Locks
from hypermixer.whole_file import write_whole

_STUDY = "study.json"
_BEGINNING = ".study.json.lock"
#: What stands in a folder of cells beside them and the study: where all is of this kind, the study may be written anew.
_OURS = re.compile(r"cells|locks|set-aside|figures|report\.(html|md|json)|search\.db(-.+)?|\.(report|DS_Store).*")


class Folder:
    """Where the cells of one study lie.

    Args:
        path: made where it is not there yet.
        study: which study these cells belong to: plain values. Where there is a `content`, it tells the data, and
            `data` is words for people.
        reuse: folders whose finished cells are taken where they are the same cells.

    Raises:
        InputError: `path` holds another study, something else, or cannot be written.
    """

    def __init__(self, path: Path, study: dict[str, Any], reuse: Sequence[Path] = ()) -> None:
        self.path, self.cells = path, path / "cells"
        for other in reuse:
            if not (other / "cells").is_dir():
                raise InputError(f"--reuse {other}: holds no cells.")
        self._elsewhere = [other / "cells" for other in reuse]
        self._locks = Locks(path / "locks")
        try:
            # As it will be read: a list is a list, whatever sequence it was.
            self._enter(json.loads(json.dumps(study)))
        except NotADirectoryError as error:
            raise InputError(f"--out {path}: {error.filename} is not a directory.") from error
        except FileExistsError as error:
            raise InputError(f"--out {path}: {error.filename} is a file.") from error
        except OSError as error:
            raise InputError(f"--out {path}: cannot be written ({error.strerror}).") from error

    def _enter(self, study: dict[str, Any]) -> None:
        record = self.path / _STUDY
        self.path.mkdir(parents=True, exist_ok=True)
        if self._holds_something_else():
            raise InputError(f"--out {self.path}: is not empty and holds no study; choose another directory.")
        if not record.exists():
            with FileLock(self.path / _BEGINNING):  # of two processes that begin at once, one writes
                if not record.exists():
                    write_whole(record, json.dumps(study, indent=1) + "\n")
        try:
            there = json.loads(record.read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError(f"{record}: is damaged; remove it (cells are kept) or choose another --out.") from error
        if _told(there) != _told(study):
            held, wanted = _named(there), _named(study)
            but = f"and this is {wanted}" if held != wanted else "with other texts behind that name"
            raise InputError(f"--out {self.path}: holds {held}, {but}; choose another directory.")
        self.cells.mkdir(exist_ok=True)
        self._locks.path.mkdir(exist_ok=True)

    def _holds_something_else(self) -> bool:
        # In this order: another process makes its folders after it has written the record.
        there = [path for path in self.path.iterdir() if not path.name.startswith(f".{_STUDY}")]
        ours = self.cells.is_dir() and all(_OURS.fullmatch(path.name) for path in there)
        return bool(there) and not ours and not (self.path / _STUDY).exists()

    @property
    def set_aside(self) -> list[str]:
        """Cells that were damaged or edited, each with the reason, in this run or an earlier one."""
        found = []
        for path in sorted((self.path / "set-aside").glob("*-*.json")):
            key = path.stem.rpartition("-")[0]
            reason = checked(path.read_text(encoding="utf-8", errors="replace"), key)[1]
            found.append(f"{key}.json: {reason or 'was damaged'}")
        return found

    def read(self, cell: Cell) -> Row | None:
        """The row of a cell, None where it is not there; a file that is not as it was written is set aside.

        Raises:
            WorkError: as `write`, of a row that is taken from another folder, or a file that is set aside.
        """
        path = self._file(cell.key)
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return self._taken(cell)
        row, reason = checked(text, cell.key)
        if reason:
            try:
                self._move_aside(path)
            except OSError as error:
                raise self._full(error) from error
        return row

    def _move_aside(self, path: Path) -> None:
        aside = self.path / "set-aside"
        aside.mkdir(exist_ok=True)
        names = (aside / f"{path.stem}-{number}.json" for number in count())
        with suppress(FileNotFoundError):  # another process did it
            path.replace(next(name for name in names if not name.exists()))

    def _taken(self, cell: Cell) -> Row | None:
        """The row of a cell from another folder, kept in this one from now on; None where none has it whole."""
        for folder in self._elsewhere:
            path = folder / self._file(cell.key).name
            row = checked(path.read_text(encoding="utf-8", errors="replace"), cell.key)[0] if path.exists() else None
            if row is not None:
                return self._keep(cell, row)
        return None

    def write(self, cell: Cell, row: Row) -> Row:
        """Keep a row; what is returned is what was written.

        Raises:
            WorkError: the disk is full or the folder cannot be written; other cells are kept.
        """
        content = {"format": FORMAT, "key": cell.key, "kind": cell.kind, **cell.identity, **row}
        content = json.loads(json.dumps(content))  # as it will be read: names are texts, sequences lists
        return self._keep(cell, {**content, "checksum": checksum(content)})

    def _keep(self, cell: Cell, whole: Row) -> Row:
        try:
            write_whole(self._file(cell.key), json.dumps(whole, indent=1) + "\n")
        except OSError as error:
            raise self._full(error) from error
        return whole

    def lock(self, cell: Cell) -> Claim | None:
        """The right to run a cell, as `Locks.claim`; None where it must wait for another process.

        Raises:
            WorkError: as `write`.
        """
        try:
            return self._locks.claim(cell.key, cell.alone)
        except OSError as error:
            raise self._full(error) from error

    def _full(self, error: OSError) -> WorkError:
        kept = sum(1 for _ in self.cells.glob("*.json"))
        return WorkError(
            f"{self.cells}: {error.strerror}; {kept} finished cells are kept, run the command again to go on."
        )

    def others(self, cells: Iterable[Cell]) -> list[str]:
        """Files of cells that are none of these: of other code, data or settings."""
        known = {cell.key for cell in cells}
        return sorted(path.name for path in self.cells.glob("*.json") if path.stem not in known)

    def _file(self, key: str) -> Path:
        return self.cells / f"{key}.json"


def _told(study: Any) -> Any:
    """A study without what is words for people."""
    if not isinstance(study, dict) or "content" not in study:
        return study
    return {name: value for name, value in study.items() if name != "data"}


def _named(study: Any) -> str:
    if not isinstance(study, dict):
        return "something else"
    return ", ".join(f"{name} {value}" for name, value in study.items() if name != "content")

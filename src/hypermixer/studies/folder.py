"""A folder of cells: one file each, written whole or not at all, checked when read; another study's is refused."""

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from hypermixer.errors import InputError, WorkError
from hypermixer.studies.cell import Cell, Row

_STUDY = "study.json"
_BEGINNING = ".study.json.lock"
FORMAT = 1


class Folder:
    """Where the cells of one study lie.

    Args:
        path: made where it is not there yet.
        study: which study these cells belong to: plain values.
        reuse: folders whose finished cells are taken where they are the same cells.

    Attributes:
        set_aside: files that were damaged or edited, each with the reason.

    Raises:
        InputError: `path` holds another study, something else, or cannot be written.
    """

    def __init__(self, path: Path, study: dict[str, Any], reuse: Sequence[Path] = ()) -> None:
        self.path, self.cells = path, path / "cells"
        for other in reuse:
            if not (other / "cells").is_dir():
                raise InputError(f"--reuse {other}: holds no cells.")
        self._elsewhere = [other / "cells" for other in reuse]
        self.set_aside: list[str] = []
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
                    _write_whole(record, json.dumps(study, indent=1) + "\n")
        try:
            there = json.loads(record.read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError(f"{record}: is damaged; choose another --out, or remove the file.") from error
        if there != study:
            raise InputError(f"--out {self.path}: holds {_named(there)}, and this is {_named(study)}.")
        self.cells.mkdir(exist_ok=True)
        (self.path / "locks").mkdir(exist_ok=True)

    def _holds_something_else(self) -> bool:
        # In this order: another process makes its folders after it has written the record.
        there = [path for path in self.path.iterdir() if not path.name.startswith(f".{_STUDY}")]
        return bool(there) and not (self.path / _STUDY).exists()

    def read(self, cell: Cell) -> Row | None:
        """The row of a cell, None where it is not there; a file that is not as it was written is set aside.

        Raises:
            WorkError: as `write`, of a row that is taken from another folder.
        """
        path = self._file(cell.key)
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return self._taken(cell)
        row, reason = _checked(text, cell.key)
        if reason:
            self._set_aside(path, reason)
        return row

    def _set_aside(self, path: Path, reason: str) -> None:
        aside = self.path / "set-aside"
        aside.mkdir(exist_ok=True)
        names = (aside / f"{path.stem}-{number}.json" for number in count())
        with suppress(FileNotFoundError):  # another process did it
            path.replace(next(name for name in names if not name.exists()))
            self.set_aside.append(f"{path.name}: {reason}")

    def _taken(self, cell: Cell) -> Row | None:
        """The row of a cell from another folder, kept in this one from now on; None where none has it whole."""
        for folder in self._elsewhere:
            path = folder / self._file(cell.key).name
            row = _checked(path.read_text(encoding="utf-8", errors="replace"), cell.key)[0] if path.exists() else None
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
        return self._keep(cell, {**content, "checksum": _checksum(content)})

    def _keep(self, cell: Cell, whole: Row) -> Row:
        try:
            _write_whole(self._file(cell.key), json.dumps(whole, indent=1) + "\n")
        except OSError as error:
            raise self._full(error) from error
        return whole

    def lock(self, cell: Cell) -> FileLock | None:
        """The right to run a cell, to be released; None where another process has it. It ends with the process.

        Raises:
            WorkError: as `write`.
        """
        lock = FileLock(self.path / "locks" / cell.key)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            return None
        except OSError as error:
            raise self._full(error) from error
        return lock

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


def _checked(text: str, key: str) -> tuple[Row | None, str]:
    """A row and nothing, or nothing and what is wrong with it."""
    try:
        row = json.loads(text)
    except ValueError:
        row = None
    if not isinstance(row, dict) or "checksum" not in row:
        return None, "is cut short or no cell"
    checksum = row.pop("checksum")
    if row.get("key") != key:
        return None, "belongs to another cell"
    if row.get("format") != FORMAT:
        return None, f"has format {row.get('format')}, this version writes {FORMAT}"
    if checksum != _checksum(row):
        return None, "was edited after it was written"
    return row | {"checksum": checksum}, ""


def _checksum(row: Row) -> str:
    return hashlib.sha256(json.dumps(row, sort_keys=True).encode()).hexdigest()


def _write_whole(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _named(study: Any) -> str:
    if not isinstance(study, dict):
        return "something else"
    return ", ".join(f"{name} {value}" for name, value in study.items())

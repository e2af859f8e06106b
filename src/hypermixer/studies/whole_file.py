"""Files that are written whole or not at all, and that tell whether they are as they were written."""

import hashlib
import json
import os
from pathlib import Path
from uuid import uuid4

from hypermixer.studies.cell import Row

#: Of a cell's file.
FORMAT = 1


def checked(text: str, key: str) -> tuple[Row | None, str]:
    """The row in the text of a cell's file and nothing, or nothing and what is wrong with it."""
    try:
        row = json.loads(text)
    except ValueError:
        row = None
    if not isinstance(row, dict) or "checksum" not in row:
        return None, "is cut short or no cell"
    written = row.pop("checksum")
    if row.get("key") != key:
        return None, "belongs to another cell"
    if row.get("format") != FORMAT:
        return None, f"has format {row.get('format')}, this version writes {FORMAT}"
    if written != checksum(row):
        return None, "was edited after it was written"
    return row | {"checksum": written}, ""


def checksum(row: Row) -> str:
    """SHA-256 (hexadecimal) over a row without its checksum."""
    return hashlib.sha256(json.dumps(row, sort_keys=True).encode()).hexdigest()


def write_whole(path: Path, text: str) -> None:
    """Write a file that is there whole and on disk, or not at all; raises OSError."""
    temporary = path.with_name(f".{path.name}.{uuid4().hex}")  # several machines may write here at once
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)

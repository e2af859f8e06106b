"""What a cell's file holds, and whether it is as it was written."""

import hashlib
import json

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

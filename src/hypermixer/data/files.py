"""Tables on disk: CSV, TSV, JSON lines, Parquet and a text a line, plain or gzipped, read whole and by their lines."""

import csv
import gzip
import io
import json
import threading
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from hypermixer.data import rows
from hypermixer.data.example import Columns, Example
from hypermixer.errors import InputError, nearest

SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet", ".txt")

# The limit of the csv module belongs to the whole process.
_field_limit = threading.Lock()


def suffix(name: str) -> str | None:
    """The known suffix that a file name ends with, `.gz` apart; None where there is none."""
    plain = name.lower().removesuffix(".gz")
    return next((known for known in SUFFIXES if plain.endswith(known)), None)


def read(path: Path, columns: Columns, *, need_label: bool) -> tuple[list[Example], Columns]:
    """The examples of a file, and the columns they were read from.

    Raises:
        InputError: the file cannot be read, is no table of its kind, or misses a column, text or label; the message
            names the file, and the line (counted from 1) where there is one.
    """
    data = _bytes(path)
    kind = suffix(path.name)
    if kind == ".parquet":
        table = _parquet(path, data)
    else:
        text = _text(path, data)
        match kind:
            case ".jsonl":
                table = _json_lines(path, text)
            case ".txt":
                table = _lines(path, text)
            case _:
                table = _separated(path, text, "\t" if kind == ".tsv" else ",")
    return rows.examples(table, columns, str(path), need_label=need_label)


def _bytes(path: Path) -> bytes:
    if path.is_dir():
        raise InputError(f"{path} is a directory, not a file.")
    if not path.exists():
        if not path.parent.is_dir():
            raise InputError(f"{path} does not exist, and neither does its directory {path.parent}.")
        beside = [each.name for each in path.parent.iterdir() if suffix(each.name)]
        hint = nearest(path.name, beside)
        raise InputError(f"{path} does not exist" + (f": {hint}" if hint else "."))
    if suffix(path.name) is None:
        raise InputError(f"{path} has an unknown suffix: use one of {', '.join(SUFFIXES)}, each also with .gz.")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from None
    if path.name.lower().endswith(".gz") and data:
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"{path} is not a whole gzip file: {error}.") from None
    if not data.strip():
        raise InputError(f"{path} is empty.")
    return data


def _text(path: Path, data: bytes) -> str:
    start = 3 if data.startswith(b"\xef\xbb\xbf") else 0
    try:
        text = data[start:].decode("utf-8")
    except UnicodeDecodeError as error:
        place = start + error.start
        line = data.count(b"\n", 0, place) + 1
        hint = " (it looks like UTF-16)" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else ""
        raise InputError(
            f"{path}:{line} is not UTF-8: byte 0x{data[place]:02x} at offset {place} of the file{hint}."
        ) from None
    if not text.strip():
        raise InputError(f"{path} is empty.")
    return text


def _separated(path: Path, text: str, delimiter: str) -> Iterator[tuple[str, dict[str, object]]]:
    nul = text.find("\0")
    if nul >= 0:
        raise InputError(f"{path}:{text.count(chr(10), 0, nul) + 1} holds a NUL byte, which is no text.")
    records = _records(path, text, delimiter)
    line, header = next(records)
    while not header:
        line, header = next(records)
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise InputError(f"{path}:{line} names the column '{twice[0]}' more than once.")
    for line, record in records:
        # In a table of one column an empty line is an empty text; in a wider one it is no row.
        fields = record if record or len(header) > 1 else [""]
        if fields and len(fields) != len(header):
            raise InputError(f"{path}:{line} has {len(fields)} fields, and the header has {len(header)}.")
        if fields:
            yield f"{path.name}:{line}", dict(zip(header, fields, strict=True))


def _records(path: Path, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Every record with the line where it starts; empty lines are empty records."""
    found = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = 1
    with _field_limit:
        before = csv.field_size_limit(rows.MAX_TEXT_CHARACTERS)
        try:
            for record in reader:
                found.append((line, record))
                line = reader.line_num + 1
        except csv.Error as error:
            raise InputError(f"{path}:{line} {_csv_reason(str(error))}") from None
        finally:
            csv.field_size_limit(before)
    return iter(found)


def _csv_reason(message: str) -> str:
    if "field limit" in message:
        return f"has a field of more than {rows.MAX_TEXT_CHARACTERS:,} characters, or a quote that is never closed."
    if "unexpected end of data" in message:
        return "opens a quote that is never closed."
    if "expected after" in message:
        return "has text after a closing quote: inside a quoted field every quote is written twice."
    return f"is not a valid record: {message}."


def _json_lines(path: Path, text: str) -> Iterator[tuple[str, Mapping[str, object]]]:
    for line, content in enumerate(text.split("\n"), start=1):
        if not content.strip():
            continue
        try:
            row = json.loads(content)
        except json.JSONDecodeError as error:
            raise InputError(f"{path}:{line} is not valid JSON at column {error.colno}: {error.msg}.") from None
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}:{line} is not JSON that can be read: {error}.") from None
        if not isinstance(row, dict):
            raise InputError(f'{path}:{line} is not a JSON object such as {{"text": "...", "label": "..."}}.')
        yield f"{path.name}:{line}", row


def _lines(path: Path, text: str) -> Iterator[tuple[str, Mapping[str, object]]]:
    """A text a line; empty lines are none."""
    for line, content in enumerate(text.split("\n"), start=1):
        if content.strip():
            yield f"{path.name}:{line}", {"text": content.strip()}


def _parquet(path: Path, data: bytes) -> Iterator[tuple[str, dict[str, object]]]:
    import pyarrow
    from pyarrow import parquet

    try:
        table = parquet.read_table(pyarrow.BufferReader(data))
        for start in range(0, table.num_rows, 10_000):
            for row, values in enumerate(table.slice(start, 10_000).to_pylist(), start=start):
                yield f"{path.name}[{row}]", values
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{path} is not a valid Parquet file: {str(error).splitlines()[0]}") from None

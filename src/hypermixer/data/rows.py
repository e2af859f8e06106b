"""Rows of a table to examples: which columns hold what, and what a text and a label may be."""

import numbers
from collections.abc import Iterable, Mapping, Sequence

from hypermixer.data.example import Columns, Example
from hypermixer.errors import InputError, nearest

MAX_TEXT_CHARACTERS = 20_000_000
"""The longest text that is accepted, in characters."""


def examples(
    rows: Iterable[tuple[str, Mapping[str, object]]], columns: Columns, source: str, *, need_label: bool
) -> tuple[list[Example], Columns]:
    """The examples of a table, and the columns they were read from.

    Args:
        rows: (origin, row) in order; the first row tells which columns there are.
        columns: what the user asked for; None stands for the default names.
        source: the table's name for error messages.
        need_label: whether a row without a label is an error. If not, an empty label is None, and so is one of another
            type unless `columns` names the column.

    Raises:
        InputError: no rows, a missing column, a text that is no string, a label that is empty or of another type.
    """
    found: list[Example] = []
    chosen = Columns()
    need_type = need_label or columns.label is not None
    for origin, row in rows:
        if not found:
            chosen = choose(list(row), columns, source, need_label=need_label)
        found.append(_example(origin, row, chosen, need_label=need_label, need_type=need_type))
    if not found:
        raise InputError(f"{source} has no rows.")
    return found, chosen


def choose(present: Sequence[str], columns: Columns, source: str, *, need_label: bool) -> Columns:
    """The columns to read from a table that has the columns `present`; a field is None where there is none to read.

    Raises:
        InputError: a column that was asked for, or that is needed, is missing.
    """
    text, pair, label = columns.text, columns.pair, columns.label
    if text is None:
        text = next((name for name in ("text", "text_a") if name in present), None)
        if text is None:
            raise InputError(
                f"{source} has neither a column 'text' nor 'text_a': choose one with --text ({_listing(present)})."
            )
        if text == "text_a" and pair is None:
            pair = "text_b"
    for option, name in (("--text", text), ("--pair", pair), ("--label", label)):
        if name is not None and name not in present:
            raise _missing(source, name, option, present)
    if label is None:
        if need_label and "label" not in present:
            raise _missing(source, "label", "--label", present)
        label = "label" if "label" in present else None
    if pair is not None and pair == text:
        raise InputError(f"{source}: --text and --pair both name the column '{text}'.")
    return Columns(text, pair, label)


def check_text(value: object, column: str, origin: str) -> str:
    """The value, if it is a string that a tokenizer can take.

    Raises:
        InputError: anything else, with its origin and column.
    """
    if not isinstance(value, str):
        raise InputError(f"{origin}: '{column}' is {_kind(value)}, not a text.")
    if len(value) > MAX_TEXT_CHARACTERS:
        raise InputError(
            f"{origin}: '{column}' has {len(value):,} characters, more than the {MAX_TEXT_CHARACTERS:,} allowed."
        )
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise InputError(
                f"{origin}: '{column}' holds half a surrogate pair at character {error.start}, which is no text."
            ) from None
    return str(value)


def label_name(value: object, column: str, origin: str) -> str:
    """The name of a label given as str, int or bool (of Python or numpy).

    Raises:
        InputError: an empty label or one of another type, with its origin and column.
    """
    if not isinstance(value, str) and hasattr(value, "item"):
        value = value.item()  # pyright: ignore[reportAttributeAccessIssue] - a scalar of numpy or torch
    if isinstance(value, numbers.Integral):
        return str(value)
    if _is_empty(value):
        raise InputError(f"{origin}: '{column}' is empty: every row needs a label.")
    if not isinstance(value, str):
        raise InputError(f"{origin}: '{column}' is {_kind(value)}, not a label (a text or a whole number).")
    return check_text(value, column, origin)


def _example(origin: str, row: Mapping[str, object], columns: Columns, *, need_label: bool, need_type: bool) -> Example:
    def value(column: str) -> object:
        if column not in row:
            raise _missing(origin, column, "", list(row))
        return row[column]

    assert columns.text is not None
    text = check_text(value(columns.text), columns.text, origin)
    pair = None if columns.pair is None else check_text(value(columns.pair), columns.pair, origin)
    label = None
    if columns.label is not None:
        given = value(columns.label) if need_label else row.get(columns.label)
        if need_label or not _is_empty(given):
            label = _label(given, columns.label, origin, need_type=need_type)
    return Example(text, pair, label, origin)


def _label(value: object, column: str, origin: str, *, need_type: bool) -> str | None:
    try:
        return label_name(value, column, origin)
    except InputError:
        if need_type:
            raise
        # Nobody asked for this column: it only bears the default name.
        return None


def _is_empty(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _missing(source: str, name: str, option: str, present: Sequence[str]) -> InputError:
    hint = nearest(name, present) or _listing(present)
    choose_one = f"; choose one with {option}" if option else ""
    return InputError(f"{source} has no column '{name}'{choose_one}: {hint}")


def _listing(present: Sequence[str]) -> str:
    shown = ", ".join(present[:12]) + (", ..." if len(present) > 12 else "")
    return f"it has {shown}" if present else "it has no columns"


def _kind(value: object) -> str:
    if value is None:
        return "null"
    names = {bool: "a boolean", int: "a number", float: "a number", list: "a list", dict: "an object", bytes: "bytes"}
    return names.get(type(value), f"a value of type {type(value).__name__}")

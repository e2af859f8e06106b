"""What a page holds: paragraphs, tables and figures in sections, and how an entry of a table reads and sorts."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

#: What stands where there is nothing.
MISSING = "–"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
#: Control characters, which neither XML nor a terminal bears, and halves of surrogate pairs, which no file holds.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True)
class Value:
    """An entry of a table, and what it sorts by.

    Attributes:
        text: as shown.
        sort: sorts by this; by the text where it is None.
        strong: whether it stands out.
    """

    text: str
    sort: float | str | None = None
    strong: bool = False


Entry = Value | str | float | int | None


@dataclass(frozen=True)
class Table:
    """Rows of as many entries as the head; None is an entry that is missing.

    Raises:
        ValueError: a row is longer or shorter than the head.
    """

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[Entry, ...], ...]
    note: str = ""

    def __post_init__(self) -> None:
        for number, row in enumerate(self.rows, start=1):
            if len(row) != len(self.head):
                raise ValueError(f"Row {number} of '{self.title}' has {len(row)} entries for {len(self.head)} columns.")


@dataclass(frozen=True)
class Figure:
    """A drawing.

    Attributes:
        name: stem of its file: letters, digits, dots, hyphens and underscores; unique on its page.
        title: above it, and what a screen reader says.
        svg: a whole SVG document.
        caption: below it.
        data: the numbers drawn, for the JSON.

    Raises:
        ValueError: the name cannot be a file's.
    """

    name: str
    title: str
    svg: str
    caption: str
    data: dict[str, Any]

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"'{self.name}' cannot name a figure's file: use letters, digits, '.', '-' and '_'.")


@dataclass(frozen=True)
class Section:
    """A title and what stands below it.

    Attributes:
        title: of the section.
        body: a text is a paragraph; a list where each of its lines begins with "- "; code where it begins with four
            spaces.
    """

    title: str
    body: tuple[str | Table | Figure, ...]


@dataclass(frozen=True)
class Page:
    """A title, a sentence that says it all, and sections.

    Raises:
        ValueError: two figures share a name.
    """

    title: str
    summary: str
    sections: tuple[Section, ...]

    def __post_init__(self) -> None:
        names = [figure.name.lower() for figure in self.figures]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"Two figures of the page are called '{min(twice)}'.")

    @property
    def figures(self) -> tuple[Figure, ...]:
        """In the order of the page."""
        return tuple(part for section in self.sections for part in section.body if isinstance(part, Figure))


@dataclass(frozen=True)
class Paragraph:
    text: str


@dataclass(frozen=True)
class Items:
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Code:
    text: str


def block(text: str) -> Paragraph | Items | Code:
    """What a text of a section's body is."""
    if text.startswith("    "):
        lines = (line.removeprefix("    ") for line in text.expandtabs(4).split("\n"))
        return Code("\n".join(lines).rstrip())
    lines = text.strip().split("\n")
    if all(line.startswith("- ") for line in lines):
        return Items(tuple(line.removeprefix("- ") for line in lines))
    return Paragraph(text)


def printable(text: str) -> str:
    """`text` with a replacement character for each that no document can hold; lines and tabs stay."""
    return _UNPRINTABLE.sub("\ufffd", text.replace("\r\n", "\n"))


def words(entry: Entry) -> str:
    """What a reader sees of an entry: numbers with four digits, thousands with commas, nothing as a dash."""
    if isinstance(entry, Value):
        return entry.text.strip() or MISSING
    if isinstance(entry, bool):
        return "yes" if entry else "no"
    if isinstance(entry, float):
        if not math.isfinite(entry):
            return MISSING
        return f"{entry:,.0f}" if 1000 <= abs(entry) < 1e15 else f"{entry:.4g}"
    if isinstance(entry, int):
        return f"{entry:,}"
    return (entry or "").strip() or MISSING


def sort_key(entry: Entry) -> float | str | None:
    """What an entry sorts by: a finite number, a text, or None where it is missing."""
    key = entry if not isinstance(entry, Value) else entry.sort if entry.sort is not None else entry.text
    if isinstance(key, str):
        return None if key.strip() in ("", MISSING, "—", "-") else key.strip()
    return float(key) if key is not None and math.isfinite(key) else None


def numeric(table: Table, column: int) -> bool:
    """Whether a column holds numbers and gaps only, and one number at least: such columns end at the right."""
    keys = [sort_key(row[column]) for row in table.rows]
    return all(isinstance(key, float | None) for key in keys) and any(key is not None for key in keys)


def anchors(titles: Sequence[str]) -> list[str]:
    """An element id for each title, each different, made of ASCII letters and digits."""
    made: list[str] = []
    for title in titles:
        stem = "section-" + "-".join(re.findall("[a-z0-9]+", title.lower()))
        number = sum(name == stem or name.startswith(f"{stem}--") for name in made)
        made.append(f"{stem}--{number + 1}" if number else stem)
    return made

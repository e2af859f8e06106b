"""What a study of the papers is: a plan at each scale, and a page made from its cells."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from hypermixer.errors import InputError, nearest
from hypermixer.report.page import Section, Table
from hypermixer.studies.fill import Filled, Plan
from hypermixer.studies.tasks import SCALE_NAMES


@dataclass(frozen=True)
class Result:
    """What a study says.

    Attributes:
        summary: the sentence at the top.
        sections: of the page.
        main: what also stands on the screen: ours beside the paper's, and the claims.
    """

    summary: str
    sections: tuple[Section, ...]
    main: tuple[Table, ...] = ()


def shortened(table: Table, *columns: str) -> Table:
    """Some columns of a table, by their heads, for a screen; those that it does not have are left out."""
    places = [table.head.index(name) for name in columns if name in table.head]
    rows = tuple(tuple(row[place] for place in places) for row in table.rows)
    return Table(table.title, tuple(table.head[place] for place in places), rows)


def tables(section: Section) -> tuple[Table, ...]:
    """The tables of a section."""
    return tuple(part for part in section.body if isinstance(part, Table))


@dataclass(frozen=True)
class Study:
    """A table or figure of a paper at a scale.

    Attributes:
        name: as in `STUDIES`.
        title: for people.
        scale: of `SCALE_NAMES`.
        cells: the study whose cells it reads; views share a folder.
        plan: what is to be run.
        result: what the rows say.
        deviations: from the paper's setting.
        keep: writes more files into the folder, if there are any.
    """

    name: str
    title: str
    scale: str
    cells: str
    plan: Plan
    result: Callable[[Filled], Result]
    deviations: Sequence[str]
    keep: Callable[[Filled, Path], None] = lambda filled, folder: None


#: Module of each study; each has `study(name, scale) -> Study`.
STUDIES = {
    "table1": "hypermixer.studies.table1",
    "table2": "hypermixer.studies.table2",
    "table3": "hypermixer.studies.table1",
    "table4": "hypermixer.studies.table1",
    "table5": "hypermixer.studies.table5",
    "table6": "hypermixer.studies.table6",
    "figure2": "hypermixer.studies.figure2",
    "figure3": "hypermixer.studies.figure3",
    "figure4": "hypermixer.studies.figure4",
    "products": "hypermixer.studies.products",
    "convert": "hypermixer.studies.conversion",
}


def study(name: str, scale: str) -> Study:
    """A study by name.

    Raises:
        InputError: an unknown study or scale; names the nearest.
    """
    if name not in STUDIES:
        raise InputError(f"Unknown study '{name}': {nearest(name, STUDIES)}")
    if scale not in SCALE_NAMES:
        raise InputError(f"--scale {scale}: {nearest(scale, SCALE_NAMES)}")
    made: Study = import_module(STUDIES[name]).study(name, scale)
    return made

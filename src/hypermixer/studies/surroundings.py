"""What every page says beside its results: how it was run, where, what was left out, and how to run it again."""

import shlex
from collections import Counter
from collections.abc import Sequence
from typing import Any

from hypermixer.report.page import Section
from hypermixer.studies.cell import Row
from hypermixer.studies.fill import Filled
from hypermixer.studies.folder import Folder


def surroundings(filled: Filled, folder: Folder, arguments: Sequence[str], notes: Sequence[str] = ()) -> Section:
    """The last section of a page.

    Args:
        filled: the cells.
        folder: where they lie.
        arguments: of the command line.
        notes: what differs from what a reader would expect, one sentence each.
    """
    body: list[str] = []
    if notes:
        body.append("\n".join(f"- {note}" for note in notes))
    body += [*_machines(list(filled.rows.values())), *_gaps(filled, folder)]
    body += ["To run it again:", "    " + shlex.join(["hypermixer", *arguments])]
    return Section("How this was run", tuple(body))


def _machines(rows: Sequence[Row]) -> list[str]:
    places = Counter(_place(row["machine"]) for row in rows)
    if not places:
        return []
    seconds = sum(row["seconds"] for row in rows)
    formats = sorted(
        {row["environment"]["precision"] for row in rows if row["kind"] == "train" and "environment" in row}
    )
    lines = [f"- {_cells(count)} on {place}" for place, count in places.most_common()]
    several = " Seconds from different machines or threads cannot be compared." if len(places) > 1 else ""
    trained = f" Mixers were trained in {' and '.join(formats)}." if formats else ""
    return [
        f"{_cells(len(rows))} took {_duration(seconds)} of running time in all.{several}{trained}",
        "\n".join(lines),
    ]


def _place(machine: dict[str, Any]) -> str:
    versions = machine["versions"]
    return f"{machine['device']}, threads: {machine['threads']}, torch {versions['torch']}, Python {versions['python']}"


def _gaps(filled: Filled, folder: Folder) -> list[str]:
    """What is not on the page, though one might look for it."""
    found = []
    wanted = {cell.key for cell in filled.cells}
    missing = len(wanted - filled.rows.keys())
    if missing:
        found.append(f"{missing} of {len(wanted)} cells that are known to be wanted are not there yet.")
    if filled.left_out:
        count = len(filled.left_out)
        found.append(f"For want of time {_cells(count)} {'was' if count == 1 else 'were'} left out.")
    found += [f"Failed: {reason}" for reason in dict.fromkeys(reason for _, reason in filled.failed)]
    if others := folder.others(filled.cells):
        found.append(
            f"{_cells(len(others))} in this folder {'is' if len(others) == 1 else 'are'} of other code, data or"
            " settings: kept, and not on this page."
        )
    found += [f"Set aside and run anew: {reason}." for reason in folder.set_aside]
    return ["\n".join(f"- {line}" for line in found)] if found else []


def _cells(count: int) -> str:
    return "1 cell" if count == 1 else f"{count} cells"


def _duration(seconds: float) -> str:
    minutes, hours = seconds / 60, seconds / 3600
    if hours >= 1:
        return f"{hours:.1f} hours"
    return f"{minutes:.0f} minutes" if minutes >= 2 else f"{seconds:.0f} seconds"

"""hypermixer reproduce: a table or figure of the HyperMixer paper, ours beside it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hypermixer.cli.cells import Engine, Reuse, Workers, filling
from hypermixer.cli.options import Json
from hypermixer.cli.screen import show, show_json, table
from hypermixer.errors import WorkError

if TYPE_CHECKING:
    from hypermixer.report.page import Section, Table


def reproduce(
    name: Annotated[
        str, typer.Argument(metavar="STUDY", help="table1 to table6, figure2, figure3, figure4, products or convert.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where cells and report go.")],
    scale: Annotated[
        str,
        typer.Option("--scale", metavar="smoke|small|full", help="Seconds, hours on two cores, or the paper's own."),
    ] = "small",
    workers: Workers = 1,
    engine: Engine = "local",
    reuse: Reuse = None,
    as_json: Json = False,
) -> None:
    """Run a table or figure of the HyperMixer paper and print ours beside the paper's; or the task of products.

    Writes report.html, report.md, report.json and cells/ into DIR; run it again to go on where it stopped. Tables 3
    and 4 are views of table 1's cells and may share its DIR.
    """
    from hypermixer.cores import cores
    from hypermixer.report.page import Page, write
    from hypermixer.studies.engines import engine as make_engine
    from hypermixer.studies.fill import fill
    from hypermixer.studies.folder import Folder
    from hypermixer.studies.study import study
    from hypermixer.studies.surroundings import surroundings

    wanted = study(name, scale)
    # The engine comes first: a request that it refuses leaves no folder behind.
    with filling(out, as_json) as watch, make_engine(engine, workers, cores()) as runs:
        folder = Folder(out, {"study": wanted.cells, "scale": scale}, reuse or ())
        filled = fill(wanted.plan, folder, runs, watch=watch)
    wanted.keep(filled, out)
    result = wanted.result(filled)
    around = surroundings(filled, folder, _arguments(name, scale, out, workers, engine, reuse or []))
    sections = (*_deviations(wanted.deviations), *result.sections, around)
    write(Page(f"{wanted.title} ({scale})", result.summary, sections), out)
    if as_json:
        said = {"out": str(out), "cells": len(filled.rows), "ran": filled.ran, "summary": result.summary}
        show_json({**said, "tables": [_record(made) for made in result.main]})
    else:
        place = f"{out / 'report.html'}: cells: {len(filled.rows)}, of which run now: {filled.ran}."
        show(*(line for made in result.main for line in _lines(made)), result.summary, "", place)
    if filled.failed:
        raise WorkError(f"{len(filled.failed)} cells failed and are tried again next time: {filled.failed[0][1]}")


def _lines(made: "Table") -> list[str]:
    """A table on the screen, with its title above and an empty line below."""
    from hypermixer.report.contents import words

    return [made.title, *table(made.head, [[words(entry) for entry in row] for row in made.rows]), ""]


def _record(made: "Table") -> dict[str, Any]:
    """A table for programs: each row by its columns, with what is shown and, of a number, its value."""
    from hypermixer.report.contents import sort_key, words

    rows = [
        {head: {"text": words(entry), "value": sort_key(entry)} for head, entry in zip(made.head, row, strict=True)}
        for row in made.rows
    ]
    return {"title": made.title, "rows": rows}


def _deviations(sentences: Sequence[str]) -> "tuple[Section, ...]":
    """Before any number: what was done otherwise than in the paper."""
    from hypermixer.report.page import Section

    return (Section("What differs from the paper", ("\n".join(f"- {sentence}" for sentence in sentences),)),)


def _arguments(name: str, scale: str, out: Path, workers: int, engine: str, reuse: Sequence[Path]) -> list[str]:
    """To run it again: all that was asked for, with folders below this one named from here."""
    given = ["reproduce", name, "--scale", scale, "--out", _from_here(out)]
    given += ["--workers", str(workers)] if workers != 1 else []
    given += ["--engine", engine] if engine != "local" else []
    return given + [word for folder in reuse for word in ("--reuse", _from_here(folder))]


def _from_here(path: Path) -> str:
    whole, here = path.absolute(), Path.cwd()
    return str(whole.relative_to(here)) if whole.is_relative_to(here) else str(path)

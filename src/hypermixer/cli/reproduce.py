"""hypermixer reproduce: a table or figure of the HyperMixer paper, ours beside it."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hypermixer.cli.cells import Engine, Reuse, Workers, filling
from hypermixer.cli.options import Json
from hypermixer.cli.screen import show, show_json
from hypermixer.errors import WorkError

if TYPE_CHECKING:
    from hypermixer.report.page import Section


def reproduce(
    name: Annotated[str, typer.Argument(metavar="STUDY", help="table1 to table6, figure2, figure3 or figure4.")],
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
    """Run a table or figure of the HyperMixer paper and print ours beside the paper's.

    Writes report.html, report.md, report.json and cells/ into DIR; run it again to go on where it stopped. Tables 3
    and 4 are views of table 1's cells and may share its DIR.
    """
    from hypermixer.report.page import Page, write
    from hypermixer.studies.engines import engine as make_engine
    from hypermixer.studies.fill import fill
    from hypermixer.studies.folder import Folder
    from hypermixer.studies.study import study
    from hypermixer.studies.surroundings import surroundings

    wanted = study(name, scale)
    # The engine comes first: a request that it refuses leaves no folder behind.
    with filling(out) as watch, make_engine(engine, workers, os.cpu_count() or 1) as runs:
        folder = Folder(out, {"study": wanted.cells, "scale": scale}, reuse or ())
        filled = fill(wanted.plan, folder, runs, watch=watch)
    wanted.keep(filled, out)
    result = wanted.result(filled)
    around = surroundings(filled, folder, _arguments(name, scale, out, workers, engine, reuse or []))
    sections = (*_deviations(wanted.deviations), *result.sections, around)
    write(Page(f"{wanted.title} ({scale})", result.summary, sections), out)
    if as_json:
        show_json({"out": str(out), "cells": len(filled.rows), "ran": filled.ran, "summary": result.summary})
    else:
        show(result.summary, "", f"{out / 'report.html'}: cells: {len(filled.rows)}, of which run now: {filled.ran}.")
    if filled.failed:
        raise WorkError(f"{len(filled.failed)} cells failed and are tried again next time: {filled.failed[0][1]}")


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

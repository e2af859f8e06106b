"""hypermixer reproduce: a table or figure of the HyperMixer paper, ours beside it."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from hypermixer.cli.cells import Engine, Workers, filling
from hypermixer.cli.options import Json
from hypermixer.cli.screen import show, show_json
from hypermixer.errors import WorkError


def reproduce(
    name: Annotated[str, typer.Argument(metavar="STUDY", help="table1 to table6, figure2, figure3 or figure4.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where cells and report go.")],
    scale: Annotated[
        str,
        typer.Option("--scale", metavar="smoke|small|full", help="Seconds, hours on two cores, or the paper's own."),
    ] = "small",
    workers: Workers = 1,
    engine: Engine = "local",
    reuse: Annotated[
        list[Path] | None, typer.Option("--reuse", metavar="DIR", help="Take finished cells from this folder, too.")
    ] = None,
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
    folder = Folder(out, {"study": wanted.cells, "scale": scale}, reuse or ())
    with filling(out) as watch, make_engine(engine, workers, os.cpu_count() or 1) as runs:
        filled = fill(wanted.plan, folder, runs, watch=watch)
    result = wanted.result(filled)
    around = surroundings(filled, folder, sys.argv[1:], wanted.deviations)
    page = Page(f"{wanted.title} ({scale})", result.summary, (*result.sections, around))
    write(page, out)
    if as_json:
        show_json({"out": str(out), "cells": len(filled.rows), "ran": filled.ran, "summary": result.summary})
    else:
        show(result.summary, "", f"{out / 'report.html'}: {len(filled.rows)} cells, {filled.ran} of them run now.")
    if filled.failed:
        raise WorkError(f"{len(filled.failed)} cells failed and are tried again next time: {filled.failed[0][1]}")

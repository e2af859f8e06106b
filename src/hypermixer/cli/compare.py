"""`hypermixer compare`: token mixers on one data set under equal conditions, and what their results cost."""

import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from hypermixer.cli.cells import Engine, Reuse, Workers, filling, open_page, report
from hypermixer.cli.compare_request import DEFAULTS, Request, common_settings, layout_of, placed, request
from hypermixer.cli.options import (
    DATA,
    AllSets,
    Config,
    DModel,
    Epochs,
    Evaluation,
    Json,
    Label,
    Layers,
    Limit,
    MaxLength,
    Pair,
    Seed,
    Text,
    Tokenizer,
    TrainBatchSize,
    TrainDevice,
    TrainSplit,
    mixer_names,
)

_MIXERS = f"Names with commas; options as NAME:option=value. Known: {', '.join(mixer_names())}."


def _words(name: str, metavar: str, what: str) -> Any:
    return typer.Option(f"--{name}", metavar=metavar, help=what)


def compare(
    source: Annotated[str, typer.Argument(metavar="DATA", help=DATA)],
    mixers: Annotated[str, _words("mixers", "NAMES", _MIXERS)],
    out: Annotated[Path, _words("out", "DIR", "Where cells and report go.")],
    seeds: Annotated[
        str | None, _words("seeds", "N", f"How many seeds, from --seed up (default: {DEFAULTS['seeds']}).")
    ] = None,
    lr: Annotated[str | None, _words("lr", "LIST", "Learning rates; each mixer takes its best.")] = None,
    layout: Annotated[
        str | None, _words("layout", "NAME", "Layout of all mixers' blocks, or best: each takes its best.")
    ] = None,
    match: Annotated[
        bool, typer.Option("--match/--no-match", help="Choose d_hidden so that mixers have as many parameters.")
    ] = True,
    cost: Annotated[
        str | None,
        _words("cost", "e,d,h", "Any of e: time and memory by length, d: learning curves, h: random search."),
    ] = None,
    lengths: Annotated[
        str | None, _words("lengths", "LIST", f"Of --cost e: tokens of a text (default: {DEFAULTS['lengths']}).")
    ] = None,
    fractions: Annotated[
        str | None,
        _words(
            "fractions", "LIST", f"Of --cost d: percents of the texts, beside 100 (default: {DEFAULTS['fractions']})."
        ),
    ] = None,
    trials: Annotated[
        str | None, _words("trials", "N", f"Of --cost h: trials of each mixer (default: {DEFAULTS['trials']}).")
    ] = None,
    baselines: Annotated[
        str | None,
        _words("baselines", "LIST", "tfidf, which is always there, and fasttext (default: what is installed)."),
    ] = None,
    budget: Annotated[
        str | None, _words("budget", "TIME", "90s, 10m, 2h: run what fits, and say what does not.")
    ] = None,
    workers: Workers = 1,
    engine: Engine = "local",
    reuse: Reuse = None,
    evaluation: Evaluation = None,
    test: Annotated[
        str | None, _words("test", "DATA", "Report on these texts (default: the set's test split, if any).")
    ] = None,
    text: Text = None,
    pair: Pair = None,
    label: Label = None,
    split: TrainSplit = None,
    d_model: DModel = None,
    layers: Layers = None,
    tokenizer: Tokenizer = None,
    max_length: MaxLength = None,
    epochs: Epochs = None,
    batch_size: TrainBatchSize = None,
    limit: Limit = None,
    seed: Seed = None,
    device: TrainDevice = None,
    browse: Annotated[bool, typer.Option("--open", help="Show the page in a browser, where there is one.")] = False,
    as_json: Json = False,
    sets: AllSets = None,
    config: Config = None,
) -> None:
    """Compare token mixers on your data, and what each result costs.

    Every mixer has the same tokenizer, embeddings, feature mixing and texts. Settings are chosen on the validation
    texts; results are of the test texts, where there are any. Writes report.html, report.md, report.json and cells/
    into DIR; run it again to go on where it stopped.
    """
    begun = time.monotonic()
    flags = {
        "eval": evaluation, "text": text, "pair": pair, "label": label, "split": split, "d_model": d_model,
        "layers": layers, "layout": layout_of(layout), "tokenizer": tokenizer,
        "max_length": max_length, "epochs": epochs, "batch_size": batch_size, "limit": limit, "seed": seed,
        "device": device,
    }  # fmt: skip
    given = {
        "seeds": seeds, "lr": lr, "cost": cost, "lengths": lengths, "fractions": fractions, "trials": trials,
        "baselines": baselines, "test": test,
    }  # fmt: skip
    settings = common_settings(config, flags, sets or ())
    # torch is loaded here, once the settings have been read.
    with placed(settings, engine) as common:
        asked = request(source, mixers, common, given, best_layout=layout == "best", match=match)
        _run(asked, _budget(budget, workers, begun), out, workers, engine, reuse or [], as_json)
    if browse:
        open_page(out)


def _budget(text: str | None, workers: int, begun: float) -> Any:
    from hypermixer.studies.budget import Budget, seconds

    return None if text is None else Budget(seconds(text), workers, begun)


def _run(asked: Request, budget: Any, out: Path, workers: int, engine: str, reuse: list[Path], as_json: bool) -> None:
    """Fill the folder, as far as the budget goes, and write the page."""
    from hypermixer.cores import cores
    from hypermixer.studies.compare_page import findings
    from hypermixer.studies.engines import engine as make_engine
    from hypermixer.studies.fill import fill
    from hypermixer.studies.folder import Folder
    from hypermixer.studies.kept_trials import keep_trials

    whole, notes, threads = asked.comparison, asked.notes, cores()
    # The engine comes first: a request that it refuses leaves no folder behind.
    with filling(out, as_json) as progress, make_engine(engine, workers, threads) as runs:
        part, ran = whole, 0
        if budget is not None:
            budget.expect(whole, max(1, threads // workers))
            if not out.exists():
                budget.require(whole, {})
        folder = Folder(out, {"study": "compare", "data": whole.texts.source, "content": asked.content}, reuse)
        if budget is not None:
            # What is there counts; a refusal comes before anything is run, none afterwards.
            budget.require(whole, fill(whole.plan, folder, runs, fits=_none).rows)
            # The baselines first: their time is known then.
            there = fill(whole.plan, folder, runs, watch=_watched(progress, whole.size, budget), fits=_floor(budget))
            ran = there.ran
            part, said = budget.fitted(whole, there.rows)
            notes = [*notes, *said]
        fits = None if budget is None else budget.fits
        filled = fill(part.plan, folder, runs, watch=_watched(progress, part.size, budget), fits=fits)
    filled.ran += ran
    if "h" in part.costs:
        keep_trials(folder.path, [v.name for v in part.variants], filled, part.drawn(), part.space)
    found = findings(part, asked.matches, filled)
    again = [argument for argument in sys.argv[1:] if argument != "--json"]
    report(f"Token mixers on {whole.texts.source}", found, filled, folder, again, notes, as_json)


def _none(cell: Any) -> bool:
    """No cell is to be run."""
    return False


def _floor(budget: Any) -> Any:
    """Whether a cell is a baseline on all texts for which there is time."""
    return lambda cell: cell.kind == "baseline" and cell.tags["percent"] == 100 and budget.fits(cell)


def _watched(progress: Any, size: int, budget: Any) -> Any:
    """Progress out of all cells that will be wanted, and a budget that learns."""

    def watch(cell: Any, row: Any, done: int, total: int) -> None:
        progress(cell, row, done, max(total, size))
        if budget is not None:
            budget.learn(cell, row)

    return watch

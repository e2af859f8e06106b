"""The page of a comparison: what to choose, the table, the front, and the costs that were asked for."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hypermixer.encoder_config import EncoderConfig
from hypermixer.report.figures import Point, pareto
from hypermixer.report.page import Entry, Figure, Section, Table, Value
from hypermixer.studies import cost_sections
from hypermixer.studies.beside_paper import points
from hypermixer.studies.compare import Comparison
from hypermixer.studies.compare_data import commonest_share, conditions, data_and_settings, reported
from hypermixer.studies.compare_rows import incomplete, macro_f1, parameters, point, record, rows_of, search_seconds
from hypermixer.studies.fill import Filled
from hypermixer.studies.grid import accuracy
from hypermixer.studies.matching import Match
from hypermixer.studies.scores import Runs, matching
from hypermixer.studies.standing import TEXTS, Standing, advice, in_seconds, standings


@dataclass(frozen=True)
class Findings:
    """What a comparison says.

    Attributes:
        summary: what to choose.
        sections: of the page.
        table: the main one, in short.
        record: the main results for programs, plain values.
    """

    summary: str
    sections: tuple[Section, ...]
    table: Table
    record: dict[str, Any]


def findings(comparison: Comparison, matches: Sequence[Match], filled: Filled) -> Findings:
    """All that the cells say; every number is one of theirs, or made of theirs."""
    rows = rows_of(comparison, filled)
    part = "test" if any(runs.answered("test") for _, runs in rows) else "evaluation"
    found = standings(rows, comparison.variants[0].name, part)
    diverged = [name for name, runs in rows if runs.diverged]
    chance = commonest_share(reported(comparison, part))
    table = _table(rows, found, part, chance, comparison, filled)
    body: list[str | Table | Figure] = [table, *([_front(found)] if found else [])]
    made = [Section("Accuracy and cost", tuple(body)), _tried(comparison, filled)]
    made += cost_sections.sections(comparison, filled)
    equal = (conditions(comparison, matches), data_and_settings(comparison, filled))
    made.append(Section("Equal conditions", equal))
    short = Table(table.title, _of(table.head), tuple(_of(row) for row in table.rows))
    plain = {
        "part": TEXTS[part],
        "commonest_share": chance,
        "rows": [record(name, runs, found, part, filled) for name, runs in rows],
    }
    return Findings(advice(found, part, chance, diverged), tuple(made), short, plain)


#: Columns of the main table, and which of them a screen has room for.
_COLUMNS = 12
_SHORT = (0, 1, 2, 4, 6, 8, 9, 11)


def _of(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(row[column] for column in _SHORT)


def _table(
    rows: Sequence[tuple[str, Runs]],
    found: Sequence[Standing],
    part: str,
    chance: float,
    comparison: Comparison,
    filled: Filled,
) -> Table:
    reference = comparison.variants[0].name
    head = (
        "model", f"{TEXTS[part]}, %", "95 % interval", "macro F1, %", f"difference to {reference}", "at", "runs",
        "parameters", "one fit, s", "with the search, s", "1,000 answers, s", "on the front",
    )  # fmt: skip
    standing = {one.name: one for one in found}
    body = tuple(_row(name, runs, standing.get(name), part, filled) for name, runs in rows)
    examples = found[0].runs.done[0]["metrics"][part]["examples"] if found else 0
    note = (
        f"Mean and, in brackets, standard deviation over seeds, on {examples:,} {TEXTS[part]} texts. Intervals:"
        " bootstrap over texts and runs, paired by text for differences; where all answers are alike, Wilson's and the"
        f" rule of three. Always the commonest label: {100 * chance:.1f} %. Difference: above 0 is better than"
        f" {reference}. One fit: training with the settings that were chosen, a mixer's steps (median over seeds), a"
        " baseline's counting of words and fitting. With the search: all rates, layouts and seeds of a mixer, all"
        " settings of a baseline. On the front: nothing else is both better and cheaper for one fit."
    )
    if part == "evaluation":
        note += " There are no test texts: rates and weights were chosen on these same texts, which flatters all."
    if lacking := incomplete(comparison, filled):
        note += f" Not every learning rate and layout was tried, so the best so far stands here: {', '.join(lacking)}."
    return Table("All models", head, body, note)


def _row(name: str, runs: Runs, standing: Standing | None, part: str, filled: Filled) -> tuple[Entry, ...]:
    if standing is None:
        reason = f"{runs.diverged} of {len(runs.rows)} runs diverged" if runs.diverged else "not run"
        return (name, Value(reason, math.nan), *[None] * (_COLUMNS - 2))
    mean, deviation = runs.summary(part)
    spread = "" if deviation is None else f" ({deviation:.2f})"
    low, high = 100 * standing.interval.low, 100 * standing.interval.high
    lead = None if standing.lead is None else Value(points(standing.lead), standing.lead.mean)
    size, f1, search = parameters(runs), 100 * macro_f1(runs, part), search_seconds(filled, name, runs)
    return (
        Value(name, strong=standing.on_front),
        Value(f"{mean:.1f}{spread}", mean, strong=standing.on_front),
        Value(f"{low:.1f} to {high:.1f}", low),
        Value(f"{f1:.1f}", f1),
        lead,
        point(runs),
        Value(_runs(runs), len(runs.done)),
        None if size is None else Value(f"{size:,.0f}", size),
        Value(in_seconds(standing.seconds), standing.seconds),
        Value(in_seconds(search), search),
        Value(in_seconds(standing.per_1000), standing.per_1000),
        "yes" if standing.on_front else "no",
    )


def _runs(runs: Runs) -> str:
    """How many there are, and what is wanting."""
    wanted = len(runs.rows) + runs.missing
    said = [f"{len(runs.rows)} of {wanted}"] if runs.missing else []
    said += [f"{runs.diverged} of {wanted} diverged"] if runs.diverged else []
    return ", ".join(said) or f"{wanted}"


def _front(found: Sequence[Standing]) -> Figure:
    drawn = [
        Point(one.name, one.seconds, one.interval.mean, one.interval.low, one.interval.high, one.on_front)
        for one in found
    ]
    svg = pareto(drawn, cost_label="seconds of one fit", accuracy_label="accuracy, %")
    data = {p.name: {"seconds": p.cost, "accuracy": p.accuracy, "low": p.low, "high": p.high} for p in drawn}
    caption = "Accuracy against the training time of one fit. Bars: 95 % intervals. Filled: on the front."
    return Figure("front", "The Pareto front", svg, caption, data)


def _tried(comparison: Comparison, filled: Filled) -> Section:
    """Every point of the grid."""
    rows: list[tuple[Entry, ...]] = []
    layout = EncoderConfig(**comparison.common.encoder.config).layout
    for variant in comparison.variants:
        for options in comparison.grid.points():
            cells = matching(filled.cells, row=variant.name, final=None, seed=comparison.grid.seeds[0], **options)
            row = filled.rows.get(cells[0].key) if cells else None
            score = None if row is None else 100 * accuracy(row, "evaluation")
            said = None if score is None else "diverged" if row and row["outcome"] == "diverged" else f"{score:.1f}"
            rows.append((
                variant.name,
                Value(f"{options['lr']:g}", options["lr"]),
                options.get("layout", layout),
                None if said is None else Value(said, score),
            ))  # fmt: skip
    note = "With the first seed. The best of each mixer is taken for all seeds."
    table = Table(
        "Learning rates and layouts", ("model", "learning rate", "layout", "validation, %"), tuple(rows), note
    )
    return Section("What was tried", (table,))

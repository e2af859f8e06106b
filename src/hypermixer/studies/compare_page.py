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
from hypermixer.studies.compare_rows import incomplete, parameters, point, record, rows_of
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
    part = "test" if any(runs.has("test") for _, runs in rows) else "evaluation"
    found = standings(rows, comparison.variants[0].name, part)
    diverged = [name for name, runs in rows if runs.diverged]
    table = _table(rows, found, part, comparison, filled)
    body: list[str | Table | Figure] = [table, *([_front(found)] if found else [])]
    made = [Section("Accuracy and cost", tuple(body)), _tried(comparison, filled)]
    made += cost_sections.sections(comparison, filled)
    made.append(Section("Equal conditions", (_conditions(comparison, matches),)))
    short = Table(table.title, _of(table.head), tuple(_of(row) for row in table.rows))
    plain = {"part": TEXTS[part], "rows": [record(name, runs, found, part) for name, runs in rows]}
    return Findings(advice(found, part, diverged), tuple(made), short, plain)


#: Columns of the main table that a screen has room for.
_SHORT = (0, 1, 2, 3, 5, 7, 9)


def _of(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(row[column] for column in _SHORT)


def _table(
    rows: Sequence[tuple[str, Runs]],
    found: Sequence[Standing],
    part: str,
    comparison: Comparison,
    filled: Filled,
) -> Table:
    reference = comparison.variants[0].name
    head = (
        "model", f"{TEXTS[part]}, %", "95 % interval", f"less {reference}", "at", "runs", "parameters", "training, s",
        "1,000 answers, s", "on the front",
    )  # fmt: skip
    standing = {one.name: one for one in found}
    body = tuple(_row(name, runs, standing.get(name), part) for name, runs in rows)
    examples = found[0].runs.rows[0]["metrics"][part]["examples"] if found else 0
    note = (
        f"Mean and, in brackets, standard deviation over seeds, on {examples:,} {TEXTS[part]} texts. Intervals:"
        " bootstrap over texts and runs, paired by text for differences. Training: one run, median; the baselines'"
        " includes the choice of their settings. On the front: nothing else is both better and cheaper to train."
    )
    if part == "evaluation":
        note += " There are no test texts: rates and weights were chosen on these same texts, which flatters all."
    if lacking := incomplete(comparison, filled):
        note += f" Not every learning rate and layout was tried, so the best so far stands here: {', '.join(lacking)}."
    return Table("All models", head, body, note)


def _row(name: str, runs: Runs, standing: Standing | None, part: str) -> tuple[Entry, ...]:
    if standing is None:
        reason = f"{runs.diverged} of {len(runs.rows)} runs diverged" if runs.diverged else "not run"
        return (name, Value(reason, math.nan), *[None] * 8)
    mean, deviation = runs.summary(part)
    spread = "" if deviation is None else f" ({deviation:.2f})"
    low, high = 100 * standing.interval.low, 100 * standing.interval.high
    lead = None if standing.lead is None else Value(points(standing.lead), standing.lead.mean)
    size, wanted = parameters(runs), len(runs.rows) + runs.missing
    return (
        Value(name, strong=standing.on_front),
        Value(f"{mean:.1f}{spread}", mean, strong=standing.on_front),
        Value(f"{low:.1f} to {high:.1f}", low),
        lead,
        point(runs),
        Value(f"{len(runs.rows)} of {wanted}" if runs.missing else f"{wanted}", len(runs.rows)),
        None if size is None else Value(f"{size:,.0f}", size),
        Value(in_seconds(standing.seconds), standing.seconds),
        Value(in_seconds(standing.per_1000), standing.per_1000),
        "yes" if standing.on_front else "no",
    )


def _front(found: Sequence[Standing]) -> Figure:
    drawn = [
        Point(one.name, one.seconds, one.interval.mean, one.interval.low, one.interval.high, one.on_front)
        for one in found
    ]
    svg = pareto(drawn, cost_label="seconds to train", accuracy_label="accuracy, %")
    data = {p.name: {"seconds": p.cost, "accuracy": p.accuracy, "low": p.low, "high": p.high} for p in drawn}
    caption = "Accuracy against the time of one training run. Bars: 95 % intervals. Filled: on the front."
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


def _conditions(comparison: Comparison, matches: Sequence[Match]) -> str:
    common = comparison.common
    training, shape = common.training, EncoderConfig(**common.encoder.config)
    batches = f"{training.batch_size} texts" if training.batch_tokens is None else f"{training.batch_tokens:,} tokens"
    named = common.tokens.tokenizer
    layout = "the layout that suits each mixer best" if comparison.grid.layouts else f"layout {shape.layout}"
    lines = [
        f"One tokenizer, {'trained on the training texts' if named is None else named}; texts are cut at"
        f" {common.tokens.max_length} tokens.",
        f"One encoder around the mixers: layers: {shape.num_hidden_layers}, width: {shape.hidden_size}, dropout:"
        f" {shape.hidden_dropout_prob:g}, {layout}; the same embeddings, feature mixing, pooling and head.",
        f"Batches of {batches}, epochs: {training.epochs} at most; the weights of the best evaluation count.",
    ]
    for match in matches:
        options = dict(match.variant.options)
        size = f", d_hidden {options['mixer.d_hidden']}" if "mixer.d_hidden" in options else ""
        reason = f" ({match.why}, so it is not matched)" if match.why else ""
        lines.append(f"{match.variant.name}: {match.ratio:.2f} of attention's parameters in mixing{size}{reason}.")
    return "\n".join(f"- {line}" for line in lines)

"""E, D and H of Cost(R) ~ E * D * H on the page of a comparison: by length, by training texts, by trials."""

import math
from collections.abc import Sequence
from typing import Any

from hypermixer.costs.tuning import bootstrap_band, expected_maximum, expected_maximum_unbiased
from hypermixer.encoder_config import EncoderConfig
from hypermixer.report.figures import Series, curves
from hypermixer.report.page import Entry, Figure, Section, Table, Value
from hypermixer.studies.baselines import BASELINES
from hypermixer.studies.compare import Comparison
from hypermixer.studies.compare_rows import names
from hypermixer.studies.fill import Filled
from hypermixer.studies.grid import accuracy
from hypermixer.studies.scores import Runs, matching, picked

_MIB = 2**20


def sections(comparison: Comparison, filled: Filled) -> list[Section]:
    """Those that were asked for and have cells."""
    found = []
    if "e" in comparison.costs:
        row = filled.rows.get(comparison.length_cell().key)
        found += [_lengths(row["rows"], _layout(comparison))] if row is not None and row["rows"] else []
    if "d" in comparison.costs:
        found += _learning(comparison, filled)
    if "h" in comparison.costs:
        found += _tuning(comparison, filled)
    return found


def _layout(comparison: Comparison) -> str:
    """What is to be said of the layout that is timed; nothing where there is no other."""
    if not comparison.grid.layouts:
        return ""
    layout = EncoderConfig(**comparison.common.encoder.config).layout
    return f" All in layout {layout}, whichever is best for a mixer."


def _lengths(rows: Sequence[dict[str, Any]], layout: str) -> Section:
    drawn = (
        _by_length(rows, name, title, unit, path)
        for name, title, unit, path in (
            ("forward", "Forward pass", "ms for 1,000 tokens", ("forward_ms_per_1000_tokens", "median")),
            ("step", "Training step", "ms for 1,000 tokens", ("step_ms_per_1000_tokens", "median")),
            ("memory", "Peak memory of a training step", "MiB beyond the parameters", ("peak_bytes",)),
        )
    )
    figures = [figure for figure in drawn if figure is not None]
    return Section("E: what an example costs, by length", (*figures, _length_table(rows, layout)))


def _by_length(
    rows: Sequence[dict[str, Any]], name: str, title: str, unit: str, path: tuple[str, ...]
) -> Figure | None:
    """None where nothing was measured: not every machine can tell its memory."""
    scale = _MIB if path == ("peak_bytes",) else 1
    series = []
    for contender in dict.fromkeys(row["contender"] for row in rows):
        found = [(row["length"], _at(row, path)) for row in rows if row["contender"] == contender]
        known = [(float(length), value / scale) for length, value in found if value]
        if known:
            series.append(Series(contender, [x for x, _ in known], [y for _, y in known]))
    if not series:
        return None
    svg = curves(series, x_label="tokens of a text", y_label=unit, log_x=True, log_y=True)
    data = {one.name: dict(zip(map(str, one.x), one.y, strict=True)) for one in series}
    caption = f"{title} by length, every mixer in turn, batches of about 4,096 tokens."
    return Figure(f"length-{name}", title, svg, caption, data)


def _at(row: dict[str, Any], path: Sequence[str]) -> float | None:
    value: Any = row
    for name in path:
        value = None if value is None else value[name]
    return value


def _length_table(rows: Sequence[dict[str, Any]], layout: str) -> Table:
    energy = any(row["joules_per_1000_tokens"] is not None for row in rows)
    head = (
        "model", "tokens", "forward, ms / 1,000 tokens", "training, ms / 1,000 tokens", "training, times the first",
        "memory, MiB", "operations, million, forward", *(["J / 1,000 tokens"] if energy else []),
    )  # fmt: skip
    body = []
    for row in rows:
        entries: list[Entry] = [row["contender"], Value(f"{row['length']:,}", row["length"])]
        entries += [
            _number(_at(row, ("forward_ms_per_1000_tokens", "median")), ".2f"),
            _number(_at(row, ("step_ms_per_1000_tokens", "median")), ".2f"),
            _number(_at(row, ("step_ratio", "median")), ".2f"),
            _number(None if row["peak_bytes"] is None else row["peak_bytes"] / _MIB, ",.0f"),
            _number(row["operations"]["forward"] / 1e6, ",.1f"),
        ]
        entries += [_number(row["joules_per_1000_tokens"], ".2f")] if energy else []
        body.append(tuple(entries))
    reason = next((row["energy_reason"] for row in rows if row["energy_reason"]), None)
    note = "Medians; times the first: below 1 is faster than the first mixer. Operations of one text, 2 a multiply-add."
    note += layout
    if len(rows) < len({row["contender"] for row in rows}) * len({row["length"] for row in rows}):
        note += " A mixer has no row beyond the length it takes."
    if any(row["out_of_memory"] for row in rows):
        note += " Where numbers are missing, memory ran out."
    if reason and not energy:
        note += f" Energy is left out: {reason}."
    return Table("By length", head, tuple(body), note)


def _number(value: float | None, form: str) -> Entry:
    return None if value is None else Value(format(value, form), value)


def _learning(comparison: Comparison, filled: Filled) -> list[Section]:
    series, rows = [], []
    for name in names(comparison):
        found = [(p, picked(filled, row=name, final=True, percent=p)) for p in (*comparison.parts, 100)]
        done = [(p, runs, runs.interval(_part(runs))) for p, runs in found if runs.answered("evaluation")]
        rows += [_diverged(name, p, runs) for p, runs in found if runs.rows and not runs.done]
        if not done:
            continue
        mean, low, high = ([100 * getattr(i, end) for _, _, i in done] for end in ("mean", "low", "high"))
        baseline = name in {each.label for each in BASELINES.values()}
        series.append(Series(name, [float(p) for p, _, _ in done], mean, low, high, dashed=baseline))
        for p, runs, interval in done:
            examples, score = runs.done[0]["cost"]["examples"], 100 * interval.mean
            lost = f", {runs.diverged} of {len(runs.rows)} diverged" if runs.diverged else ""
            shown = Value(f"{score:.1f}{lost}", score)
            rows.append((name, Value(f"{p:g}", p), Value(f"{examples:,}", examples), shown))
    if not series:
        return []
    svg = curves(series, x_label="training texts, %", y_label="accuracy, %", log_x=True)
    data = {one.name: dict(zip(map(str, one.x), one.y, strict=True)) for one in series}
    caption = "Nested parts of the training texts. Bands: 95 % intervals. Dashed: baselines."
    figure = Figure("learning", "Accuracy by training texts", svg, caption, data)
    note = (
        "The learning rate is the one that is best with all texts; it is not tuned again for the parts. Tokenizers are"
        " trained on the part."
    )
    head = ("model", "texts, %", "texts", "accuracy, %")
    return [Section("D: what training texts are worth", (figure, Table("Parts", head, tuple(rows), note)))]


def _part(runs: Runs) -> str:
    return "test" if runs.answered("test") else "evaluation"


def _diverged(name: str, percent: float, runs: Runs) -> tuple[Entry, ...]:
    said = f"{runs.diverged} of {len(runs.rows)} runs diverged"
    return (name, Value(f"{percent:g}", percent), None, Value(said, math.nan))


def _tuning(comparison: Comparison, filled: Filled) -> list[Section]:
    series: list[Series] = []
    rows: list[tuple[Entry, ...]] = []
    for variant in comparison.variants:
        cells = [cell for cell in matching(filled.cells, row=variant.name) if "trial" in cell.tags]
        results = [100 * accuracy(filled.rows[cell.key], "evaluation") for cell in cells if cell.key in filled.rows]
        if not results:
            continue
        exact, unbiased, band = expected_maximum(results), expected_maximum_unbiased(results), bootstrap_band(results)
        k = [float(n + 1) for n in range(len(results))]
        series.append(Series(variant.name, k, list(exact), list(band.low), list(band.high)))
        for n in range(len(results)):
            span = Value(f"{band.low[n]:.1f} to {band.high[n]:.1f}", float(band.low[n]))
            expected, other = (_number(float(curve[n]), ".1f") for curve in (exact, unbiased))
            rows.append((variant.name, n + 1, expected, span, other))
    if not series:
        return []
    svg = curves(series, x_label="trials", y_label="expected best validation accuracy, %")
    data = {one.name: dict(zip(map(str, one.x), one.y, strict=True)) for one in series}
    figure = Figure("tuning", "Expected best of k trials", svg, "Bands: 95 % of the resamples of the trials.", data)
    space, layout = comparison.space, EncoderConfig(**comparison.common.encoder.config).layout
    note = (
        f"Random search: learning rate log-uniform from {space.lr_low:.2g} to {space.lr_high:.2g}, dropout from"
        f" {space.dropout_low:g} to {space.dropout_high:g}, the same trials for all, in layout {layout}; a trial that"
        " diverges counts as the commonest label. The trials are in search.db, for Optuna's tools."
    )
    head = ("model", "trials", "expected best, %", "95 % band", "unbiased, %")
    return [Section("H: what tuning costs", (figure, Table("Expected best", head, tuple(rows), note)))]

"""Figure 2 of HyperMixer (arXiv 2203.03691): time of one token-mixing layer by length of the text."""

from typing import Any

from hypermixer.report.figures import Series, curves
from hypermixer.report.page import Entry, Figure, Section, Table, Value
from hypermixer.studies.cell import Cell, Results
from hypermixer.studies.figure2_claims import (
    EXPLANATION,
    LENGTHS,
    PRINTED,
    STANDS_FOR,
    claims_of,
    of,
    printed_ratio,
    ratio,
)
from hypermixer.studies.figure_claims import section, sentence
from hypermixer.studies.fill import Filled
from hypermixer.studies.study import Result, Study, tables

SCALES = {
    "smoke": {"lengths": LENGTHS[:2], "repetitions": 8},
    "small": {"lengths": LENGTHS, "repetitions": 1000},
    "full": {"lengths": LENGTHS, "repetitions": 1000},
}
DEVIATIONS = (
    "The paper names neither processor, batch, data type nor threads; here they stand below.",
    "Attention is measured as it was then, with every weight written out, and as PyTorch evaluates it today.",
    "Contenders take turns, block of calls by block of calls; ratios are medians over the turns.",
)


def study(name: str, scale: str) -> Study:
    """Figure 2."""
    config = {**SCALES[scale], "lengths": list(SCALES[scale]["lengths"])}  # pyright: ignore[reportArgumentType]
    cell = Cell("layer", config, tags={"row": "all layers"})

    deviations = DEVIATIONS if scale != "smoke" else (*DEVIATIONS, "Two lengths and eight repetitions: noise.")

    def plan(results: Results) -> list[Cell]:
        return [cell]

    def result(filled: Filled) -> Result:
        return _result(filled.rows[cell.key]["rows"] if cell.key in filled.rows else [])

    return Study(name, "Figure 2: time of one token-mixing layer", scale, name, plan, result, deviations)


def _result(rows: list[dict[str, Any]]) -> Result:
    if not rows:
        return Result("The layers have not been timed.", ())
    found = claims_of(rows)
    claims, beside = section(EXPLANATION, found, "middle half of the ratios"), _beside(rows)
    sections = (
        claims,
        Section("Time by length", (_figure(rows), _table(rows))),
        Section("Beside the paper", (beside,)),
        Section("Operations", (_ERRATA, _operations(rows))),
    )
    return Result(f"{_summary(rows)} {sentence(found)}", sections, (beside, *tables(claims)))


_ERRATA = (
    "The paper's axis of operations shows a tenth of what its own formulas give (921 million for HyperMixer at 1,000"
    " tokens, not 91). Its formula for attention leaves out the factor N of the projections, the output projection and"
    " most of the softmax, so short texts look cheaper than they are: corrected, attention needs as many operations as"
    " HyperMixer near 380 tokens, not near 900."
)


def _names(rows: list[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(row["contender"] for row in rows))


def _summary(rows: list[dict[str, Any]]) -> str:
    longest = max(row["tokens"] for row in rows)
    shortest = min(row["tokens"] for row in rows)
    ours = {row["tokens"]: row["ratio_to_attention"]["median"] for row in of(rows, "hypermixing")}
    published = {row["tokens"]: row["ratio_to_attention"]["median"] for row in of(rows, "hypermixing as published")}
    return (
        f"One HyperMixing layer of ours takes {ours[shortest]:.2f} times as long as today's attention at {shortest}"
        f" tokens and {ours[longest]:.2f} times at {longest:,}; written as the paper has it, it takes"
        f" {published[shortest]:.2f} and {published[longest]:.2f} times as long."
    )


def _figure(rows: list[dict[str, Any]]) -> Figure:
    series = [
        Series(
            name,
            [row["tokens"] for row in of(rows, name)],
            [row["seconds_per_1000"]["median"] for row in of(rows, name)],
            dashed="attention" in name,
        )
        for name in _names(rows)
    ]
    svg = curves(series, x_label="tokens", y_label="seconds for 1,000 texts", log_x=True, log_y=True)
    data = {one.name: dict(zip(map(str, one.x), one.y, strict=True)) for one in series}
    return Figure("layer-times", "One layer, one text at a time", svg, "Medians; dashed: attention.", data)


def _table(rows: list[dict[str, Any]]) -> Table:
    body: list[tuple[Entry, ...]] = [
        (
            row["contender"],
            Value(f"{row['tokens']:,}", row["tokens"]),
            Value(f"{row['seconds_per_1000']['median']:.3f}", row["seconds_per_1000"]["median"]),
            Value(f"{row['ratio_to_attention']['median']:.2f}", row["ratio_to_attention"]["median"]),
            Value(f"{row['repetitions']:,}", row["repetitions"]),
            row["how"],
        )
        for row in rows
    ]
    head = ("layer", "tokens", "s for 1,000 texts", "times attention", "repetitions", "how")
    return Table(
        "All layers",
        head,
        tuple(body),
        "Times attention: the time over that of today's attention with 8 heads; below 1 is faster.",
    )


def _beside(rows: list[dict[str, Any]]) -> Table:
    body: list[tuple[Entry, ...]] = []
    mixing, attention = (of(rows, name) for name in STANDS_FOR)
    for ours, theirs in zip(mixing, attention, strict=True):
        place = LENGTHS.index(ours["tokens"])
        seconds = [row["seconds_per_1000"]["median"] for row in (ours, theirs)]
        printed = [PRINTED[name][0][place] for name in STANDS_FOR.values()]
        times, paper = ratio(ours, theirs).mean, printed_ratio(ours["tokens"])
        body.append((
            Value(f"{ours['tokens']:,}", ours["tokens"]),
            Value(f"{seconds[0]:.3f}", seconds[0]),
            Value(f"{printed[0]:.2f}", printed[0]),
            Value(f"{seconds[1]:.3f}", seconds[1]),
            Value(f"{printed[1]:.2f}", printed[1]),
            Value(f"{times:.2f}", times),
            Value(f"{paper:.2f}", paper),
            Value(f"{times - paper:+.2f}", times - paper),
        ))  # fmt: skip
    head = (
        "tokens", "HyperMixing, s", "paper, s", "attention, s", "paper's attention, s", "HyperMixing / attention",
        "paper's ratio", "difference",
    )  # fmt: skip
    note = (
        "Both layers as they were written then, attention with 8 heads and every weight formed. The machines differ, so"
        " compare ratios, not seconds. The paper's are read off its curves, which have no deviations; it names no unit."
    )
    return Table("Seconds for 1,000 texts", head, tuple(body), note)


def _operations(rows: list[dict[str, Any]]) -> Table:
    body: list[tuple[Entry, ...]] = []
    for name, theirs in STANDS_FOR.items():
        for row in of(rows, name):
            axis = PRINTED[theirs][1][LENGTHS.index(row["tokens"])]
            counts = [row[f"operations_{kind}"] for kind in ("counted", "corrected", "printed")]
            body.append((
                name,
                Value(f"{row['tokens']:,}", row["tokens"]),
                *(Value(f"{count / 1e6:,.1f}", count) for count in counts),
                Value(f"{axis:,}", axis),
            ))  # fmt: skip
    head = ("layer", "tokens", "counted", "formula, corrected", "formula as printed", "axis of the paper's figure")
    return Table("Millions of operations", head, tuple(body), "Counted: matrix products as they run, 2 a multiply-add.")

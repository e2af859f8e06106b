"""Targets beside what was measured, with the bound that the counted operations set: made by the program, not typed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from benchmarks.timing import ratio

Row = dict[str, Any]
Kind = Literal["ratio", "fraction"]


@dataclass(frozen=True)
class Target:
    """A number that rows of HyperMixing are held to.

    Attributes:
        kind: `ratio`: times as fast as `against`; `fraction`: of the matrix-product rate of the same run.
        least: by dtype; a dtype that is not named has no target, and its rows are shown without one.
        first_length: rows of shorter inputs are not shown.
    """

    name: str
    kind: Kind
    heads: int
    tied: bool
    passes: tuple[str, ...] = ("forward", "forward+backward")
    against: str = "attention"
    least: tuple[tuple[str, float], ...] = ()
    first_length: int = 1

    def least_for(self, dtype: str) -> float | None:
        return dict(self.least).get(dtype)


_NOT_SLOWER = (("float32", 1.0), ("bfloat16", 1.0))

TARGETS = (
    Target("1 head, tied, over attention", "ratio", 1, True),
    Target("4 heads, tied, over attention", "ratio", 4, True, least=_NOT_SLOWER),
    *(
        Target(f"{heads} head{'s' * (heads > 1)}, untied, over the official order", "ratio", heads, False,
               against="official_order", least=_NOT_SLOWER)
        for heads in (1, 4)
    ),
    *(
        Target(f"{heads} head{'s' * (heads > 1)}, {'tied' if tied else 'untied'}, over reference.py", "ratio", heads,
               tied, against="reference", least=_NOT_SLOWER)
        for heads in (1, 4) for tied in (True, False)
    ),
    Target("1 head, tied, of the matrix-product rate", "fraction", 1, True, ("forward",),
           least=(("float32", 0.8), ("bfloat16", 0.7)), first_length=512),
    Target("1 head, tied, of the matrix-product rate", "fraction", 1, True, ("forward+backward",), first_length=512),
)  # fmt: skip


@dataclass(frozen=True)
class Result:
    """One target at one length: what was measured, and what no code with these operations could exceed in this run."""

    target: Target
    pass_name: str
    length: int
    least: float | None
    measured: float
    bound: float

    @property
    def met(self) -> bool | None:
        return None if self.least is None else self.measured >= self.least


def results(rows: Sequence[Row], targets: Sequence[Target] = TARGETS) -> Iterator[Result]:
    """Every target at every length that `rows` (of one dtype) hold, with its contender where it is one of two."""
    for target in targets:
        for pass_name in target.passes:
            for row in rows:
                wanted = ("hypermixing", pass_name, target.heads, target.tied)
                if (row["contender"], row["pass"], row["heads"], row["tied"]) != wanted:
                    continue
                if row["length"] < target.first_length:
                    continue
                numbers = _numbers(target, row, rows)
                if numbers is not None:
                    yield Result(target, pass_name, row["length"], target.least_for(row["dtype"]), *numbers)


def _numbers(target: Target, row: Row, rows: Sequence[Row]) -> tuple[float, float] | None:
    if target.kind == "fraction":
        return row["fraction_of_matrix_rate"], row["flops"] / row["least_seconds"] / row["matrix_flops_per_second"]
    peer = next((other for other in rows if _is_peer(other, target, row)), None)
    if peer is None:
        return None
    return ratio(peer["rounds"], row["rounds"]).median, peer["seconds"]["median"] / row["least_seconds"]


def _is_peer(other: Row, target: Target, row: Row) -> bool:
    if (other["contender"], other["pass"], other["length"]) != (target.against, row["pass"], row["length"]):
        return False
    return target.against == "attention" or (other["heads"], other["tied"]) == (row["heads"], row["tied"])


def table(rows: Sequence[Row], targets: Sequence[Target] = TARGETS) -> str:
    """Markdown: a line per target and pass, a column per length: measured / bound, and an x where one is missed."""
    found = list(results(rows, targets))
    lengths = sorted({r.length for r in found})
    lines = [
        "Measured / bound. The bound: the counted operations at the matrix-product rate, or the bytes at the copy rate,"
        " whichever takes longer. An x marks a missed target.",
        "",
        "| target | pass | at least | " + " | ".join(f"{n:,}" for n in lengths) + " |",
        "|---|---|---|" + "---|" * len(lengths),
    ]
    for target in targets:
        for pass_name in target.passes:
            here = {r.length: r for r in found if r.target == target and r.pass_name == pass_name}
            if not here:
                continue
            least = next(iter(here.values())).least
            cells = [_cell(here[n]) if n in here else "" for n in lengths]
            goal = "-" if least is None else _number(target, least)
            lines.append(f"| {target.name} | {pass_name} | {goal} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def memory_table(rows: Sequence[Row]) -> str:
    """Markdown: a training step's memory beside what the hidden activations alone would take."""
    first = rows[0]
    lines = [
        f"Memory of one training step of the layer, batch {first['batch']}, length {first['length']}, {first['dtype']}:"
        f" the hidden activations [K, D] of all sequences would take {first['hidden_bytes'] / 1e6:.1f} MB.",
        "",
        "| | kept for the backward pass, MB | highest point, MB | hidden activations kept |",
        "|---|---|---|---|",
    ]
    for row in rows:
        tied = {True: ", tied", False: ", untied", None: ""}[row["tied"]]
        holds = "-" if row["contender"] == "attention" else "yes" if row["kept_bytes"] >= row["hidden_bytes"] else "no"
        lines.append(
            f"| {row['contender']}{tied} | {row['kept_bytes'] / 1e6:.1f} | {row['peak_bytes'] / 1e6:.1f} | {holds} |"
        )
    return "\n".join(lines) + "\n"


def _cell(result: Result) -> str:
    measured, bound = _number(result.target, result.measured), _number(result.target, result.bound)
    return f"{measured} / {bound}{' x' if result.met is False else ''}"


def _number(target: Target, value: float) -> str:
    return f"{value:.0%}" if target.kind == "fraction" else f"{value:.2f}" if value < 10 else f"{value:.0f}"

"""Targets beside what was measured, with the bound that the counted operations set: made by the program, not typed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from hypermixer.costs.timing import ratio

Row = dict[str, Any]
Kind = Literal["ratio", "fraction"]


#: The part of a bound that counts as reached where the bound forbids more.
OF_THE_BOUND = 0.85

#: (dtype, pass) -> what is wanted from each of these lengths on, up to the next.
Least = Mapping[tuple[str, str], Sequence[tuple[int, float]]]


@dataclass(frozen=True)
class Target:
    """A number that rows of HyperMixing are held to.

    Attributes:
        kind: `ratio`: times as fast as `against`; `fraction`: of the matrix-product rate of the same run.
        least: by dtype and pass; where none is named there is no target, and rows are shown without one.
        first_length: rows of shorter inputs are not shown.
    """

    name: str
    kind: Kind
    heads: int
    tied: bool
    passes: tuple[str, ...] = ("forward", "forward+backward")
    against: str = "attention"
    least: Least = field(default_factory=dict, hash=False)
    first_length: int = 1

    def least_for(self, dtype: str, pass_name: str, length: int) -> float | None:
        steps = [value for first, value in self.least.get((dtype, pass_name), ()) if first <= length]
        return steps[-1] if steps else None


def _steps(dtype: str, pass_name: str, *values: float, first: int = 32) -> Least:
    """One value for each doubling of the length."""
    return {(dtype, pass_name): [(first * 2**i, value) for i, value in enumerate(values)]}


def _always(*steps: tuple[int, float]) -> Least:
    return {(dtype, p): steps for dtype in ("float32", "bfloat16") for p in ("forward", "forward+backward")}


TARGETS = (
    Target("1 head, tied, over attention", "ratio", 1, True, least={
        **_steps("float32", "forward", 0.5, 0.7, 0.72, 0.9, 1.8, 4, 7.5, 14, 27, 55),
        **_steps("float32", "forward+backward", 0.42, 0.64, 0.74, 1.2, 2, 4.2, 8, 16, 31),
        **_steps("bfloat16", "forward", 0.75, 1.01, 1.5, 2.19, 5.06, 10.6, 21.9, 44.9, 93.2, 193),
    }),
    Target("4 heads, tied, over attention", "ratio", 4, True, least={
        **_steps("float32", "forward", 2, 2.2, 3, 4, 6, 10, 20, 35, 60, 125),
        **_steps("float32", "forward+backward", 1.9, 2, 2.8, 5, 5.8, 11, 21, 36, 62),
        **_steps("bfloat16", "forward", 2.07, 2.53, 4.26, 7.02, 12.7, 25.3, 42.6, 82.8, 169, 314),
        **_steps("bfloat16", "forward+backward", 1.0),
    }),
    *(
        Target(f"{heads} head{'s' * (heads > 1)}, untied, over the official order", "ratio", heads, False,
               against="official_order", least=_always((1, 1.0), (1024, 3.0)))
        for heads in (1, 4)
    ),
    *(
        Target(f"{heads} head{'s' * (heads > 1)}, {'tied' if tied else 'untied'}, over reference.py", "ratio", heads,
               tied, against="reference", least=_always((1, 1.0), (1024, 1.5)))
        for heads in (1, 4) for tied in (True, False)
    ),
    Target("1 head, tied, of the matrix-product rate", "fraction", 1, True, first_length=512, least={
        (dtype, p): [(512, least)]
        for dtype, least in (("float32", 0.8), ("bfloat16", 0.7)) for p in ("forward", "forward+backward")
    }),
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
    def forbidden(self) -> bool:
        """Whether the bound lies below what is wanted."""
        return self.least is not None and self.bound < self.least

    @property
    def met(self) -> bool | None:
        """A forbidden target is met at `OF_THE_BOUND` of the bound."""
        if self.least is None:
            return None
        return self.measured >= (OF_THE_BOUND * self.bound if self.forbidden else self.least)


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
                    least = target.least_for(row["dtype"], pass_name, row["length"])
                    yield Result(target, pass_name, row["length"], least, *numbers)


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
    """Markdown: a line per target and pass, a column per length: measured, wanted and bound, and an x where missed."""
    found = list(results(rows, targets))
    lengths = sorted({r.length for r in found})
    lines = [
        "Measured (wanted; bound). The bound: the counted operations at the matrix-product rate, or the bytes at the"
        f" copy rate, whichever takes longer. Where it forbids what is wanted, {OF_THE_BOUND:.0%} of it is wanted. An x"
        " marks a missed target.",
        "",
        "| HyperMixing | pass | " + " | ".join(f"{n:,}" for n in lengths) + " |",
        "|---|---|" + "---|" * len(lengths),
    ]
    for target in targets:
        for pass_name in target.passes:
            here = {r.length: r for r in found if r.target == target and r.pass_name == pass_name}
            if not here:
                continue
            cells = [_cell(here[n]) if n in here else "" for n in lengths]
            lines.append(f"| {target.name} | {pass_name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def memory_table(rows: Sequence[Row]) -> str:
    """Markdown: a training step's memory beside what the hidden activations alone would take."""
    first = rows[0]
    lines = [
        f"Memory of one training step of the layer, batch {first['batch']}, length {first['length']}, {first['dtype']}:"
        f" the hidden activations [K, D] of all sequences would take {first['hidden_bytes'] / 1e6:.1f} MB.",
        "",
        "| | kept for the backward pass, MB | highest point, MB | working memory, MB | hidden activations kept |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        tied = {True: ", tied", False: ", untied", None: ""}[row["tied"]]
        holds = "-" if row["contender"] == "attention" else "yes" if row["kept_bytes"] >= row["hidden_bytes"] else "no"
        lines.append(
            f"| {row['contender']}{tied} | {row['kept_bytes'] / 1e6:.1f} | {row['peak_bytes'] / 1e6:.1f} |"
            f" {row['working_bytes'] / 1e6:.1f} | {holds} |"
        )
    return "\n".join(lines) + "\n"


def _cell(result: Result) -> str:
    measured, bound = _number(result.target, result.measured), _number(result.target, result.bound)
    wanted = "-" if result.least is None else _number(result.target, result.least)
    return f"{measured} ({wanted}; {bound}){' x' if result.met is False else ''}"


def _number(target: Target, value: float) -> str:
    return f"{value:.0%}" if target.kind == "fraction" else f"{value:.2f}" if value < 10 else f"{value:.0f}"

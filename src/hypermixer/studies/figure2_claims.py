"""What Figure 2 of HyperMixer (arXiv 2203.03691) prints, and at which lengths its claim holds in our times."""

from typing import Any

from hypermixer.costs.statistics import Interval
from hypermixer.report.page import Value
from hypermixer.studies.claims import FAILS, HOLDS, OPEN
from hypermixer.studies.figure_claims import Finding, decided

LENGTHS = (64, 125, 250, 500, 1000, 2000, 4000)
#: Read off the paper's curves: time for 1,000 examples, presumably seconds, and the axis of operations in millions.
PRINTED = {
    "hypermixing": ((4.63, 4.77, 4.80, 4.98, 5.12, 6.21, 6.93), (6, 11, 23, 45, 91, 183, 368)),
    "attention": ((7.12, 7.16, 7.63, 7.35, 7.72, 9.27, 15.67), (0, 1, 6, 25, 101, 410, 1638)),
}
#: Which of our contenders stands for which of the paper's curves.
STANDS_FOR = {"hypermixing as published": "hypermixing", "written-out attention, 8 heads": "attention"}
#: As it is evaluated today, to which all ratios are.
BASELINE = "attention, 8 heads"
#: What is compared: the claim, the layer that is said to be faster, and than which.
_PAIRS = (
    ("HyperMixing is faster than attention, both as they were then", *STANDS_FOR),
    ("HyperMixing as published is faster than today's attention", "hypermixing as published", BASELINE),
    ("HyperMixing of ours is faster than today's attention", "hypermixing", BASELINE),
)
EXPLANATION = (
    "The paper has one HyperMixing layer faster than one of attention at every length. Ratios of times, the first layer"
    " over the second, below 1 where the first is faster. Decided where the middle half of the ratios, from turn to"
    " turn, lies on one side of 1. Each layer's ratio to today's attention was taken turn by turn; where neither of two"
    " is that one, the ends of both are put together, which is wider than the middle half."
)


def claims_of(rows: list[dict[str, Any]]) -> list[Finding]:
    """At each length, of each pair of layers."""
    return [finding for pair in _PAIRS for finding in _claims(rows, *pair)]


def of(rows: list[dict[str, Any]], contender: str) -> list[dict[str, Any]]:
    """The rows of a layer, by length."""
    return [row for row in rows if row["contender"] == contender]


def ratio(over: dict[str, Any], under: dict[str, Any]) -> Interval:
    """Time over time, by way of the ratios of both to today's attention in the same turn."""
    a, b = over["ratio_to_attention"], under["ratio_to_attention"]
    return Interval(a["median"] / b["median"], a["low"] / b["high"], a["high"] / b["low"])


def _claims(rows: list[dict[str, Any]], claim: str, over: str, under: str) -> list[Finding]:
    found = []
    for one, other in zip(of(rows, over), of(rows, under), strict=True):
        times = ratio(one, other)
        paper = printed_ratio(one["tokens"]) if under in STANDS_FOR else None
        found.append(
            Finding(
                claim,
                f"{one['tokens']:,} tokens",
                {HOLDS: FAILS, FAILS: HOLDS}.get(decided(times, 1), OPEN),  # faster is less
                Value(f"{times.mean:.2f}", times.mean),
                f"{times.low:.2f} to {times.high:.2f}",
                None if paper is None else Value(f"{paper:.2f}", paper),
            )
        )
    return found


def printed_ratio(tokens: int) -> float:
    mixing, attention = (PRINTED[name][0][LENGTHS.index(tokens)] for name in STANDS_FOR.values())
    return mixing / attention

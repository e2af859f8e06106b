"""Claims of the paper that are not an order of two means of its tables, held against our runs one by one."""

from collections.abc import Sequence
from dataclasses import dataclass

from hypermixer.costs.statistics import Interval
from hypermixer.report.page import Entry, Section, Table, Value
from hypermixer.studies.claims import FAILS, HOLDS, OPEN

_LACKS = "lacks runs"


@dataclass(frozen=True)
class Finding:
    """What our runs say of a claim in one place.

    Attributes:
        claim: a clause, as in "that ... holds".
        where: the place, such as a data set or a length.
        word: `HOLDS`, `FAILS`, `OPEN`, or what is wanting of the runs.
        ours: the number that decides; None without one.
        interval: how far it moves, in words; None without one.
        paper: the paper's number; None where it prints none.
    """

    claim: str
    where: str
    word: str
    ours: Entry = None
    interval: str | None = None
    paper: Entry = None


def decided(found: Interval, than: float = 0) -> str:
    """Whether a number lies above `than` by more than it moves."""
    return HOLDS if found.low > than else FAILS if found.high < than else OPEN


def greater(claim: str, where: str, found: Interval, paper: float | None, unit: str, theirs: str) -> Finding:
    """A claim that a number is above zero, with the unit of ours and that of the paper's."""
    printed = None if paper is None else Value(f"{paper:+.1f} {theirs}", paper)
    ours = Value(f"{found.mean:+.1f} {unit}", found.mean)
    return Finding(claim, where, decided(found), ours, f"{found.low:+.1f} to {found.high:+.1f}", printed)


def in_percent(found: Interval) -> Interval:
    """Of fractions."""
    return Interval(100 * found.mean, 100 * found.low, 100 * found.high)


def lacking(claim: str, where: str, reason: str) -> Finding:
    """A claim that cannot be checked for want of runs."""
    return Finding(claim, where, reason)


def section(explanation: str, found: Sequence[Finding], spread: str = "95 % interval") -> Section:
    """Where each claim holds in these runs, where it does not, and where they cannot tell.

    Args:
        explanation: what is compared, and what decides.
        found: a row each.
        spread: what the interval is.
    """
    head = ("claim", "where", "in these runs", "ours", spread, "paper's")
    rows = tuple(
        (one.claim, one.where, Value(one.word, strong=one.word in (HOLDS, FAILS)), one.ours, one.interval, one.paper)
        for one in found
    )
    return Section("The paper's claims in these runs", (explanation, Table("Claims", head, rows)))


def sentence(found: Sequence[Finding]) -> str:
    """Of each claim with any result, where it holds, where it does not and where that cannot be decided."""
    claims = dict.fromkeys(one.claim for one in found if one.word in (HOLDS, FAILS, OPEN))
    return " ".join(_of_claim(claim, found) for claim in claims)


def _of_claim(claim: str, found: Sequence[Finding]) -> str:
    places: dict[str, list[str]] = {word: [] for word in (HOLDS, FAILS, OPEN, _LACKS)}
    for one in found:
        if one.claim == claim:
            places[one.word if one.word in places else _LACKS].append(one.where)
    said = [f"{word} for {', '.join(names)}" for word, names in places.items() if names]
    return f"That {claim} {'; '.join(said)}."

"""The paper's claims, one model above or below another, held against our runs."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from hypermixer.costs.statistics import Interval
from hypermixer.report.page import Entry, Section, Table, Value
from hypermixer.studies.beside_paper import FLOOR, final, gap, signed
from hypermixer.studies.fill import Filled
from hypermixer.studies.models import TASKS, Model
from hypermixer.studies.scores import minus
from hypermixer.studies.tasks import Scale, Task

HOLDS, FAILS, OPEN = "holds", "does not hold", "cannot be decided"
_EXPLANATION = (
    "Each claim is an order of two means in the paper. It holds, or does not hold, where the 95 % interval of our"
    " difference lies on one side of zero; the interval comes from resampling the examples, the same for both models,"
    " and the runs. Of twenty such intervals about one misses by chance, and with few seeds they are somewhat too"
    " narrow. Where both models stay below the linear baseline, their order says little."
)


@dataclass(frozen=True)
class Claim:
    """That two models differ.

    Attributes:
        first, second: the models.
        about: what it would show.
    """

    first: Model
    second: Model
    about: str = ""


@dataclass(frozen=True)
class Verdict:
    """What our runs say of a claim on a data set.

    Attributes:
        claim, task: which.
        printed: the paper's difference, first less second, in points of validation accuracy.
        word: `HOLDS`, `FAILS`, `OPEN`, or what is wanting of the runs.
        part: the texts: test where there are any, else evaluation.
        interval: of our difference, as fractions; None without one.
        weak: whether both models are below the linear baseline; None where one of the three has no number.
    """

    claim: Claim
    task: Task
    printed: float
    word: str
    part: str = ""
    interval: Interval | None = None
    weak: bool | None = None


def verdicts(filled: Filled, scale: Scale, claims: Sequence[Claim]) -> list[Verdict]:
    """Of each claim on each data set."""
    return [_verdict(filled, task, claim) for claim in claims for task in scale.tasks]


def _verdict(filled: Filled, task: Task, claim: Claim) -> Verdict:
    column = TASKS.index(task.paper)
    printed = round(claim.first.printed.validation[column] - claim.second.printed.validation[column], 1)
    both = {m.variant.name: final(filled, task, m.variant.name) for m in (claim.first, claim.second)}
    if missing := [f"{name}: {gap(runs)}" for name, runs in both.items() if gap(runs)]:
        return Verdict(claim, task, printed, "; ".join(missing))
    first, second = both.values()
    part = first.part()
    interval = minus(first, second, part)
    floor = final(filled, task, FLOOR)
    weak = None
    if floor.has(part):
        weak = max(first.summary(part)[0], second.summary(part)[0]) < floor.summary(part)[0]
    return Verdict(claim, task, printed, _word(interval, printed), part, interval, weak)


def _word(interval: Interval, printed: float) -> str:
    if interval.low <= 0 <= interval.high:
        return OPEN
    return HOLDS if (interval.low > 0) == (printed > 0) else FAILS


def tally(found: Sequence[Verdict]) -> str:
    """All verdicts in a sentence or two."""
    counts = Counter(verdict.word for verdict in found)
    holds, fails, undecided = (counts[word] for word in (HOLDS, FAILS, OPEN))
    without = len(found) - holds - fails - undecided
    if without == len(found):
        return "No claim of the paper can be checked yet: the runs are not there, or diverged."
    rest = f" {without} lack runs." if without else ""
    weak = sum(verdict.weak is True for verdict in found)
    below = f" In {weak} of them both models stay below the linear baseline." if weak else ""
    return (
        f"Of {len(found)} comparisons of two models in the paper, these runs confirm {holds}, contradict {fails} and"
        f" cannot decide {undecided}.{rest}{below}"
    )


def section(found: Sequence[Verdict]) -> Section:
    """Where each claim holds in these runs, where it does not, and where they cannot tell."""
    head = ("claim", "data set", "in these runs", "difference", "95 % interval", "paper's", "linear baseline")
    note = (
        "Differences: first model less second, in points; ours on test texts where there are any, else validation;"
        " the paper's on validation, * where they lie within the sum of its own deviations."
    )
    rows = tuple(map(_row, found))
    return Section("The paper's claims in these runs", (_EXPLANATION, Table("Claims", head, rows, note)))


def ahead_of_all(found: Sequence[Verdict]) -> str:
    """On which texts the first model of these claims is above all others by more than noise; it is the same in all."""
    by_task: dict[str, list[Verdict]] = {}
    for verdict in found:
        by_task.setdefault(verdict.task.name, []).append(verdict)
    whole = [each for each in by_task.values() if all(verdict.interval is not None for verdict in each)]
    if not whole:
        return "On no data set can the first place be told: runs are missing, or diverged."
    name = found[0].claim.first.variant.name
    leads = [each[0] for each in whole if all(one.interval is not None and one.interval.low > 0 for one in each)]
    behind = [each[0] for each in whole if any(one.interval is not None and one.interval.high < 0 for one in each)]
    lacking = f" ({len(by_task) - len(whole)} lack runs)" if len(whole) < len(by_task) else ""
    return (
        f"{name} is ahead of all others by more than noise on {_listed(leads)} of {len(whole)} data sets{lacking}, and"
        f" behind some other on {_listed(behind)}."
    )


def _listed(found: Sequence[Verdict]) -> str:
    return f"{len(found)}{f' ({_places(found)})' if found else ''}"


def _places(found: Sequence[Verdict]) -> str:
    return "; ".join(f"{verdict.task.name}, {_PARTS[verdict.part]} texts" for verdict in found)


def _row(verdict: Verdict) -> tuple[Entry, ...]:
    claim, found = verdict.claim, verdict.interval
    order = "above" if verdict.printed > 0 else "below"
    text = f"{claim.first.variant.name} {order} {claim.second.variant.name}"
    where = verdict.task.name if not verdict.part else f"{verdict.task.name} ({_PARTS[verdict.part]})"
    return (
        f"{text} ({claim.about})" if claim.about else text,
        where,
        Value(verdict.word, strong=verdict.word in (HOLDS, FAILS)),
        signed(None if found is None else 100 * found.mean),
        None if found is None else f"{100 * found.low:+.1f} to {100 * found.high:+.1f}",
        Value(f"{verdict.printed:+.1f}{' *' if _unsure(verdict) else ''}", verdict.printed),
        None if verdict.weak is None else "both below" if verdict.weak else "not both below",
    )


def _unsure(verdict: Verdict) -> bool:
    """Whether the paper's own difference lies within its deviations."""
    column = TASKS.index(verdict.task.paper)
    first, second = (model.printed.deviation[column] for model in (verdict.claim.first, verdict.claim.second))
    return abs(verdict.printed) <= round(first + second, 2)


_PARTS = {"test": "test", "evaluation": "validation"}

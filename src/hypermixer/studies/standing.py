"""How the rows of a comparison stand to each other: means with intervals, who is on the front, what to choose."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from hypermixer.costs.statistics import Interval, pareto_front
from hypermixer.studies.scores import Runs, minus

#: What the texts of a part are called.
TEXTS = {"test": "test", "evaluation": "validation"}
#: An interval that reaches further leaves open what would matter to most.
_WIDE = 0.03
#: Below so many texts a choice is hardly more than a guess: the interval of an accuracy spans 14 points at 80 %.
_FEW = 200


@dataclass(frozen=True)
class Standing:
    """A row that has results.

    Attributes:
        name: for people.
        runs: its runs at its best point of the grid.
        interval: of its mean accuracy, fractions.
        lead: its accuracy less that of the row which others are held against; None for that row.
        seconds: to train it once with the settings chosen, the median.
        per_1000: seconds to answer 1,000 texts, the median.
        on_front: whether no other row is both cheaper to train and better.
    """

    name: str
    runs: Runs
    interval: Interval
    lead: Interval | None
    seconds: float
    per_1000: float
    on_front: bool = False


def standings(rows: Sequence[tuple[str, Runs]], reference: str, part: str) -> list[Standing]:
    """Of the rows that have results on this part, in the order given."""
    done = {name: runs for name, runs in rows if runs.answered(part)}
    against = done.get(reference)
    found = []
    for name, runs in done.items():
        lead = minus(runs, against, part) if against is not None and name != reference else None
        per_1000 = 1000 * runs.median("metrics", part, "seconds") / _examples(runs, part)
        seconds = runs.median("cost", "train_seconds")
        found.append(Standing(name, runs, runs.interval(part), lead, seconds, per_1000))
    front = pareto_front([one.seconds for one in found], [one.interval.mean for one in found])
    return [replace(one, on_front=place in front) for place, one in enumerate(found)]


def advice(found: Sequence[Standing], part: str, chance: float, diverged: Sequence[str] = ()) -> str:
    """What to choose, in plain words: of the rows that cannot be told from the best, the cheapest to train.

    Few texts, and a choice that is not told from answering always alike, are said.

    Args:
        found: from `standings`.
        part: on which they were found.
        chance: share of the commonest label among these texts.
        diverged: rows of which some runs diverged.
    """
    said = [*_few(found, part), *_choice(found, part, chance), *_once(found)]
    if diverged:
        several = "runs" if len(diverged) > 1 else "a run"
        said.append(f"{_listed(diverged)} had {several} that diverged: try a lower learning rate.")
    return " ".join(said)


def in_seconds(time: float) -> str:
    """Seconds with as many digits as tell something."""
    return f"{time:,.0f}" if time >= 100 else f"{time:.1f}" if time >= 1 else f"{time:.2g}"


def _few(found: Sequence[Standing], part: str) -> list[str]:
    if not found or (count := _examples(found[0].runs, part)) >= _FEW:
        return []
    return [f"Too few texts to choose by: {count} {TEXTS[part]} texts leave much to luck."]


def _choice(found: Sequence[Standing], part: str, chance: float) -> list[str]:
    """Sentences: the choice, whether it is more than the commonest label, and whether more texts could change it."""
    if not found:
        return ["There are no results yet."]
    best = max(found, key=lambda one: one.interval.mean)
    leads = {one.name: minus(best.runs, one.runs, part) for one in found if one is not best}
    # What these texts cannot tell from the best; an interval that ends at 0 does not leave it out.
    level = [one for one in found if one is best or leads[one.name].low <= 0]
    choice = min(level, key=lambda one: (one.seconds, -one.interval.mean))
    said = [_chosen(found, part, level, leads, best, choice)]
    if choice.interval.low <= chance:
        said.append(
            f"{choice.name} is not told from answering always with the commonest label, which is right on"
            f" {100 * chance:.1f} %."
        )
    wide = choice is not best and leads[choice.name].high > _WIDE
    if wide or _few(found, part):
        said.append(f"More {TEXTS[part]} texts could change this.")
    return said


def _chosen(
    found: Sequence[Standing],
    part: str,
    level: Sequence[Standing],
    leads: Mapping[str, Interval],
    best: Standing,
    choice: Standing,
) -> str:
    where = f"on {_examples(found[0].runs, part):,} {TEXTS[part]} texts"
    if part == "evaluation":
        where += ", which chose the settings too"
    if len(found) == 1:
        return f"Only {found[0].name} has results: {_score(found[0])} {where}."
    if choice is not best:
        return (
            f"Choose {choice.name}: {_score(choice)} {where}, for {_cost(choice)}; {best.name} has {_score(best)} for"
            f" {_cost(best)}, and these texts cannot tell the two apart ({_points(leads[choice.name])})."
        )
    others = [one.name for one in level if one is not best]
    if others:
        verb = "costs" if len(others) == 1 else "cost"
        return (
            f"Choose {best.name}: {_score(best)} {where}, for {_cost(best)}, the highest; these texts cannot tell"
            f" {_listed(others)} from it, which {verb} as much or more."
        )
    second = max((one for one in found if one is not best), key=lambda one: one.interval.mean)
    return (
        f"Choose {best.name}: {_score(best)} {where}, the best; the next, {second.name}, has {_score(second)}"
        f" ({_points(leads[second.name])})."
    )


def _once(found: Sequence[Standing]) -> list[str]:
    trained = [one for one in found if one.runs.cells[0].kind == "train"]
    if trained and all(len(one.runs.rows) == 1 for one in trained):
        return ["Mixers ran with one seed: what another would change is in no interval."]
    return []


def _examples(runs: Runs, part: str) -> int:
    return int(runs.done[0]["metrics"][part]["examples"])


def _score(one: Standing) -> str:
    return f"{100 * one.interval.mean:.1f} %"


def _points(lead: Interval) -> str:
    low, high = 100 * lead.low, 100 * lead.high
    return f"{100 * lead.mean:.1f} points less, 95 % interval {low:.1f} to {high:.1f}"


def _cost(one: Standing) -> str:
    return f"{in_seconds(one.seconds)} s of training"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"

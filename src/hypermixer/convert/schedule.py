"""How many steps fit into a time, and on how many texts: measured before the first of them."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

#: Steps that are timed, after one that is not.
_TIMED = 3


@dataclass(frozen=True)
class Schedule:
    """What a conversion does.

    Attributes:
        pieces: of the corpus, from its beginning, that the teacher is asked for.
        steps: of each stage.
        measured: seconds of a step of each stage, and the teacher's tokens per second, where a time was asked for.
    """

    pieces: int
    steps: dict[str, int]
    measured: dict[str, float]


def timed(run: Callable[[], object]) -> float:
    """Seconds of one call: the median of some, after one that warms up."""
    run()
    taken = []
    for _ in range(_TIMED):
        start = time.perf_counter()
        run()
        taken.append(time.perf_counter() - start)
    return sorted(taken)[_TIMED // 2]


def fixed(stages: Sequence[str], steps: int, share: float, lengths: Sequence[int], batch_tokens: int) -> Schedule:
    """So many steps in all, on as many pieces as they can reach."""
    made = shares(stages, dict.fromkeys(stages, 1.0), steps, share)
    return Schedule(_reached(lengths, max(made.values()) * batch_tokens)[0], made, {})


def fitted(
    stages: Sequence[str],
    seconds: float,
    step_seconds: dict[str, float],
    teacher_tokens_per_second: float,
    lengths: Sequence[int],
    batch_tokens: int,
    share: float,
) -> Schedule:
    """What fits into so many seconds.

    With T tokens of the teacher's and a student that learns from v tokens a second, all texts are used where there is
    time for a pass over them, and otherwise as many as one pass has time for: U = T such that U / v_teacher + U / v is
    the whole time. A teacher that no stage asks in advance answers infinitely fast.
    """
    passing = [name for name in stages if name != "layerwise"] or stages
    cost = sum(step_seconds[name] for name in passing) / len(passing)
    student = batch_tokens / cost
    affordable = seconds / (1 / teacher_tokens_per_second + 1 / student)
    pieces, tokens = _reached(lengths, affordable)
    left = max(0.0, seconds - tokens / teacher_tokens_per_second)
    steps = shares(stages, step_seconds, left, share)
    measured = {f"{name} step seconds": round(step_seconds[name], 4) for name in stages}
    if teacher_tokens_per_second < float("inf"):
        measured["teacher tokens per second"] = round(teacher_tokens_per_second, 1)
    return Schedule(pieces, steps, measured)


def _reached(lengths: Sequence[int], wanted: float) -> tuple[int, int]:
    """How many pieces from the beginning hold so many tokens, and how many they do hold."""
    pieces, tokens = 0, 0
    while pieces < len(lengths) and (tokens < wanted or not pieces):
        tokens += lengths[pieces]
        pieces += 1
    return pieces, tokens


def shares(stages: Sequence[str], cost: dict[str, float], total: float, share: float) -> dict[str, int]:
    """Steps of each stage, at least one: `layerwise` beside others has its share of the total, they equal parts."""
    if len(stages) > 1 and stages[0] == "layerwise":
        parts = [share * total, *([(1 - share) * total / (len(stages) - 1)] * (len(stages) - 1))]
    else:
        parts = [total / len(stages)] * len(stages)
    return {name: max(1, int(part / cost[name])) for name, part in zip(stages, parts, strict=True)}

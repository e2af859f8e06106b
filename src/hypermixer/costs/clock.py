"""Where the seconds of a run go: training, evaluation, compilation, saving and pauses, across interruptions."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

#: `pauses` is the time between what an interrupted run last wrote and its resumption, lost work included.
PARTS = ("training", "evaluation", "compilation", "saving", "pauses")


class Clock:
    """Seconds of each part of a run; at most one part runs at a time.

    Args:
        state: what `state` gave before an interruption; the time since then counts as a pause. A part that it does not
            name starts from zero.

    Attributes:
        seconds: of each of `PARTS`, without what the part under way has taken so far.
    """

    def __init__(self, state: Mapping[str, Any] | None = None):
        state = state or {}
        before = state.get("seconds", {})
        self.seconds: dict[str, float] = {part: float(before.get(part, 0.0)) for part in PARTS}
        self._part: str | None = None
        self._since = 0.0
        if "at" in state:
            # A machine's clock may have been set back meanwhile.
            self.seconds["pauses"] += max(0.0, time.time() - state["at"])

    def switch(self, part: str | None) -> str | None:
        """End the part under way and begin another, or none; returns the one that ended."""
        now = time.perf_counter()
        before = self._part
        if before is not None:
            self.seconds[before] += now - self._since
        self._part, self._since = part, now
        return before

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """The part `name` runs inside; the one that ran before stands still meanwhile."""
        before = self.switch(name)
        try:
            yield
        finally:
            self.switch(before)

    def state(self) -> dict[str, Any]:
        """For a checkpoint: the seconds of all parts until now, and when that is (seconds since 1970)."""
        self.switch(self._part)
        return {"seconds": dict(self.seconds), "at": time.time()}

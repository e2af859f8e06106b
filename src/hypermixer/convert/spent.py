"""Seconds of the parts of a conversion, those before an interruption included."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypermixer.whole_file import write_whole

_FILE = "seconds.json"


class Spent:
    """Seconds by part, kept in a folder; a killed run loses those of the part under way.

    Args:
        folder: where an earlier run may have left its own.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / _FILE
        exists = self._path.exists()
        self.seconds: dict[str, float] = json.loads(self._path.read_text(encoding="utf-8")) if exists else {}

    def since(self, part: str, begin: float) -> None:
        """Count the time since `begin`, of `time.perf_counter`."""
        self.seconds[part] = self.seconds.get(part, 0.0) + time.perf_counter() - begin
        write_whole(self._path, json.dumps(self.seconds))

    @contextmanager
    def on(self, part: str) -> Iterator[None]:
        """Count the time inside, however it ends."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.since(part, begin)

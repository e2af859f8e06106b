"""A cell: one run, told to the last setting that can change its numbers."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from hypermixer.data.example import Dataset
from hypermixer.data.parts import Texts, parts_of
from hypermixer.settings import Settings
from hypermixer.studies.code import digest, module_of

#: What a cell's file holds, as plain values.
Row = dict[str, Any]
#: Rows by the key of their cell.
Results = dict[str, Row]

#: What runs each kind of cell: module and function, from configuration and texts to plain values.
RUNNERS = {
    "train": ("hypermixer.studies.training_run", "run"),
    "baseline": ("hypermixer.studies.baseline_run", "run"),
    "lengths": ("hypermixer.studies.measured", "lengths"),
    "layer": ("hypermixer.studies.measured", "layer"),
    "counts": ("hypermixer.studies.measured", "counts"),
}
#: Settings that say where a run runs; what it ran on stands in its row.
_PLACE = ("device", "threads")


@dataclass(frozen=True)
class Cell:
    """One run.

    Attributes:
        kind: of `RUNNERS`.
        config: plain values: everything that its numbers depend on beside texts and source.
        texts: which texts it takes, if any.
        tags: what pages call it by (`row`, `data`, ...); they do not tell cells apart.
    """

    kind: str
    config: dict[str, Any]
    texts: Texts | None = None
    tags: dict[str, Any] = field(default_factory=dict, compare=False)

    @cached_property
    def key(self) -> str:
        """Hash over kind, configuration, content of the texts and source (hexadecimal)."""
        return hashlib.sha256(json.dumps(self.identity, sort_keys=True).encode()).hexdigest()[:32]

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What the key is made from."""
        return {"kind": self.kind, "config": self.config, "texts": self._described(), "source": self.source}

    @property
    def source(self) -> str:
        """Digest of the source that can change this cell's numbers."""
        mixers = self.config.get("mixers") or [m for m in [self.config.get("mixer", {}).get("name")] if m]
        return digest(RUNNERS[self.kind][0], *module_of(mixers))

    @property
    def alone(self) -> bool:
        """Whether nothing else may run beside it on the machine, since it measures time."""
        return self.kind in ("lengths", "layer")

    def _described(self) -> dict[str, Any] | None:
        if self.texts is None:
            return None
        parts = parts_of(self.texts)
        named = {"train": parts.train, "evaluation": parts.evaluation, "test": parts.test}
        return {name: described(data) for name, data in named.items() if data is not None}


def training_cell(settings: Settings, texts: Texts, **tags: Any) -> Cell:
    """The cell of one training run."""
    config = settings.as_dict()
    del config["data"]  # the texts say it, by content
    config["runtime"] = {key: value for key, value in config["runtime"].items() if key not in _PLACE}
    return Cell("train", config, texts, tags)


def baseline_cell(name: str, texts: Texts, **tags: Any) -> Cell:
    """The cell of a baseline, by its name in `BASELINES`."""
    return Cell("baseline", {"name": name}, texts, tags)


def described(data: Dataset) -> dict[str, Any]:
    """A data set for a row: source, split, number of examples and the fingerprint of their content."""
    return {"source": data.name, "split": data.split, "examples": len(data), "fingerprint": data.fingerprint}


def replaced(cell: Cell, **tags: Any) -> Cell:
    """The same cell under other tags."""
    return dataclasses.replace(cell, tags={**cell.tags, **tags})

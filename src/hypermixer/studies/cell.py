"""A cell: one run, told to the last setting that can change its numbers."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from functools import cache, cached_property
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
    "conversion": ("hypermixer.studies.conversion_run", "run"),
}
#: Mixers that a kind of cell measures without naming them in its configuration.
_MEASURED = {"layer": ("attention", "hypermixing")}
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
        """What the key is made from: for what measures time, also the place where it would run now."""
        told = {"kind": self.kind, "config": self._settled(), "texts": self._described(), "source": self.source}
        return {**told, "place": _here()} if self.alone else told

    @property
    def source(self) -> str:
        """Digest of the source that can change this cell's numbers."""
        own = self.config.get("mixer", {}).get("name")
        mixers = self.config.get("mixers") or _MEASURED.get(self.kind) or ([] if own is None else [own])
        return digest(RUNNERS[self.kind][0], *module_of(mixers))

    @property
    def alone(self) -> bool:
        """Whether nothing else may run beside it on the machine, since it measures time."""
        return self.kind in ("lengths", "layer", "conversion")

    def _settled(self) -> dict[str, Any]:
        """The configuration with the content of a tokenizer in place of its path or name, and no precision open."""
        config = with_precision(self).config
        tokens = config.get("tokens", {})
        if tokens.get("tokenizer") is None:
            return config
        return {**config, "tokens": {**tokens, "tokenizer": _tokenizer(tokens["tokenizer"])}}

    def _described(self) -> dict[str, Any] | None:
        if self.texts is None:
            return None
        parts = parts_of(self.texts)
        named = {"train": parts.train, "evaluation": parts.evaluation, "test": parts.test}
        return {name: _content(data) for name, data in named.items() if data is not None}


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


def _content(data: Dataset) -> dict[str, Any]:
    """As `described`; a file, which has no splits, is told by its content alone, wherever it lies."""
    told = described(data)
    return told if data.split is not None else {name: told[name] for name in ("examples", "fingerprint")}


def with_precision(cell: Cell) -> Cell:
    """A training run with the precision that `auto` comes to on this machine; any other cell as it is."""
    runtime = cell.config.get("runtime", {})
    if cell.kind != "train" or runtime.get("precision") != "auto":
        return cell
    from hypermixer.training.precision import choose_device, choose_precision

    precision = choose_precision("auto", choose_device("auto")).name
    return dataclasses.replace(cell, config={**cell.config, "runtime": {**runtime, "precision": precision}})


def _here() -> dict[str, Any]:
    """What decides about seconds beside the source: device, threads, versions."""
    import torch

    from hypermixer import __version__
    from hypermixer.machine import machine
    from hypermixer.training.precision import choose_device

    here = machine(choose_device("auto").type)
    versions = {"torch": torch.__version__, "hypermixer": __version__}
    return {"device": here["device"], "threads": here["threads"], "versions": versions}


@cache
def _tokenizer(name: str) -> str:
    """SHA-256 (hexadecimal) of what a tokenizer does."""
    from hypermixer.data.tokens import load_tokenizer

    return hashlib.sha256(load_tokenizer(name).backend_tokenizer.to_str().encode()).hexdigest()


def replaced(cell: Cell, **tags: Any) -> Cell:
    """The same cell under other tags."""
    return dataclasses.replace(cell, tags={**cell.tags, **tags})

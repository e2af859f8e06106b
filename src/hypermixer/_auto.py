"""Registers our classes with transformers' Auto classes, whichever of the two libraries is imported first.

transformers keeps its tables in two modules that are themselves loaded late. A finder placed before the others waits
for those names, lets the usual machinery load them, and adds our rows; nothing is imported before its time.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType

CONFIG_TABLE = "transformers.models.auto.configuration_auto"
MODEL_TABLE = "transformers.models.auto.modeling_auto"


def watch() -> None:
    """Registers at once what is loaded already, and the rest when it is loaded."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    for table in (CONFIG_TABLE, MODEL_TABLE):
        if table in sys.modules:
            _register(table)


def _register(table: str) -> None:
    from hypermixer.hf.configuration import HyperMixerConfig

    if table == CONFIG_TABLE:
        sys.modules[CONFIG_TABLE].AutoConfig.register(HyperMixerConfig.model_type, HyperMixerConfig, exist_ok=True)
        return
    modeling = import_module("hypermixer.hf.modeling")

    auto = sys.modules[MODEL_TABLE]
    for name, model in (
        ("AutoModel", modeling.HyperMixerModel),
        ("AutoModelForSequenceClassification", modeling.HyperMixerForSequenceClassification),
        ("AutoModelForMaskedLM", modeling.HyperMixerForMaskedLM),
    ):
        getattr(auto, name).register(HyperMixerConfig, model, exist_ok=True)


class _Finder(MetaPathFinder):
    """Hands the two tables to the usual finders and wraps the loader that they name."""

    def __init__(self) -> None:
        self._busy = False

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in (CONFIG_TABLE, MODEL_TABLE) or self._busy:
            return None
        self._busy = True
        try:
            spec = find_spec(fullname)
        finally:
            self._busy = False
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec


class _Loader(Loader):
    def __init__(self, inner: Loader) -> None:
        self._inner = inner

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._inner.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._inner.exec_module(module)
        _register(module.__name__)

"""Which source can change a cell's numbers: what its runner imports, comments and docstrings apart."""

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
#: The table of mixers, which names every one of them: a cell depends on its own mixer only.
REGISTRY = "hypermixer.mixers"
#: What every mixer builds on.
_BASE = ("hypermixer.mixers.base", "hypermixer.mixers.sequences")
#: What these give is in the key as it is: texts by their content, settings by their values.
_IN_KEY = (
    "hypermixer.data.example",
    "hypermixer.data.parts",
    "hypermixer.data.sources",
    "hypermixer.errors",
    "hypermixer.kinds",
    "hypermixer.options",
    "hypermixer.settings",
    "hypermixer.settings_builder",
)
_COMPILED = (".h", ".cpp", ".hpp", ".cc")


@cache
def digest(*modules: str) -> str:
    """SHA-256 (hexadecimal) over modules of this package and all that they import of it, in any function or none.

    Imports are read from the source, so that nothing is loaded. Of Python, formatting, comments and docstrings do not
    count; of compiled sources every byte.
    """
    found: dict[str, Path] = {}
    waiting = [*modules, *_BASE]
    while waiting:
        name = waiting.pop()
        path = _file(name)
        if path is None or name in found or name in (REGISTRY, *_IN_KEY):
            continue
        found[name] = path
        waiting += _read(path.read_text(encoding="utf-8"))[0]
    total = hashlib.sha256()
    for name, path in sorted(found.items()):
        total.update(f"{name}\n{_read(path.read_text(encoding='utf-8'))[1]}\n".encode())
        if path.name == "__init__.py":
            for source in sorted(p for p in path.parent.iterdir() if p.suffix in _COMPILED):
                total.update(source.read_bytes())
    return total.hexdigest()


def _file(module: str) -> Path | None:
    base = PACKAGE.joinpath(*module.split(".")[1:])
    return next((p for p in (base / "__init__.py", base.with_suffix(".py")) if p.is_file()), None)


@cache
def _read(source: str) -> tuple[tuple[str, ...], str]:
    """What a module imports of this package, and what it says apart from words for people."""
    tree = ast.parse(source)
    return tuple(_imports(tree)), _without_words(tree)


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "hypermixer":
            assert node.module is not None
            yield from _parents(node.module)
            # `from package import module`
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "hypermixer":
                    yield from _parents(alias.name)


def _parents(module: str) -> Iterator[str]:
    """A module and the packages that are run when it is imported, the outermost apart."""
    parts = module.split(".")
    return (".".join(parts[:n]) for n in range(2, len(parts) + 1))


def _without_words(tree: ast.Module) -> str:
    """Python without comments, docstrings and formatting."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


def module_of(names: Iterable[str]) -> tuple[str, ...]:
    """The modules that define these mixers."""
    from hypermixer.mixers import MIXERS

    return tuple(sorted({MIXERS[name].__module__ for name in names}))
